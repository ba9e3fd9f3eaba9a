"""Refusals name the model file's own nodes, all of them, after passes have moved them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import build_tflite as b
import numpy as np
import pytest
from onnx import TensorProto, helper
from tflite_writer import ModelBuilder

from midge.runtime.errors import UnsupportedModel
from midge.runtime.importers import read_model
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model, rewrite
from midge.tools.cli import parse_and_run


def two_powers() -> bytes:
    """POW of float32, which no kernel has, behind a node that nobody needs."""
    model = ModelBuilder()
    x, y, z, dead = (model.tensor((1, 4), "float32") for _ in range(4))
    model.node("RELU", [x], [dead])
    model.node("POW", [x, x], [y])
    model.node("POW", [y, y], [z])
    return model.build([x], [z])


def test_numbers_are_the_files() -> None:
    with pytest.raises(UnsupportedModel) as caught:
        compile_model(two_powers(), "cortex-m4")
    assert [(r.node, r.operator) for r in caught.value.refusals] == [(1, "power"), (2, "power")]
    for refusal in caught.value.refusals:
        assert refusal.why and refusal.remedy


def five_nodes_that_are_refused() -> bytes:
    """Between others: two that nobody can read, and three that a microcontroller hasn't."""
    model = ModelBuilder()
    x, *values = (model.tensor((1, 4), "float32") for _ in range(8))
    codes = ["POW", "CUSTOM", "RELU", "POW", "CUSTOM", "POW", "RELU"]
    for code, (before, after) in zip(codes, pairwise([x, *values]), strict=True):
        named = {"custom_code": "Unheard"} if code == "CUSTOM" else {}
        model.node(code, [before] * (1 + (code == "POW")), [after], **named)
    return model.build([x], [values[-1]])


def test_check_names_every_node(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(five_nodes_that_are_refused())
    result = parse_and_run(["check", str(path), "--target", "cortex-m4"])
    named = [(refused["node"], refused["operator"]) for refused in result["refused"]]
    assert named == [(0, "power"), (1, "Unheard"), (3, "power"), (4, "Unheard"), (5, "power")]
    assert not result["ok"]


def test_check_names_every_node_of_onnx(tmp_path: Path) -> None:
    """What nobody reads, also one behind another, and what a microcontroller hasn't, before and
    behind it."""
    operators = ["Acos", "Unheard", "Relu", "Cosh", "Unheard", "Sinh", "Relu"]
    names = [f"t{i}" for i in range(len(operators) + 1)]
    nodes = [
        helper.make_node(op, [x], [y], domain="mine" if op == "Unheard" else "")
        for op, (x, y) in zip(operators, pairwise(names), strict=True)
    ]
    known = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, 4)) for n in names]
    graph = helper.make_graph(nodes, "all", known[:1], known[-1:], value_info=known[1:-1])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    path = tmp_path / "model.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=opsets).SerializeToString())
    result = parse_and_run(["check", str(path), "--target", "cortex-m4"])
    named = [(refused["node"], refused["operator"]) for refused in result["refused"]]
    assert named == [(0, "acos"), (1, "Unheard"), (3, "cosh"), (4, "Unheard"), (5, "sinh")]
    assert not result["ok"]


def test_shapes_are_known_while_a_model_is_read() -> None:
    """SHAPE, a slice of it, PACK and RESHAPE: nothing is left but a reshape."""
    model = ModelBuilder()
    x, y = model.tensor((2, 3, 4), "float32"), model.tensor((2, 12), "float32")
    shape, first = model.tensor((3,), "int32"), model.tensor((), "int32")
    both = model.tensor((2,), "int32")
    model.node("SHAPE", [x], [shape], options_type="ShapeOptions", out_type=2)
    begin, end, stride = (model.constant([n]) for n in (0, 1, 1))
    model.node(
        "STRIDED_SLICE", [shape, begin, end, stride], [first],
        options_type="StridedSliceOptions", shrink_axis_mask=1,
    )  # fmt: skip
    rest = model.constant(np.int32(-1))
    model.node("PACK", [first, rest], [both], options_type="PackOptions", values_count=2, axis=0)
    model.node("RESHAPE", [x, both], [y])
    graph = read_model(model.build([x], [y]))
    assert [node.op for node in graph.nodes] == ["reshape"]
    assert graph.output(graph.nodes[0]).shape == (2, 12)


def test_passes_keep_the_origin() -> None:
    graph = rewrite(read_model(b.conv2d(dtype="uint8", per_channel=False)), Options())
    assert [node.origin for node in graph.nodes] == [None, 0, None]
