"""The nodes of an ONNX model, one after the other: folded, read, or written out by others."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from ..graph import DTYPES
from . import onnx_custom
from .onnx_building import Builder
from .onnx_control import CONTROL, Control
from .onnx_folding import fold
from .onnx_functions import bound, definition
from .onnx_narrow import MOVERS, refuse_narrow
from .onnx_operators import READERS
from .onnx_qlinear import written_out
from .onnx_reading import NodeReading
from .onnx_signs import QONNX
from .tflite_reading import Unsupported

OWN_DOMAINS = ("", "ai.onnx")
OTHER_DOMAINS = {"BipolarQuant": QONNX}
DEEPEST = 8  # definitions within definitions
DEEPEST_CONTROL = 32  # control flow within control flow
MOST_NODES = 50_000  # with what is written out


class Walk:
    """Takes nodes in order. `onnx` is the package, which importing midge doesn't import.

    A node is folded where all that it reads is constant; else it is read by its reader; else it is
    written out: control flow by its course, quantized operators and those that ONNX defines by
    others by what they stand for.
    """

    def __init__(self, onnx: Any, build: Builder) -> None:
        self._onnx, self.build = onnx, build
        self._depth = 0  # of definitions within definitions
        self._control_depth = 0
        self._written_out = 0
        self._taken = 0

    def node(self, number: int, node: Any, opsets: Mapping[str, int]) -> None:
        """Take one node, number `number` of the file; `Unsupported` where it can't be taken."""
        self._taken += 1
        if self._taken > MOST_NODES:
            raise Unsupported(f"it makes more than {MOST_NODES} nodes", "export a smaller model")
        if onnx_custom.is_brought(node):
            onnx_custom.read(self.build, number, node, self._attributes(node))
            return
        if fold(self._onnx, self.build, node, opsets):
            return
        self._remember(node, opsets)
        domains = OTHER_DOMAINS.get(node.op_type, (*OWN_DOMAINS, "com.microsoft"))
        own = node.domain in domains and node.op_type in READERS
        if own:
            mark = len(self.build.nodes), dict(self.build.values)
            try:
                self._read(number, node, opsets)
                return
            except Unsupported:
                del self.build.nodes[mark[0] :]
                self.build.values = mark[1]
                if not self._write_out(number, node, opsets):
                    raise
        elif not self._control(number, node, opsets) and not self._write_out(number, node, opsets):
            foreign = node.domain not in onnx_custom.KNOWN_DOMAINS
            bring = ", or bring it (docs/custom-operators.md)" if foreign else ""
            raise Unsupported(
                f"the operator {node.op_type} is not supported",
                f"export it from supported operators{bring}",
            )

    def _attributes(self, node: Any) -> dict[str, Any]:
        return {a.name: self._onnx.helper.get_attribute_value(a) for a in node.attribute}

    def _remember(self, node: Any, opsets: Mapping[str, int]) -> None:
        """How outputs could be known after all, if an operator asks for them as constants."""
        build = self.build

        def make() -> None:
            if all(build.known(name, insist=True) is not None for name in node.input if name):
                fold(self._onnx, self.build, node, opsets)

        for name in node.output if build.offers else ():
            build.makers[name] = make

    def _read(self, number: int, node: Any, opsets: Mapping[str, int]) -> None:
        attributes = self._attributes(node)
        reading = NodeReading(
            self.build, number, node.op_type, list(node.input), list(node.output), attributes,
            opsets.get("", opsets.get("ai.onnx", 0)),
        )  # fmt: skip
        narrow = refuse_narrow(reading)
        made = READERS[node.op_type](reading)
        missing = [name for name in node.output[len(made) :] if name]
        if missing and missing[0] not in self.build.constants:
            raise Unsupported(f"its output {missing[0]!r} is asked for", "leave that output out")
        for name, value in zip(node.output, made, strict=False):
            self.build.values[name] = value
            if narrow is not None and node.op_type in MOVERS:
                self.build.narrow[name] = narrow

    def _write_out(self, number: int, node: Any, opsets: Mapping[str, int]) -> bool:
        """Read ONNX's own definition of an operator instead of it, where it has one."""
        if self._depth >= DEEPEST:
            return False
        prefix = self._fresh(node.op_type)
        known = node.domain in (*OWN_DOMAINS, "com.microsoft")
        nodes = written_out(self._onnx.helper.make_node, node, prefix) if known else []
        if nodes:
            newest = {**opsets, "": self._onnx.defs.onnx_opset_version()}
            for inner in nodes:
                self.node(number, inner, newest)
            return True
        opset = opsets.get(node.domain, opsets.get("ai.onnx", 0))
        body = definition(self._onnx, node, opset, self._type, prefix)
        if body is None:
            return False
        self._depth += 1
        try:
            for inner in body.nodes:
                self.node(number, inner, {**opsets, **body.opsets})
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
            self.node(number, made, newest)

        def inline(graph: Any, names: Mapping[str, str]) -> list[str]:
            prefix = self._fresh(node.op_type)
            names = {**names, **{t.name: prefix + t.name for t in graph.initializer}}
            for tensor in graph.initializer:
                value = self._onnx.numpy_helper.to_array(tensor)
                self.build.constants[names[tensor.name]] = value
            for inner in bound(self._onnx, graph.node, names, prefix):
                self.node(number, inner, opsets)
            made = {name for each in graph.node for name in each.output}
            return [
                names.get(v.name, prefix + v.name if v.name in made else v.name)
                for v in graph.output
            ]

        if self._control_depth >= DEEPEST_CONTROL:
            raise Unsupported(f"it lies within {DEEPEST_CONTROL} others", "nest less")
        control = Control(partial(self.build.known, insist=True), inline, emit, self._fresh)
        attributes = self._attributes(node)
        self._control_depth += 1
        try:
            batches = node.op_type == "Scan" and opsets.get("", opsets.get("ai.onnx", 0)) < 9
            write_out = control.write_out_batches if batches else control.write_out
            write_out(node, attributes, lambda name, axis: self.build.shape(name)[axis])
        finally:
            self._control_depth -= 1
        return True

    def _fresh(self, stem: str) -> str:
        self._written_out += 1
        return f"{stem}.{self._written_out}."

    def _type(self, name: str) -> Any:
        """The type and shape of a tensor as a protobuf, None if it isn't known."""
        build = self.build
        if name not in build.constants and name not in build.values:
            return None
        data, narrow = build.constants.get(name), build.narrow_of(name)
        if narrow is not None:
            kind = narrow
        elif data is None:
            value = build.value(name)
            kind = DTYPES[build.tensors[value.index].dtype]
            kind = np.dtype(np.uint8) if value.shifted else kind
        else:
            kind = data.dtype
        helper = self._onnx.helper
        code = helper.np_dtype_to_tensor_dtype(kind)
        return helper.make_tensor_type_proto(code, build.shape(name))
