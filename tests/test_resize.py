"""RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR: TFLite's reference, ours and native agree."""

from __future__ import annotations

from dataclasses import replace

import build_tflite as build
import numpy as np
import pytest
from exact import assert_exact, draw_values, single_node, why_refused
from hypothesis import given, settings
from hypothesis import strategies as st
from one_operator import assert_three_ways
from tflite_writer import ModelBuilder

from midge.kernels import resize, table
from midge.runtime.attributes import Resize
from midge.runtime.lowering import PIXEL, TENSOR
from midge.runtime.ops import need

OPS = ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"]
TYPES = ["int8", "int16", "float32"]


def model(op, shape, size, dtype, align=False, half=False, y=(0.05, 3)):
    """A model of one resize."""
    builder = ModelBuilder()
    x, y = ((None, 0), (None, 0)) if dtype == "float32" else ((0.05, 3), y)
    tensors = [
        builder.tensor(shape, dtype, *x),
        builder.tensor((shape[0], *size, shape[3]), dtype, *y),
    ]
    options = {"align_corners": align, "half_pixel_centers": half}
    builder.node(op, [tensors[0], builder.constant(size)], tensors[1:], **options)
    return builder.build(tensors[:1], tensors[1:])


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(OPS), st.sampled_from(TYPES), st.integers(0, 1000))
def test_geometry(data, op, dtype, seed):
    shape = [data.draw(st.integers(1, most)) for most in (2, 17, 17, 5)]
    size = [data.draw(st.integers(1, 40)) for _ in range(2)]
    if data.draw(st.booleans()):
        size = [2 * shape[1], 2 * shape[2]]
    modes = [(False, False), (True, False), (False, True)]
    if op == "RESIZE_NEAREST_NEIGHBOR":
        modes.append((True, True))
    content = model(op, shape, size, dtype, *data.draw(st.sampled_from(modes)))
    values = draw_values(np.random.default_rng(seed), shape, dtype)
    if dtype == "float32":
        values = np.clip(values, -1e6, 1e6)
    assert_exact(content, [values])


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", TYPES)
def test_long_axes(op, dtype, half):
    """Rounded positions drift along an axis, as TFLite's do."""
    values = draw_values(np.random.default_rng(0), (1, 1, 3000, 1), dtype)
    values = np.clip(values, -1e6, 1e6) if dtype == "float32" else values
    for columns in (1777, 5003):
        assert_exact(model(op, values.shape, (1, columns), dtype, half=half), [values])


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(("columns", "half"), [(3, False), (3, True), (60, False), (5003, True)])
def test_overlap_only_where_the_region_rule_holds(op, columns, half):
    graph, node = single_node(model(op, (1, 1, 30, 1), (1, columns), "int8", half=half))
    if op == "RESIZE_BILINEAR":
        axis = resize.interpolations(graph, node)[1]
        tables = [axis.low, axis.high]
    else:
        tables = [resize.nearest_indices(columns, 30, node.attrs)]
    span = need(graph, node, 0).columns
    low, high = np.maximum(span.low, 0), np.minimum(span.high, span.size)
    covered = all(((low <= read) & (read < high)).all() for read in tables)
    assert table.lower(graph, node).granularity == (PIXEL if covered else TENSOR)


def test_refusals():
    long = model("RESIZE_BILINEAR", (1, 1, 1000, 1), (1, 5003), "int8")  # TFLite reads beyond it
    assert why_refused(long) == (
        "A resize_bilinear must not enlarge a long axis so that its rounded steps run past the "
        "input."
    )
    other = model("RESIZE_BILINEAR", (1, 2, 2, 1), (4, 4), "int8", y=(0.06, 3))
    assert why_refused(other) == "Input and output of a resize must have the same quantization."
    graph, node = single_node(model("RESIZE_BILINEAR", (1, 2, 2, 1), (4, 4), "int8", align=True))
    both = replace(node, attrs=replace(node.attrs, half_pixel_centers=True))
    refused = table.refusal(graph, both, 0)
    assert refused is not None
    assert refused.why == "resize_bilinear can't have both align_corners and half_pixel_centers."


@pytest.mark.skipif(
    not hasattr(Resize(), "unsigned"), reason="legacy_uint8 can't mark a resize as unsigned yet"
)
@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(OPS))
def test_uint8(data, op):
    """What was uint8 is mixed in float32, but kept as int8."""
    shape = (1, data.draw(st.integers(1, 17)), data.draw(st.integers(1, 17)), 3)
    size = [data.draw(st.integers(1, 40)) for _ in range(2)]
    half = data.draw(st.booleans())
    assert_three_ways(build.resize(op, shape, size, half_pixel_centers=half, dtype="uint8"))
