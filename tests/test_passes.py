"""Each pass on a small graph: what it rewrites, and what it must leave alone."""

from __future__ import annotations

import build_tflite as b
import numpy as np
import pytest
from tflite_writer import ModelBuilder

from midge.runtime.attributes import Padding
from midge.runtime.graph import Graph
from midge.runtime.importers import read_model
from midge.runtime.options import Options
from midge.runtime.pipeline import rewrite


def operators(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def pad_then(op: str, value: int | None, zero_point: int) -> bytes:
    """PAD by one pixel at the top, two at the right, then a 3x3 window."""
    model = ModelBuilder()
    quantized = ("int8", 0.05, zero_point)
    x, padded = model.tensor((1, 4, 4, 2), *quantized), model.tensor((1, 5, 6, 2), *quantized)
    y = model.tensor((1, 3, 4, 2), *quantized)
    pads = model.constant([[0, 0], [1, 0], [0, 2], [0, 0]])
    if value is None:
        model.node("PAD", [x, pads], [padded])
    else:
        constant = model.constant([value], "int8", scale=0.05, zero_point=zero_point)
        model.node("PADV2", [x, pads, constant], [padded])
    if op == "CONV_2D":
        weights = model.constant(np.ones((2, 3, 3, 2)), "int8", scale=0.1)
        model.node(op, [padded, weights], [y], padding="VALID", stride_h=1, stride_w=1)
    else:
        model.node(
            op,
            [padded],
            [y],
            padding="VALID",
            stride_h=1,
            stride_w=1,
            filter_height=3,
            filter_width=3,
        )
    return model.build([x], [y])


@pytest.mark.parametrize(
    ("op", "value", "zero_point", "folds"),
    [
        ("CONV_2D", None, -5, True),
        ("CONV_2D", -5, -5, True),
        ("CONV_2D", 0, -5, False),  # another value than the zero point
        ("MAX_POOL_2D", None, -5, False),  # a pooled zero point would win over less
        ("MAX_POOL_2D", None, -128, True),  # the least value never wins
        ("AVERAGE_POOL_2D", None, -128, False),  # padding would not be counted
    ],
)
def test_fold_pad(op: str, value: int | None, zero_point: int, folds: bool) -> None:
    graph = rewrite(read_model(pad_then(op, value, zero_point)), Options())
    assert ("pad" not in operators(graph)) == folds
    if folds:
        assert graph.nodes[0].attrs.padding == Padding(top=1, right=2)


def relu_after_add(scale: float) -> bytes:
    model = ModelBuilder()
    x, total = (model.tensor((1, 8), "int8", 0.05, 3) for _ in range(2))
    y = model.tensor((1, 8), "int8", scale, 3)
    model.node("ADD", [x, x], [total])
    model.node("RELU", [total], [y])
    return model.build([x], [y])


@pytest.mark.parametrize(("scale", "fuses"), [(0.05, True), (0.04, False)])
def test_fuse_activation(scale: float, fuses: bool) -> None:
    graph = rewrite(read_model(relu_after_add(scale)), Options())
    assert operators(graph) == (["add"] if fuses else ["add", "relu"])
    assert graph.nodes[0].attrs.activation == ("relu" if fuses else "none")


def test_legacy_uint8_becomes_int8_behind_the_border() -> None:
    graph = rewrite(read_model(b.conv2d(dtype="uint8", per_channel=False)), Options())
    assert operators(graph) == ["quantize", "conv2d", "quantize"]
    assert {graph.tensors[i].dtype for i in (*graph.inputs, *graph.outputs)} == {"uint8"}
    original = read_model(b.conv2d(dtype="uint8", per_channel=False))
    weights = graph.input(graph.nodes[1], 1)
    assert weights.zero_point == original.input(original.nodes[0], 1).zero_point - 128
    assert graph.inputs == original.inputs
    assert graph.outputs == original.outputs


def test_dead_nodes_and_constants_go() -> None:
    model = ModelBuilder()
    x, y, dead = (model.tensor((1, 8), "int8", 0.05, 3) for _ in range(3))
    a = model.constant(np.arange(8).reshape(1, 8), "int8", scale=0.05, zero_point=3)
    total = model.tensor((1, 8), "int8", 0.1, 3)
    model.node("ADD", [a, a], [total])
    model.node("ADD", [x, total], [y])
    model.node("ADD", [x, x], [dead])
    graph = rewrite(read_model(model.build([x], [y])), Options())
    assert operators(graph) == ["add"]
    assert graph.input(graph.nodes[0], 1).constant


def test_strip_border() -> None:
    model = ModelBuilder()
    x, y = model.tensor((1, 8), "float32"), model.tensor((1, 8), "float32")
    a, c = model.tensor((1, 8), "int8", 0.05, 3), model.tensor((1, 8), "int8", 0.1, 3)
    model.node("QUANTIZE", [x], [a])
    model.node("ADD", [a, a], [c])
    model.node("DEQUANTIZE", [c], [y])
    source = read_model(model.build([x], [y]))
    assert operators(rewrite(source, Options())) == ["quantize", "add", "dequantize"]
    stripped = rewrite(source, Options(int8_io=True))
    assert operators(stripped) == ["add"]
    assert {stripped.tensors[i].dtype for i in (*stripped.inputs, *stripped.outputs)} == {"int8"}
