"""Nodes of a user's own domain, as docs/custom-operators.md has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..custom import PREFIX, Options, find
from .onnx_building import Builder, Value
from .tflite_custom import MOST_OPERANDS, MOST_OPTIONS
from .tflite_reading import Unsupported

KNOWN_DOMAINS = ("", "ai.onnx", "com.microsoft", "ai.onnx.ml", "ai.onnx.training")


def is_brought(node: Any) -> bool:
    """Whether somebody brought the operator of a node of a foreign domain."""
    return node.domain not in KNOWN_DOMAINS and find(node.op_type) is not None


def read(build: Builder, number: int, node: Any, attributes: Mapping[str, Any]) -> None:
    """One node of the graph, operands in ONNX's own order of axes, outputs of the first's type."""
    if not 0 < len(node.input) <= MOST_OPERANDS or len(attributes) > MOST_OPTIONS:
        raise Unsupported(
            f"it has {len(node.input)} operands and {len(attributes)} attributes",
            f"give it 1 to {MOST_OPERANDS} operands and at most {MOST_OPTIONS} attributes",
        )
    options = Options(tuple((name, _value(name, value)) for name, value in attributes.items()))
    inputs = [build.plain(name) if name else None for name in node.input]
    first = build.tensors[next(i for i in inputs if i is not None)]
    made = build.node(
        PREFIX + node.op_type, inputs, options, quantization=first.quantization, name=node.name,
        origin=number, outputs=len(node.output),
    )  # fmt: skip
    for name, index in zip(node.output, made, strict=True):
        build.values[name] = Value(index)


def _value(name: str, value: Any) -> float | int | str:
    """An attribute as the options of a custom operator are: a number or a text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (int, float, str)) or np.isscalar(value):
        return value  # type: ignore[return-value]
    raise Unsupported(
        f"its attribute {name!r} is neither number nor text",
        "give the operator numbers and texts, and arrays as operands",
    )
