"""ONNX models (opset 7 and newer) to graphs.

The road: file -> checked protobuf with its sizes bound -> constants folded by the `onnx` package's
own evaluator -> one reader an operator (`onnx_operators`), which turns NCHW into NHWC where images
begin and back where they end -> `onnx_qdq`, which turns QuantizeLinear and DequantizeLinear round
an operator into an integer operator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, MidgeError, MissingTool, ModelError, Refusal, UnsupportedModel
from ..graph import Graph
from ..narrow import CARRIERS
from ..rounding import in_floats
from .known import graph_of
from .onnx_building import Builder
from .onnx_infinity import keep_infinity
from .onnx_nodes import OWN_DOMAINS, Walk
from .onnx_qdq import fuse
from .tflite_file import Malformed
from .tflite_reading import Unsupported

LEAST_OPSET = 7


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
    return _finished(_Import(model, label, digest, input_values or {}).graph())


def _finished(graph: Graph) -> Graph:
    """The graph with integer operators for those in QuantizeLinear and DequantizeLinear."""
    return in_floats(keep_infinity(fuse(graph)))


def _onnx() -> Any:
    try:
        import onnx
        import onnx.checker
        import onnx.external_data_helper
        import onnx.numpy_helper
        import onnx.reference
        import onnx.shape_inference
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
    if opset < LEAST_OPSET and not _unchanged(model, opset):
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


def _unchanged(model: Any, opset: int) -> bool:
    """Whether all operators of an older model mean what they do since `LEAST_OPSET`; those within
    others are not looked at."""
    schema = _onnx().defs.get_schema
    try:
        return opset > 0 and all(
            schema(node.op_type, opset, "").since_version
            == schema(node.op_type, LEAST_OPSET, "").since_version
            and not any(attribute.HasField("g") for attribute in node.attribute)
            for node in model.graph.node
        )
    except Exception:  # the package has no such operator
        return False


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
    """One model's inputs, nodes in order, and outputs."""

    def __init__(
        self, model: Any, label: str, digest: str, values: Mapping[str, np.ndarray]
    ) -> None:
        self._onnx = _onnx()
        self.model, self.label, self.digest = model, label, digest
        self.build = Builder()
        self.build.offers.update(values)
        self.walk = Walk(self._onnx, self.build)
        self._inferred: dict[str, tuple[tuple[int, ...], str]] | None = None

    def graph(self) -> Graph:
        for tensor in self.model.graph.initializer:
            self.build.constants[tensor.name] = self._constant(tensor)
        inputs = []
        for value in self.model.graph.input:
            if value.name not in self.build.constants:
                inputs.append(self._input(value))
        self._nodes()
        outputs = tuple(self.build.plain(value.name) for value in self.model.graph.output)
        return self.build.graph(tuple(inputs), outputs, self.digest)

    def _constant(self, tensor: Any) -> np.ndarray:
        try:
            return np.asarray(self._onnx.numpy_helper.to_array(tensor))
        except Exception as error:  # the package's errors have no common base
            raise ModelError(
                self.label, f"the constant {tensor.name!r} is broken: {_first_line(error)}"
            ) from None

    def _input(self, value: Any) -> int:
        kind = value.type.tensor_type
        if not kind.elem_type:
            raise ModelError(self.label, f"input {value.name!r} is no tensor", "pass tensors only")
        dtype = np.dtype(self._onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
        shape = tuple(d.dim_value for d in kind.shape.dim)
        made = self.build.input(value.name, shape, CARRIERS.get(dtype.name, dtype.name))
        if made is None:
            raise ModelError(self.label, f"input {value.name!r} has the type {dtype}")
        if dtype.name in CARRIERS:
            self.build.narrow[value.name] = dtype
        return made

    def _nodes(self) -> None:
        refusals: list[Refusal] = []
        known = 0  # refusals whose outputs are assumed to be there
        opsets = {"": self._onnx.defs.onnx_opset_version()}
        opsets |= {o.domain: o.version for o in self.model.opset_import}
        for number, node in enumerate(self.model.graph.node):
            try:
                self.walk.node(number, node, opsets)
            except Unsupported as error:
                refusals.append(Refusal(number, node.op_type, error.why, error.remedy))
            except KeyError:
                if not refusals:  # behind a refused node tensors are missing
                    raise ModelError(self.label, f"node {number} reads what no one makes") from None
            except MemoryError:
                title = f"node {number} ({node.op_type} {node.name!r})"
                raise ModelError(self.label, f"{title} needs more memory than there is") from None
            except (Malformed, ValueError, IndexError, TypeError) as error:
                if not refusals:
                    title = f"node {number} ({node.op_type} {node.name!r})"
                    raise ModelError(self.label, f"{title}: {_first_line(error)}") from None
            if len(refusals) > known:
                known = len(refusals)
                self._assume(node)
        if refusals:
            raise UnsupportedModel(self.label, refusals, readable=self._readable())

    def _assume(self, node: Any) -> None:
        """Go on behind a refused node as if it were there, where ONNX knows what it makes."""
        if self._inferred is None:
            self._inferred = self._shapes()
        for name in node.output:
            if name in self._inferred and name not in self.build.values:
                self.build.input(name, *self._inferred[name])

    def _shapes(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape and type of what ONNX's own inference, or the file, knows."""
        try:
            model = self._onnx.shape_inference.infer_shapes(self.model)
        except Exception:  # a model with unknown operators may have no such thing
            model = self.model
        found = {}
        for value in (*model.graph.value_info, *model.graph.output):
            kind = value.type.tensor_type
            shape = tuple(d.dim_value for d in kind.shape.dim)
            if kind.elem_type and all(shape):
                dtype = np.dtype(self._onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
                found[value.name] = shape, dtype.name
        return found

    def _readable(self) -> Graph | None:
        """The graph of what could be read, for what a target refuses of it."""
        nodes, tensors = self.build.nodes, self.build.tensors
        try:
            return _finished(graph_of(nodes, tensors)) if nodes else None
        except (MidgeError, ValueError, KeyError):  # a part of a graph may be none
            return None
