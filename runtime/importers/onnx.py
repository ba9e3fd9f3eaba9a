"""ONNX models (opset 11 and newer) to graphs.

The road: file -> checked protobuf with its sizes bound -> constants folded by the `onnx` package's
own evaluator -> one reader an operator (`onnx_operators`), which turns NCHW into NHWC where images
begin and back where they end -> `onnx_qdq`, which turns QuantizeLinear and DequantizeLinear round
an operator into an integer operator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, MissingTool, ModelError, Refusal, UnsupportedModel
from ..graph import DTYPES, Graph
from .onnx_building import Builder
from .onnx_control import CONTROL, Control
from .onnx_functions import bound, definition
from .onnx_infinity import keep_infinity
from .onnx_operators import READERS
from .onnx_qdq import fuse
from .onnx_qlinear import written_out
from .onnx_reading import NodeReading
from .tflite_file import Malformed
from .tflite_reading import Unsupported

LEAST_OPSET = 7
OWN_DOMAINS = ("", "ai.onnx")
DEEPEST = 8  # definitions within definitions


def read_onnx(
    source: str | Path | bytes,
    input_shapes: Mapping[int, Sequence[int]] | None = None,
    input_values: Mapping[str, np.ndarray] | None = None,
) -> Graph:
    """The graph of an .onnx file, or of its content.

    Dimensions that the file leaves open count as 1 unless `input_shapes` gives the shape of that
    input, by its place among the inputs. Where an operator needs a constant (a shape, axes), an
    input of `input_values` is taken for one: the graph then has room for that value only, and says
    so in `fixed_inputs`. Raises `ModelError` for what is no well-formed model,
    `UnsupportedModel` with every node that can't be read, `InputError` for impossible shapes.
    """
    label = "model" if isinstance(source, bytes) else str(source)
    content = source if isinstance(source, bytes) else _content(Path(source))
    folder = None if isinstance(source, bytes) else Path(source).parent
    model = _parse(content, label, folder)
    _bind_sizes(model, input_shapes or {}, label)
    digest = hashlib.sha256(content).hexdigest()
    return keep_infinity(fuse(_Import(model, label, digest, input_values or {}).graph()))


def _onnx() -> Any:
    try:
        import onnx
        import onnx.checker
        import onnx.external_data_helper
        import onnx.numpy_helper
        import onnx.reference
    except ModuleNotFoundError:
        raise MissingTool(
            "reading an ONNX model needs the package onnx: pip install midge[onnx]"
        ) from None
    return onnx


def _content(path: Path) -> bytes:
    from ..content import read_content

    return read_content(path)


def _parse(content: bytes, label: str, folder: Path | None) -> Any:
    """The protobuf with its external data loaded, checked by the onnx package."""
    onnx = _onnx()
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's errors have no common base
        raise ModelError(label, f"this is no ONNX model ({_first_line(error)})") from None
    _load_external(model, label, folder)
    opset = max((o.version for o in model.opset_import if o.domain in OWN_DOMAINS), default=0)
    if opset < LEAST_OPSET:
        raise ModelError(
            label,
            f"it has opset {opset}; {LEAST_OPSET} is the least that is read",
            "export it anew, or convert it with onnx.version_converter",
        )
    for value in model.graph.output:  # some exporters leave it out, and it follows anyway
        value.type.tensor_type.shape.SetInParent()
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        raise ModelError(label, f"the onnx package finds it broken: {_first_line(error)}") from None
    return model


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _load_external(model: Any, label: str, folder: Path | None) -> None:
    """Read tensors that lie in other files, which must be in the model's own folder."""
    onnx = _onnx()
    helper = onnx.external_data_helper
    for tensor in helper._get_all_tensors(model):
        if not helper.uses_external_data(tensor):
            continue
        place = {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
        if folder is None:
            raise ModelError(
                label, f"tensor {tensor.name!r} lies in {place!r}; read it from a path"
            )
        target = (folder / place).resolve()
        if not place or not target.is_relative_to(folder.resolve()):
            raise ModelError(
                label,
                f"tensor {tensor.name!r} lies in {place!r}, outside of the model's own folder",
            )
        try:
            helper.load_external_data_for_tensor(tensor, str(folder))
        except Exception as error:
            raise ModelError(
                label, f"tensor {tensor.name!r} can't be read from {place!r}: {_first_line(error)}"
            ) from None
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _bind_sizes(model: Any, shapes: Mapping[int, Sequence[int]], label: str) -> None:
    """Give every input a size along every axis: the user's, the file's, or 1."""
    known = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in known]
    for place in shapes:
        if not 0 <= place < len(inputs):
            raise InputError(f"{label} has {len(inputs)} inputs, there is no input {place}")
    for place, value in enumerate(inputs):
        dimensions = value.type.tensor_type.shape.dim
        wanted = shapes.get(place)
        if wanted is not None and len(wanted) != len(dimensions):
            raise InputError(
                f"input {value.name!r} has {len(dimensions)} axes, not the shape {list(wanted)}"
            )
        for axis, dimension in enumerate(dimensions):
            fixed = dimension.dim_value if dimension.HasField("dim_value") else None
            own = 1 if fixed is None else fixed
            size = int(wanted[axis]) if wanted is not None else own
            if size < 0 or (fixed is None and size < 1) or (fixed is not None and size != fixed):
                stated = "at least 1" if fixed is None else fixed
                raise InputError(f"axis {axis} of input {value.name!r} is {stated}, not {size}")
            dimension.dim_value = size


class _Import:
    """One model's nodes in order; constants are folded on the way."""

    def __init__(
        self, model: Any, label: str, digest: str, values: Mapping[str, np.ndarray]
    ) -> None:
        self._onnx = _onnx()
        self.model, self.label, self.digest = model, label, digest
        self.build = Builder()
        self.build.offers.update(values)
        self._depth = 0  # of definitions within definitions
        self._written_out = 0

    def graph(self) -> Graph:
        for tensor in self.model.graph.initializer:
            self.build.constants[tensor.name] = self._onnx.numpy_helper.to_array(tensor)
        inputs = []
        for value in self.model.graph.input:
            if value.name not in self.build.constants:
                inputs.append(self._input(value))
        self._nodes()
        outputs = tuple(self.build.plain(value.name) for value in self.model.graph.output)
        return self.build.graph(tuple(inputs), outputs, self.digest)

    def _input(self, value: Any) -> int:
        kind = value.type.tensor_type
        if not kind.elem_type:
            raise ModelError(self.label, f"input {value.name!r} is no tensor", "pass tensors only")
        dtype = self._onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        shape = tuple(d.dim_value for d in kind.shape.dim)
        made = self.build.input(value.name, shape, np.dtype(dtype).name)
        if made is None:
            raise ModelError(self.label, f"input {value.name!r} has the type {np.dtype(dtype)}")
        return made

    def _nodes(self) -> None:
        refusals = []
        opsets = {"": self._onnx.defs.onnx_opset_version()}
        opsets |= {o.domain: o.version for o in self.model.opset_import}
        for number, node in enumerate(self.model.graph.node):
            try:
                self._node(number, node, opsets)
            except Unsupported as error:
                refusals.append(Refusal(number, node.op_type, error.why, error.remedy))
            except KeyError:
                if not refusals:  # behind a refused node tensors are missing
                    raise ModelError(self.label, f"node {number} reads what no one makes") from None
            except (Malformed, ValueError, IndexError, TypeError) as error:
                if not refusals:
                    title = f"node {number} ({node.op_type} {node.name!r})"
                    raise ModelError(self.label, f"{title}: {_first_line(error)}") from None
        if refusals:
            raise UnsupportedModel(self.label, refusals)

    def _node(self, number: int, node: Any, opsets: Mapping[str, int]) -> None:
        if self._fold(node, opsets):
            return
        self._remember(node, opsets)
        own = node.domain in (*OWN_DOMAINS, "com.microsoft") and node.op_type in READERS
        if own:
            mark = len(self.build.nodes)
            try:
                self._read(number, node, opsets)
                return
            except Unsupported:
                del self.build.nodes[mark:]
                if not self._write_out(number, node, opsets):
                    raise
        elif not self._control(number, node, opsets) and not self._write_out(number, node, opsets):
            raise Unsupported(
                f"the operator {node.op_type} is not supported",
                "export it from supported operators",
            )

    def _remember(self, node: Any, opsets: Mapping[str, int]) -> None:
        """How outputs could be known after all, if an operator asks for them as constants."""
        build = self.build

        def make() -> None:
            if all(build.known(name, insist=True) is not None for name in node.input if name):
                self._fold(node, opsets)

        for name in node.output if build.offers else ():
            build.makers[name] = make

    def _read(self, number: int, node: Any, opsets: Mapping[str, int]) -> None:
        attributes = {a.name: self._onnx.helper.get_attribute_value(a) for a in node.attribute}
        reading = NodeReading(
            self.build, number, node.op_type, list(node.input), list(node.output), attributes,
            opsets.get("", opsets.get("ai.onnx", 0)),
        )  # fmt: skip
        made = READERS[node.op_type](reading)
        missing = [name for name in node.output[len(made) :] if name]
        if missing and missing[0] not in self.build.constants:
            raise Unsupported(f"its output {missing[0]!r} is asked for", "leave that output out")
        for name, value in zip(node.output, made, strict=False):
            self.build.values[name] = value

    def _write_out(self, number: int, node: Any, opsets: Mapping[str, int]) -> bool:
        """Read ONNX's own definition of an operator instead of it, where it has one."""
        if self._depth >= DEEPEST:
            return False
        prefix = self._fresh(node.op_type)
        nodes = written_out(self._onnx.helper.make_node, node, prefix)
        if nodes:
            for inner in nodes:
                self._node(number, inner, {**opsets, "": max(opsets.get("", 0), 13)})
            return True
        opset = opsets.get(node.domain, opsets.get("ai.onnx", 0))
        body = definition(self._onnx, node, opset, self._type, prefix)
        if body is None:
            return False
        self._depth += 1
        try:
            for inner in body.nodes:
                self._node(number, inner, {**opsets, **body.opsets})
        finally:
            self._depth -= 1
        return True

    def _control(self, number: int, node: Any, opsets: Mapping[str, int]) -> bool:
        """Write out an If, Loop or Scan whose course is known."""
        if node.op_type not in CONTROL or node.domain not in OWN_DOMAINS:
            return False
        newest = {**opsets, "": self._onnx.defs.onnx_opset_version()}

        def emit(op: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
            if "value" in attributes:
                attributes["value"] = self._onnx.numpy_helper.from_array(attributes["value"])
            made = self._onnx.helper.make_node(op, inputs, outputs, **attributes)
            self._node(number, made, newest)

        def inline(graph: Any, names: Mapping[str, str]) -> list[str]:
            prefix = self._fresh(node.op_type)
            names = {**names, **{t.name: prefix + t.name for t in graph.initializer}}
            for tensor in graph.initializer:
                value = self._onnx.numpy_helper.to_array(tensor)
                self.build.constants[names[tensor.name]] = value
            for inner in bound(self._onnx, graph.node, names, prefix):
                self._node(number, inner, opsets)
            made = {name for each in graph.node for name in each.output}
            return [
                names.get(v.name, prefix + v.name if v.name in made else v.name)
                for v in graph.output
            ]

        control = Control(partial(self.build.known, insist=True), inline, emit, self._fresh)
        attributes = {a.name: self._onnx.helper.get_attribute_value(a) for a in node.attribute}
        return control.write_out(node, attributes, lambda name, axis: self.build.shape(name)[axis])

    def _fresh(self, stem: str) -> str:
        self._written_out += 1
        return f"{stem}.{self._written_out}."

    def _type(self, name: str) -> Any:
        """The type and shape of a tensor as a protobuf, None if it isn't known."""
        build = self.build
        if name not in build.constants and name not in build.values:
            return None
        data = build.constants.get(name)
        value = build.value(name) if data is None else None
        kind = data.dtype if value is None else DTYPES[build.tensors[value.index].dtype]
        if value is not None and value.shifted:
            kind = np.dtype(np.uint8)
        helper = self._onnx.helper
        code = helper.np_dtype_to_tensor_dtype(kind)
        return helper.make_tensor_type_proto(code, build.shape(name))

    def _fold(self, node: Any, opsets: Mapping[str, int]) -> bool:
        """Evaluate a node of constants, or the shape of a tensor, with the package's own rules."""
        constants = self.build.constants
        if node.op_type == "Shape" and node.input[0] not in constants:
            shape = self.build.shape(node.input[0])
            begin = next((a.i for a in node.attribute if a.name == "start"), 0)
            end = next((a.i for a in node.attribute if a.name == "end"), len(shape))
            constants[node.output[0]] = np.array(shape[begin:end], np.int64)
            return True
        names = [name for name in node.input if name]
        quantizing = node.op_type in ("DequantizeLinear", "QuantizeLinear")
        random = node.op_type.startswith("Random")
        if quantizing or random or any(name not in constants for name in names):
            return False
        if any(a.type == self._onnx.AttributeProto.GRAPH for a in node.attribute):
            return False
        named = self._onnx.helper.make_empty_tensor_value_info
        given = [named(name) for name in dict.fromkeys(names)]
        made = [named(name) for name in node.output if name]
        alone = self._onnx.helper.make_graph([node], "constants", given, made)
        sets = [self._onnx.helper.make_opsetid(domain, n) for domain, n in opsets.items()]
        model = self._onnx.helper.make_model(alone, opset_imports=sets)
        evaluator = self._onnx.reference.ReferenceEvaluator(model)
        try:
            found = evaluator.run(None, {name: constants[name] for name in names})
        except Exception:  # an operator that the evaluator doesn't have either
            return False
        for name, value in zip([n for n in node.output if n], found, strict=True):
            constants[name] = np.asarray(value)
        return True
