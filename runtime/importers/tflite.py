"""TFLite models (schema version 3) to graphs.

The road: bytes -> `tflite_file.parse` (structure) -> one reader an operator (meaning) -> Graph.
Shapes of computed tensors follow from the operators' shape rules, as in TFLite's own Prepare; the
shapes written in the file count only for inputs, constants and states.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ..attributes import Shape
from ..content import read_content
from ..errors import InputError, ModelError, Refusal, UnsupportedModel
from ..graph import BINARY, DTYPES, Graph, Node, Quantization, Tensor
from ..ops import OPERATORS
from . import larq, tflite_custom, tflite_decode, tflite_micro
from . import tflite_compute as compute
from . import tflite_general as general
from . import tflite_movement as movement
from . import tflite_recurrent as recurrent
from . import tflite_signal as signal
from .known import graph_of, known_values
from .larq_rounding import as_larq_rounds
from .tflite_branches import with_choices
from .tflite_cycles import with_cycles
from .tflite_file import (
    MAX_ELEMENTS,
    MAX_RANK,
    FileModel,
    FileOperator,
    FileTensor,
    Malformed,
    parse,
)
from .tflite_loops import Loops
from .tflite_micro import with_micro
from .tflite_order import check_order, check_outputs
from .tflite_reading import Parts, Reader, Reading, Unsupported
from .tflite_sums import with_chains
from .tflite_variables import with_states

# Versions: the newest of tensorflow/compiler/mlir/lite/tools/versioning/op_version.cc whose
# meaning is read here; a newer one may change what the options say.
READERS: Mapping[str, Reader] = {
    "ADD": Reader(compute.arithmetic("add"), "AddOptions", 5, (2, 2)),
    "AVERAGE_POOL_2D": Reader(compute.pool2d("average_pool2d"), "Pool2DOptions", 3),
    "CONCATENATION": Reader(movement.concatenation, "ConcatenationOptions", 3, (1, 4096)),
    "CONV_2D": Reader(compute.conv2d, "Conv2DOptions", 8, (2, 3)),
    "DEPTHWISE_CONV_2D": Reader(compute.depthwise_conv2d, "DepthwiseConv2DOptions", 7, (2, 3)),
    "DEQUANTIZE": Reader(compute.dequantize, None, 4),
    "EXPAND_DIMS": Reader(movement.expand_dims, None, 1, (2, 2)),
    "FULLY_CONNECTED": Reader(compute.fully_connected, "FullyConnectedOptions", 13, (2, 3)),
    "HARD_SWISH": Reader(compute.unary("hard_swish"), None, 1),
    "L2_NORMALIZATION": Reader(compute.l2_normalization, "L2NormOptions", 2),
    "L2_POOL_2D": Reader(compute.pool2d("l2_pool2d"), "Pool2DOptions", 1),
    "LEAKY_RELU": Reader(compute.leaky_relu, "LeakyReluOptions", 2),
    "LOG_SOFTMAX": Reader(compute.unary("log_softmax"), None, 2),
    "LOGISTIC": Reader(compute.unary("logistic"), None, 3),
    "MAX_POOL_2D": Reader(compute.pool2d("max_pool2d"), "Pool2DOptions", 3),
    "MEAN": Reader(movement.mean, "ReducerOptions", 3, (2, 2)),
    "MUL": Reader(compute.arithmetic("mul"), "MulOptions", 7, (2, 2)),
    "PAD": Reader(movement.pad, None, 5, (2, 2)),
    "PADV2": Reader(movement.pad, None, 5, (3, 3)),
    "QUANTIZE": Reader(compute.quantize, None, 2),
    "RELU": Reader(compute.relu(0.0, None), None, 3),
    "RELU6": Reader(compute.relu(0.0, 6.0), None, 3),
    "RELU_0_TO_1": Reader(compute.relu(0.0, 1.0), None, 1),
    "RELU_N1_TO_1": Reader(compute.relu(-1.0, 1.0), None, 1),
    "RESHAPE": Reader(movement.reshape, "ReshapeOptions", 1, (1, 2)),
    "RESIZE_BILINEAR": Reader(
        movement.resize("resize_bilinear"), "ResizeBilinearOptions", 4, (2, 2)
    ),
    "RESIZE_NEAREST_NEIGHBOR": Reader(
        movement.resize("resize_nearest"), "ResizeNearestNeighborOptions", 4, (2, 2)
    ),
    "SIGN": Reader(compute.unary("sign"), None, 2),
    "SLICE": Reader(movement.slice_, None, 6, (3, 3)),
    "SOFTMAX": Reader(compute.softmax, "SoftmaxOptions", 3),
    "SPLIT": Reader(movement.split, "SplitOptions", 4, (2, 2), None),
    "SPLIT_V": Reader(movement.split_v, "SplitVOptions", 2, (3, 3), None),
    "SQUEEZE": Reader(movement.squeeze, "SqueezeOptions", 2),
    "STRIDED_SLICE": Reader(movement.strided_slice, "StridedSliceOptions", 8, (4, 4)),
    "SUB": Reader(compute.arithmetic("sub"), "SubOptions", 5, (2, 2)),
    "SVDF": Reader(recurrent.svdf, "SVDFOptions", 4, (5, 5)),
    "TANH": Reader(compute.unary("tanh"), None, 3),
    "TRANSPOSE": Reader(movement.transpose, None, 6, (2, 2)),
    "TRANSPOSE_CONV": Reader(compute.transpose_conv, "TransposeConvOptions", 5, (3, 4)),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Reader(
        recurrent.lstm, "UnidirectionalSequenceLSTMOptions", 4, (20, 24)
    ),
    **general.READERS,
}

# Options type -> the one operator that has it, also where a reader doesn't look at its options.
KINDS: Mapping[str, str] = {
    "DequantizeOptions": "DEQUANTIZE",
    "ExpandDimsOptions": "EXPAND_DIMS",
    "HardSwishOptions": "HARD_SWISH",
    "PadOptions": "PAD",
    "PadV2Options": "PADV2",
    "QuantizeOptions": "QUANTIZE",
    "SliceOptions": "SLICE",
    "TransposeOptions": "TRANSPOSE",
    **{
        reader.options: code
        for code, reader in READERS.items()
        if reader.options not in (None, "Pool2DOptions", "ReducerOptions")  # several have them
    },
}

# Custom operators by their custom code.
CUSTOM_READERS: Mapping[str, Reader] = {
    **larq.READERS,
    **tflite_micro.READERS,
    **tflite_decode.READERS,
    **signal.READERS,
}


def read_tflite(
    source: str | Path | bytes, input_shapes: Mapping[int, Sequence[int]] | None = None
) -> Graph:
    """The graph of a .tflite file, or of its content.

    `input_shapes` gives graph inputs, by tensor index, another shape than the file's. Tensor
    indices are the file's own. Raises `ModelError` for what is not a well-formed model,
    `UnsupportedModel` with every node that can't be read, and `InputError` for input shapes that
    the model can't take.
    """
    label: str | Path = "model" if isinstance(source, bytes) else source
    content = source if isinstance(source, bytes) else read_content(Path(source))
    try:
        model = with_micro(with_chains(with_choices(with_states(parse(content)))))
        graph = _whole(model, label, {})
    except Malformed as error:
        raise ModelError(label, str(error)) from error
    if not input_shapes:
        return graph
    shapes = _checked_shapes(graph, input_shapes)
    try:
        return _whole(model, label, shapes)
    except (Malformed, UnsupportedModel) as error:
        wanted = ", ".join(f"{i}: {list(shape)}" for i, shape in shapes.items())
        raise InputError(f"{label} can't take the input shapes {wanted}: {error}") from error


def _whole(model: FileModel, label: str | Path, shapes: Mapping[int, Shape]) -> Graph:
    graph = _Import(model, label, shapes).graph()
    return with_cycles(graph, tflite_micro.cycles_of(model), model.states, label)


def _checked_shapes(graph: Graph, shapes: Mapping[int, Sequence[int]]) -> dict[int, Shape]:
    checked = {}
    for index, wanted in shapes.items():
        shape = tuple(int(size) for size in wanted)
        if index not in graph.inputs:
            raise InputError(f"tensor {index} is not an input; the inputs are {graph.inputs}")
        if any(size < 1 for size in shape):
            raise InputError(f"input {index} can't have the shape {list(shape)}")
        if index in graph.fixed_inputs and shape != graph.tensors[index].shape:
            raise InputError(f"input {index} holds an output shape, which can't be resized")
        checked[index] = shape
    return checked


class _Import:
    """One file's nodes, read in order; `tensors` grows with the shapes that follow."""

    def __init__(
        self,
        model: FileModel,
        label: str | Path,
        input_shapes: Mapping[int, Shape],
        depth: int = 0,
    ) -> None:
        self.model, self.label, self.depth = model, label, depth
        self.refusals: list[Refusal] = []
        self.fixed: dict[int, np.ndarray] = {}
        self.states: set[int] = set()
        self.graph_inputs = frozenset(model.inputs)
        check_order(model)
        if not depth:
            check_outputs(model)
        produced = {t for op in model.operators for t in op.outputs}
        self.tensors = {
            t.index: tensor for t in model.tensors if (tensor := _tensor(t, produced)) is not None
        }
        for index, shape in input_shapes.items():
            self.tensors[index] = replace(self.tensors[index], shape=shape)
        self.files = list(model.tensors)
        self.loops = Loops(
            model, self.files, self.tensors, _tensor, self.pass_of_loop, self.part_of_loop, depth
        )

    def graph(self) -> Graph:
        nodes = [node for op in self.model.operators for node in self.nodes(op)]
        if self.refusals:
            readable = graph_of(nodes, self.tensors)
            raise UnsupportedModel(self.label, self.refusals, readable=readable)
        if any(op.custom_code in larq.READERS for op in self.model.operators):
            nodes, self.tensors = as_larq_rounds(nodes, self.tensors)
        for index in (*self.model.inputs, *self.model.outputs):
            if index not in self.tensors:
                type_name = self.model.tensors[index].type
                raise Malformed(f"tensor {index}, an input or output, has the type {type_name}")
        return Graph(
            tuple(nodes), self.tensors, self.model.inputs, self.model.outputs,
            self.model.sha256, self.model.signatures, MappingProxyType(self.fixed),
        )  # fmt: skip

    def nodes(self, operator: FileOperator) -> list[Node]:
        """Its node, or those that it is written out as; none once it is among the refusals."""
        try:
            if operator.code == "WHILE":
                for index in (*operator.operands, *operator.outputs):
                    self.check_tensor(self.files[index])
                return self.loops.nodes(operator)
            node = self.read(operator)
            return [] if node is None else [node]
        except Unsupported as error:
            self.refusals.append(Refusal(operator.index, operator.title, error.why, error.remedy))
        except Malformed as error:
            # Behind a refused node shapes are not known, so a misfit there says nothing.
            if str(error).startswith("node "):  # of a loop's pass
                raise
            if not self.refusals:
                title = f"node {operator.index} ({operator.title})"
                raise Malformed(f"{title}: {error}") from error
        return []

    def pass_of_loop(self, operators: Sequence[FileOperator]) -> list[Node] | None:
        """The nodes of one pass; None once one of them is refused, here or before."""
        nodes: list[Node] = []
        for operator in operators:
            nodes += self.nodes(operator)
            if self.refusals:
                return None
        return nodes

    def part_of_loop(
        self, number: int, part: FileModel, shapes: Mapping[int, Shape]
    ) -> Graph | None:
        """Condition or body of operator `number`; None where some of it is refused."""
        try:
            return _Import(part, self.label, shapes, self.loops.depth).graph()
        except UnsupportedModel as error:
            self.refusals += (replace(refusal, node=number) for refusal in error.refusals)
            return None

    def read(self, operator: FileOperator) -> Node | None:
        """The node; None for one whose answers are known, which are constants from now on."""
        operator = _by_options(operator)
        reader = _reader(operator)
        self.check_operands(operator, reader)
        reading = Reading(operator, self.tensors, self.graph_inputs)
        parts = reader.read(reading)
        if parts.values is not None:
            self.know(operator, parts.values)
            return None
        for index in parts.binary:
            self.tensors[index] = replace(self.tensors[index], dtype=BINARY, quantization=None)
        name = reading.output().name
        inputs = (*parts.inputs, *self.make_states(operator, parts, name))
        node = Node(parts.op, inputs, operator.outputs, parts.attrs, name, operator.index)
        self.check_states(node)
        for index, shape in zip(operator.outputs, self.shapes(node), strict=True):
            empty = min(shape, default=1) < 1 and parts.op != "assign"
            if empty or len(shape) > MAX_RANK or math.prod(shape) > MAX_ELEMENTS:
                raise Malformed(f"its output would have the shape {list(shape)}")
            self.tensors[index] = replace(self.tensors[index], shape=shape)
        self.fix_shape_input(operator, parts)
        known = known_values(node, self.tensors, any_type=self.loops.depth > 0)
        if known is not None and not set(operator.outputs) & set(self.model.outputs):
            self.know(operator, known)
            return None
        return node

    def know(self, operator: FileOperator, values: Sequence[np.ndarray]) -> None:
        """Outputs become constants: shapes, mostly, and what is computed from them."""
        if set(operator.outputs) & set(self.model.outputs) and not self.depth:
            raise Unsupported(
                "it makes an output of the model that never changes", "leave that output out"
            )
        for index, value in zip(operator.outputs, values, strict=True):
            self.tensors[index] = replace(self.tensors[index], shape=value.shape, data=value)

    def make_states(self, operator: FileOperator, parts: Parts, name: str) -> Iterator[int]:
        """Tensors behind the file's own, for what an operator keeps within itself."""
        if parts.states and (self.depth or operator.outputs[0] >= len(self.model.tensors)):
            raise Unsupported("it keeps a state inside a loop", "pass the state in and out instead")
        for shape, dtype in parts.states:
            index, name = len(self.files), f"{name}/state"
            self.files.append(
                FileTensor(index, name, shape, dtype.upper(), None, None, True, False, False)
            )
            self.tensors[index] = Tensor(index, name, shape, dtype, variable=True)
            yield index

    def check_states(self, node: Node) -> None:
        """A variable tensor of the file is the state of one node, and read by no other."""
        for index in node.operands:
            made = index >= len(self.model.tensors) or index in self.model.states
            if not self.tensors[index].variable or made:
                continue
            if node.op not in ("lstm", "svdf"):
                raise Unsupported(
                    f"it reads the variable tensor {index}", "pass the state in and out instead"
                )
            if index in self.states:
                raise Unsupported(
                    f"it shares the variable tensor {index} with another node",
                    "give each node a state of its own",
                )
            self.states.add(index)

    def check_operands(self, operator: FileOperator, reader: Reader) -> None:
        least, most = reader.inputs
        if not least <= len(operator.inputs) <= most:
            raise Malformed(f"it has {len(operator.inputs)} inputs, {least} to {most} are allowed")
        if len(operator.outputs) != (reader.outputs or max(1, len(operator.outputs))):
            raise Malformed(f"it has {len(operator.outputs)} outputs")
        options = operator.options
        if options is not None and reader.options not in (None, options.type):
            raise Malformed(f"it carries {options.type}, needed are {reader.options}")
        for index in (*operator.operands, *operator.outputs):
            self.check_tensor(self.files[index])

    def check_tensor(self, tensor: FileTensor) -> None:
        remedy = "convert the model with int8, int16 or float32 tensors"
        if tensor.index not in self.tensors:
            raise Unsupported(f"tensor {tensor.name!r} has the type {tensor.type}", remedy)
        if tensor.sparse:
            raise Unsupported(
                f"tensor {tensor.name!r} is sparse", "convert the model without sparsity"
            )
        if tensor.other_quantization:
            raise Unsupported(f"tensor {tensor.name!r} has a quantization of its own kind", remedy)

    def shapes(self, node: Node) -> tuple[Shape, ...]:
        """The output shapes by the operator's rule."""
        used = {i: self.tensors[i] for i in (*node.operands, *node.outputs)}
        try:
            return OPERATORS[node.op].shapes(Graph((), used, (), ()), node)
        except (ValueError, IndexError) as error:
            raise Malformed(f"its operands' shapes don't fit: {error}") from error

    def fix_shape_input(self, operator: FileOperator, parts: Parts) -> None:
        """A graph input that is an output shape may only have the value the graph is made for."""
        if parts.op != "transpose_conv" or operator.inputs[0] not in self.model.inputs:
            return
        index, shape = operator.inputs[0], np.array(parts.attrs.output_shape, np.int32)
        if not np.array_equal(self.fixed.setdefault(index, shape), shape):
            raise Malformed(f"input {index} would have to be two output shapes at once")


def _by_options(operator: FileOperator) -> FileOperator:
    """The operator that the options belong to, where they are not those of its code.

    Some writers leave the code at 0, which is ADD, and only the options say what is meant.
    """
    reader, options = READERS.get(operator.code), operator.options
    if reader is None or reader.options is None or options is None:
        return operator
    if options.type == reader.options or options.type not in KINDS:
        return operator
    return replace(operator, code=KINDS[options.type], version=1)  # the file's is the code's


def _reader(operator: FileOperator) -> Reader:
    custom = operator.code == "CUSTOM"
    table, key = (CUSTOM_READERS, operator.custom_code) if custom else (READERS, operator.code)
    if key not in table:
        brought = tflite_custom.reader(key) if custom else None
        if brought is not None:
            return brought
        kind = "custom operator" if custom else "operator"
        own = ", or bring it (docs/custom-operators.md)" if custom else ""
        raise Unsupported(
            f"the {kind} {operator.title} is not supported",
            f"build the model from supported operators{own}",
        )
    if operator.version > table[key].version:
        raise Unsupported(
            f"version {operator.version} is newer than {table[key].version}, the newest known",
            "convert the model with an older TensorFlow",
        )
    return table[key]


def _tensor(source: FileTensor, produced: Set[int]) -> Tensor | None:
    """The graph's tensor, or None for a type that the graph doesn't have."""
    dtype = source.type.lower()
    data = source.data
    if source.type == "INT4" and data is not None:
        dtype, data = "int8", unpack_int4(data, int(np.prod(source.shape)))
    if dtype not in DTYPES:
        return None
    array = None
    if data is not None:
        array = np.frombuffer(data, DTYPES[dtype]).reshape(source.shape)
        array = np.require(array, requirements="A")  # flatbuffers may align to 4 bytes only
    elif 0 in source.shape and source.index not in produced and not source.variable:
        array = np.zeros(source.shape, DTYPES[dtype])  # an empty buffer is a constant, too
    quantization = None
    if source.quantization is not None:
        values = source.quantization
        quantization = Quantization(values.scales, values.zero_points, values.axis)
    return Tensor(
        source.index, source.name, source.shape, dtype, quantization, array, source.variable
    )


def unpack_int4(data: np.ndarray, elements: int) -> np.ndarray:
    """Two's-complement nibbles, the lower one first, as int8."""
    low, high = (data << 4).view(np.int8) >> 4, data.view(np.int8) >> 4
    return np.stack([low, high], axis=1).reshape(-1)[:elements].copy()
