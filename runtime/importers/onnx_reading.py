"""One ONNX node as its reader sees it, and what readers share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..attributes import Shape
from .onnx_building import IMAGE, PLAIN, TO_NHWC, Builder, Value
from .tflite_reading import Unsupported


@dataclass(frozen=True)
class NodeReading:
    """One ONNX node as a reader sees it."""

    build: Builder
    number: int
    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    opset: int

    def has(self, place: int) -> bool:
        return place < len(self.inputs) and bool(self.inputs[place])

    def attribute(self, name: str, default: Any = None) -> Any:
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def constant(self, place: int, what: str) -> np.ndarray:
        """A constant input; `Unsupported` where it is computed."""
        if not self.has(place):
            raise ValueError(f"it lacks its {what}")
        value = self.build.known(self.inputs[place], insist=True)
        if value is None:
            raise Unsupported(f"its {what} is computed", f"export it with a constant {what}")
        return value

    def optional_constant(self, place: int, what: str) -> np.ndarray | None:
        return self.constant(place, what) if self.has(place) else None

    def shape(self, place: int = 0) -> Shape:
        return self.build.shape(self.inputs[place])

    def emit(
        self, op: str, inputs: Sequence[int | None], attrs: Any = None, **more: Any
    ) -> tuple[int, ...]:
        name = self.outputs[0] if self.outputs else ""
        return self.build.node(op, inputs, attrs, name=name, origin=self.number, **more)


Made = Sequence[Value]
OnnxReader = Callable[[NodeReading], Made]

REFIT = "export it with other attributes"


def aligned(node: NodeReading) -> tuple[str, list[int]]:
    """All operands in one layout: NHWC if one of them is an image, else ONNX's own."""
    values = [node.build.value(name) for name in node.inputs]
    if not any(value.layout == IMAGE for value in values):
        return PLAIN, [node.build.plain(name) for name in node.inputs]
    operands = []
    for name in node.inputs:
        data = node.build.constants.get(name)
        if data is not None and data.ndim < 4:
            index = node.build.plain(name)
            shape = (1,) * (4 - data.ndim) + data.shape
            operands.append(node.build.transposed(node.build.reshaped(index, shape), TO_NHWC))
        else:
            operands.append(node.build.image(name))
    return IMAGE, operands


def in_own_type(node: NodeReading) -> Value:
    """The operand in whatever layout it has, as ONNX's type."""
    value = node.build.value(node.inputs[0])
    return node.build.unshifted(value) if value.shifted else value


def axes_of(node: NodeReading) -> list[int] | None:
    """Axes, an attribute before opset 13 (18 for reductions) and an input since."""
    if node.has(1):
        return [int(a) for a in node.constant(1, "axes").reshape(-1)]
    axes = node.attribute("axes")
    return None if axes is None else [int(a) for a in axes]
