"""Writes .tflite files of one subgraph: tensors and nodes in, a flatbuffer out.

The names are TFLite's own (tensorflow/lite/schema/schema.fbs); the tables are written through the
builder functions of the `tflite` package. `tests/build_tflite.py` has ready models of one operator.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite

TYPES = {
    "float32": tflite.TensorType.FLOAT32,
    "float16": tflite.TensorType.FLOAT16,
    "int32": tflite.TensorType.INT32,
    "uint8": tflite.TensorType.UINT8,
    "int64": tflite.TensorType.INT64,
    "uint32": tflite.TensorType.UINT32,
    "uint64": tflite.TensorType.UINT64,
    "string": tflite.TensorType.STRING,
    "bool": tflite.TensorType.BOOL,
    "int16": tflite.TensorType.INT16,
    "int8": tflite.TensorType.INT8,
    "int4": tflite.TensorType.INT4,
}

# Operator -> (options table or None, version). The versions are the newest that tflite-runtime 2.14
# registers, so that int16 activations and per-channel weights are accepted.
OPERATORS: Mapping[str, tuple[str | None, int]] = {
    "ADD": ("AddOptions", 5),
    "AVERAGE_POOL_2D": ("Pool2DOptions", 3),
    "CONCATENATION": ("ConcatenationOptions", 3),
    "CONV_2D": ("Conv2DOptions", 6),
    "CUSTOM": (None, 1),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", 6),
    "DEQUANTIZE": ("DequantizeOptions", 4),
    "EXPAND_DIMS": ("ExpandDimsOptions", 1),
    "FULLY_CONNECTED": ("FullyConnectedOptions", 9),
    "HARD_SWISH": ("HardSwishOptions", 1),
    "LEAKY_RELU": ("LeakyReluOptions", 2),
    "LOGISTIC": (None, 3),
    "MAX_POOL_2D": ("Pool2DOptions", 3),
    "MEAN": ("ReducerOptions", 3),
    "MUL": ("MulOptions", 7),
    "PAD": ("PadOptions", 4),
    "PADV2": ("PadV2Options", 4),
    "QUANTIZE": ("QuantizeOptions", 2),
    "RELU": (None, 3),
    "RELU6": (None, 3),
    "RELU_N1_TO_1": (None, 1),
    "RELU_0_TO_1": (None, 1),
    "RESHAPE": ("ReshapeOptions", 1),
    "RESIZE_BILINEAR": ("ResizeBilinearOptions", 4),
    "RESIZE_NEAREST_NEIGHBOR": ("ResizeNearestNeighborOptions", 4),
    "SLICE": ("SliceOptions", 5),
    "SOFTMAX": ("SoftmaxOptions", 3),
    "SPLIT": ("SplitOptions", 4),
    "SPLIT_V": ("SplitVOptions", 2),
    "SQUEEZE": ("SqueezeOptions", 1),
    "STRIDED_SLICE": ("StridedSliceOptions", 4),
    "SUB": ("SubOptions", 5),
    "SVDF": ("SVDFOptions", 4),
    "TANH": (None, 3),
    "TRANSPOSE": ("TransposeOptions", 5),
    "TRANSPOSE_CONV": ("TransposeConvOptions", 3),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": ("UnidirectionalSequenceLSTMOptions", 3),
}

ENUMS: Mapping[str, type] = {
    "padding": tflite.Padding,
    "fused_activation_function": tflite.ActivationFunctionType,
    "quantized_bias_type": tflite.TensorType,
    "weights_format": tflite.FullyConnectedOptionsWeightsFormat,
}


@dataclass(frozen=True)
class _TensorSpec:
    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int
    data: bytes | None
    variable: bool


@dataclass(frozen=True)
class _NodeSpec:
    op: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]
    options_type: str | None
    intermediates: tuple[int, ...]
    custom_code: str
    custom_options: bytes


@dataclass
class ModelBuilder:
    """Collects tensors and nodes, then writes them: `build(inputs, outputs) -> bytes`."""

    tensors: list[_TensorSpec] = field(default_factory=list)
    nodes: list[_NodeSpec] = field(default_factory=list)
    signatures: dict[str, tuple[Mapping[str, int], Mapping[str, int]]] = field(default_factory=dict)
    parts: list[tuple[ModelBuilder, Sequence[int], Sequence[int]]] = field(default_factory=list)

    def part(self, model: ModelBuilder, inputs: Sequence[int], outputs: Sequence[int]) -> int:
        """The number of another subgraph, such as a branch, which is written into the same file."""
        self.parts.append((model, inputs, outputs))
        return len(self.parts)

    def tensor(
        self,
        shape: Sequence[int],
        dtype: str = "int8",
        scale: float | Sequence[float] | None = None,
        zero_point: int | Sequence[int] = 0,
        axis: int = 0,
        data: np.ndarray | bytes | None = None,
        variable: bool = False,
        name: str = "",
    ) -> int:
        """A tensor's index. Several scales are one for each slice of `axis`; data make a constant.

        `data` may be an array (converted to `dtype`) or the buffer's raw bytes.
        """
        scales = () if scale is None else tuple(float(s) for s in np.atleast_1d(scale))
        zeros = tuple(int(z) for z in np.broadcast_to(zero_point, len(scales)))
        if data is not None and not isinstance(data, bytes):
            data = np.ascontiguousarray(data, dtype=np.dtype(dtype)).tobytes()
        index = len(self.tensors)
        shape = tuple(int(n) for n in shape)
        self.tensors.append(
            _TensorSpec(name or f"t{index}", shape, dtype, scales, zeros, axis, data, variable)
        )
        return index

    def constant(self, values: Any, dtype: str = "int32", **fields: Any) -> int:
        """A constant tensor of the values' own shape."""
        array = np.asarray(values, dtype=np.dtype(dtype))
        return self.tensor(array.shape, dtype, data=array, **fields)

    def node(
        self,
        op: str,
        inputs: Sequence[int | None],
        outputs: Sequence[int],
        *,
        version: int | None = None,
        options_type: str | None = None,
        intermediates: Sequence[int] = (),
        custom_code: str = "",
        custom_options: bytes = b"",
        **options: Any,
    ) -> None:
        """An operator. Options carry the schema's names (`stride_w=2`); enumerations may be given
        by name (`padding="SAME"`); an input of None is left out."""
        table, newest = OPERATORS.get(op, (None, 1))
        self.nodes.append(
            _NodeSpec(
                op,
                newest if version is None else version,
                tuple(-1 if i is None else i for i in inputs),
                tuple(outputs),
                options,
                options_type or table,
                tuple(intermediates),
                custom_code,
                custom_options,
            )
        )

    def signature(self, key: str, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> None:
        """A signature: names of the user's own for input and output tensors."""
        self.signatures[key] = (inputs, outputs)

    def build(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The model file."""
        return _Writer(self).model(inputs, outputs)


class _Writer:
    """One pass over a `ModelBuilder`, children before parents as flatbuffers need it."""

    def __init__(self, model: ModelBuilder) -> None:
        self.source = model
        self.builder = flatbuffers.Builder(4096)
        self.builders = [model, *(part for part, _, _ in model.parts)]
        nodes = [node for each in self.builders for node in each.nodes]
        self.codes = list(dict.fromkeys((n.op, n.custom_code, n.version) for n in nodes))

    def model(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        builder = self.builder
        buffers = self._tables(
            [self._buffer(b"")]
            + [
                self._buffer(tensor.data)
                for model in self.builders
                for tensor in model.tensors
                if tensor.data is not None
            ]
        )
        codes = self._tables([self._code(*code) for code in self.codes])
        parts, position, subgraphs = [(self.source, inputs, outputs), *self.source.parts], 0, []
        for part, given, answers in parts:
            subgraphs.append(self._subgraph(part, given, answers, position))
            position += sum(tensor.data is not None for tensor in part.tensors)
        subgraph = self._tables(subgraphs)
        signatures = self._signatures()
        description = builder.CreateString("midge")
        tflite.ModelStart(builder)
        tflite.ModelAddVersion(builder, 3)
        tflite.ModelAddOperatorCodes(builder, codes)
        tflite.ModelAddSubgraphs(builder, subgraph)
        tflite.ModelAddDescription(builder, description)
        tflite.ModelAddBuffers(builder, buffers)
        if signatures is not None:
            tflite.ModelAddSignatureDefs(builder, signatures)
        builder.Finish(tflite.ModelEnd(builder), b"TFL3")
        return bytes(builder.Output())

    def _tables(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return self.builder.EndVector()

    def _vector(self, values: Sequence[Any], dtype: type) -> int:
        return self.builder.CreateNumpyVector(np.asarray(values, dtype=dtype))

    def _bytes(self, data: bytes, alignment: int = 1) -> int:
        builder = self.builder
        builder.StartVector(1, len(data), alignment)
        builder.head -= len(data)
        builder.Bytes[builder.head : builder.head + len(data)] = data
        return builder.EndVector()

    def _buffer(self, data: bytes) -> int:
        vector = self._bytes(data, 16) if data else None
        tflite.BufferStart(self.builder)
        if vector is not None:
            tflite.BufferAddData(self.builder, vector)
        return tflite.BufferEnd(self.builder)

    def _code(self, op: str, custom_code: str, version: int) -> int:
        builder, code = self.builder, getattr(tflite.BuiltinOperator, op)
        custom = builder.CreateString(custom_code) if custom_code else None
        tflite.OperatorCodeStart(builder)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(code, 127))
        tflite.OperatorCodeAddBuiltinCode(builder, code)
        tflite.OperatorCodeAddVersion(builder, version)
        if custom is not None:
            tflite.OperatorCodeAddCustomCode(builder, custom)
        return tflite.OperatorCodeEnd(builder)

    def _subgraph(
        self, part: ModelBuilder, inputs: Sequence[int], outputs: Sequence[int], position: int
    ) -> int:
        """`position`: how many tensors before have buffers."""
        builder, tensors = self.builder, []
        for spec in part.tensors:
            position += spec.data is not None
            tensors.append(self._tensor(spec, position if spec.data is not None else 0))
        tensor_vector = self._tables(tensors)
        operators = self._tables([self._node(node) for node in part.nodes])
        vectors = self._vector(inputs, np.int32), self._vector(outputs, np.int32)
        name = builder.CreateString("main")
        tflite.SubGraphStart(builder)
        tflite.SubGraphAddTensors(builder, tensor_vector)
        tflite.SubGraphAddInputs(builder, vectors[0])
        tflite.SubGraphAddOutputs(builder, vectors[1])
        tflite.SubGraphAddOperators(builder, operators)
        tflite.SubGraphAddName(builder, name)
        return tflite.SubGraphEnd(builder)

    def _tensor(self, spec: _TensorSpec, buffer: int) -> int:
        builder = self.builder
        name, shape = builder.CreateString(spec.name), self._vector(spec.shape, np.int32)
        quantization = self._quantization(spec) if spec.scales else None
        tflite.TensorStart(builder)
        tflite.TensorAddShape(builder, shape)
        tflite.TensorAddType(builder, TYPES[spec.dtype])
        tflite.TensorAddBuffer(builder, buffer)
        tflite.TensorAddName(builder, name)
        if quantization is not None:
            tflite.TensorAddQuantization(builder, quantization)
        tflite.TensorAddIsVariable(builder, spec.variable)
        return tflite.TensorEnd(builder)

    def _quantization(self, spec: _TensorSpec) -> int:
        builder = self.builder
        scales = self._vector(spec.scales, np.float32)
        zero_points = self._vector(spec.zero_points, np.int64)
        tflite.QuantizationParametersStart(builder)
        tflite.QuantizationParametersAddScale(builder, scales)
        tflite.QuantizationParametersAddZeroPoint(builder, zero_points)
        tflite.QuantizationParametersAddQuantizedDimension(builder, spec.axis)
        return tflite.QuantizationParametersEnd(builder)

    def _options(self, table: str, values: Mapping[str, Any]) -> int:
        builder, written = self.builder, {}
        for name, value in values.items():
            if isinstance(value, str):
                value = getattr(ENUMS[name], value)
            elif isinstance(value, Sequence):
                value = self._vector(value, np.int32)
            written[name] = value
        getattr(tflite, f"{table}Start")(builder)
        for name, value in written.items():
            camel = "".join(part.capitalize() for part in re.split("_", name))
            getattr(tflite, f"{table}Add{camel}")(builder, value)
        return int(getattr(tflite, f"{table}End")(builder))

    def _node(self, node: _NodeSpec) -> int:
        builder = self.builder
        inputs, outputs = self._vector(node.inputs, np.int32), self._vector(node.outputs, np.int32)
        table = node.options_type
        options = self._options(table, node.options) if table else None
        middle = self._vector(node.intermediates, np.int32) if node.intermediates else None
        custom = self._bytes(node.custom_options) if node.custom_options else None
        tflite.OperatorStart(builder)
        code = self.codes.index((node.op, node.custom_code, node.version))
        tflite.OperatorAddOpcodeIndex(builder, code)
        tflite.OperatorAddInputs(builder, inputs)
        tflite.OperatorAddOutputs(builder, outputs)
        if table and options is not None:
            tflite.OperatorAddBuiltinOptionsType(builder, getattr(tflite.BuiltinOptions, table))
            tflite.OperatorAddBuiltinOptions(builder, options)
        if custom is not None:
            tflite.OperatorAddCustomOptions(builder, custom)
        if middle is not None:
            tflite.OperatorAddIntermediates(builder, middle)
        return tflite.OperatorEnd(builder)

    def _signatures(self) -> int | None:
        if not self.source.signatures:
            return None
        builder, tables = self.builder, []
        for key, (inputs, outputs) in self.source.signatures.items():
            maps = [
                self._tables([self._map(*item) for item in m.items()]) for m in (inputs, outputs)
            ]
            text = builder.CreateString(key)
            tflite.SignatureDefStart(builder)
            tflite.SignatureDefAddInputs(builder, maps[0])
            tflite.SignatureDefAddOutputs(builder, maps[1])
            tflite.SignatureDefAddSignatureKey(builder, text)
            tables.append(tflite.SignatureDefEnd(builder))
        return self._tables(tables)

    def _map(self, name: str, tensor: int) -> int:
        text = self.builder.CreateString(name)
        tflite.TensorMapStart(self.builder)
        tflite.TensorMapAddName(self.builder, text)
        tflite.TensorMapAddTensorIndex(self.builder, tensor)
        return tflite.TensorMapEnd(self.builder)
