"""Refusals name the model file's own nodes, all of them, after passes have moved them."""

from __future__ import annotations

import build_tflite as b
import pytest
from tflite_writer import ModelBuilder

from midge.runtime.errors import UnsupportedModel
from midge.runtime.importers import read_model
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model, rewrite


def two_float_tanhs() -> bytes:
    """TANH of float32, which no kernel has, behind a node that nobody needs."""
    model = ModelBuilder()
    x, y, z, dead = (model.tensor((1, 4), "float32") for _ in range(4))
    model.node("RELU", [x], [dead])
    model.node("TANH", [x], [y])
    model.node("TANH", [y], [z])
    return model.build([x], [z])


def test_numbers_are_the_files() -> None:
    with pytest.raises(UnsupportedModel) as caught:
        compile_model(two_float_tanhs(), "cortex-m4")
    assert [(r.node, r.operator) for r in caught.value.refusals] == [(1, "tanh"), (2, "tanh")]
    for refusal in caught.value.refusals:
        assert refusal.why and refusal.remedy


def test_passes_keep_the_origin() -> None:
    graph = rewrite(read_model(b.conv2d(dtype="uint8", per_channel=False)), Options())
    assert [node.origin for node in graph.nodes] == [None, 0, None]
