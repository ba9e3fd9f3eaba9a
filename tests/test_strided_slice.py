"""STRIDED_SLICE and SLICE: TFLite's reference, ours and the native kernel agree."""

from __future__ import annotations

import math

import build_tflite as build
import numpy as np
from exact import assert_answers, golden_case
from hypothesis import given, settings
from hypothesis import strategies as st
from native_call import run_native
from one_operator import assert_three_ways, read_operator

from midge.kernels import table
from midge.kernels.strided_slice import merge_axes
from midge.runtime.attributes import StridedSlice
from midge.runtime.graph import Graph, Node, Tensor

TYPES = ("int8", "uint8", "int16", "int32", "int64", "float32", "bool")


@st.composite
def ranges(draw, size):
    """A non-empty range of indices along an axis, forwards or backwards."""
    first, last = (draw(st.integers(0, size - 1)) for _ in range(2))
    stride = draw(st.integers(1, 3))
    if first > last or (first == last and draw(st.booleans())):
        return range(first, last - 1, -stride)
    return range(first, last + 1, stride)


@settings(max_examples=250, deadline=None)
@given(st.data(), st.sampled_from(TYPES), st.sampled_from([1, 2, 3, 4, 4, 4, 5]))
def test_geometry(data, dtype, rank):
    shape = tuple(data.draw(st.integers(1, 6)) for _ in range(rank))
    taken = [data.draw(ranges(n)) for n in shape]
    if rank == 4 and data.draw(st.booleans()):
        taken[0] = range(shape[0])  # the row kernel's case
    # An end of -1 would count from the tail: the mask says "to the head" instead.
    end_mask = sum(1 << axis for axis, r in enumerate(taken) if r.stop < 0)
    model = build.strided_slice(
        shape,
        begin=[r.start for r in taken],
        end=[max(r.stop, 0) for r in taken],
        strides=[r.step for r in taken],
        dtype=dtype,
        output=[len(r) for r in taken],
        end_mask=end_mask,
    )
    assert_three_ways(model)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(["int8", "int16", "float32"]), st.integers(1, 4))
def test_dropped_axes(data, dtype, rank):
    shape = tuple(data.draw(st.integers(1, 5)) for _ in range(rank))
    dropped = [data.draw(st.booleans()) for _ in shape]
    begin = [data.draw(st.integers(0, n - 1)) for n in shape]
    model = build.strided_slice(
        shape,
        begin,
        end=[b + 1 if gone else n for b, n, gone in zip(begin, shape, dropped, strict=True)],
        strides=[1] * rank,
        dtype=dtype,
        output=[n - b for b, n, gone in zip(begin, shape, dropped, strict=True) if not gone],
        shrink_axis_mask=sum(1 << axis for axis, gone in enumerate(dropped) if gone),
    )
    assert_three_ways(model)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(["int8", "uint8", "int16", "int64"]), st.integers(1, 5))
def test_slice(data, dtype, rank):
    shape = tuple(data.draw(st.integers(1, 5)) for _ in range(rank))
    begin = [data.draw(st.integers(0, n - 1)) for n in shape]
    size = [data.draw(st.integers(1, n - b)) for n, b in zip(shape, begin, strict=True)]
    assert_three_ways(build.slice_(shape, begin, size, dtype))


def test_six_axes_backwards():
    shape = (3, 2, 4, 3, 2, 5)
    attrs = StridedSlice((2, 1, 3, 0, 1, 4), (-1, -1, -2, 2, -1, -2), (3, 2, 2, 2, 2, 3))
    tensors = {0: Tensor(0, "x", shape, "int64"), 1: Tensor(1, "y", attrs.sizes, "int64")}
    node = Node("strided_slice", (0,), (1,), attrs)
    graph = Graph((node,), tensors, (0,), (1,))
    x = np.arange(math.prod(shape), dtype=np.int64).reshape(shape)
    wanted = x[::-1, ::-1, ::-2, ::2, ::-1, ::-2]
    reference = table.OPERATIONS["strided_slice"].reference(graph, node, [x])
    np.testing.assert_array_equal(reference[0], wanted)
    np.testing.assert_array_equal(run_native(graph, node, [x])[0], wanted)


def test_walks_merge_to_the_fewest_axes():
    assert merge_axes((2, 3, 4), (12, 4, 1)) == ((24,), (1,))
    assert merge_axes((2, 3, 4), (24, 8, 2)) == ((24,), (2,))
    assert merge_axes((2, 1, 4), (12, 4, 1)) == ((2, 4), (12, 1))
    assert merge_axes((2, 3, 1), (12, 4, 1)) == ((6,), (4,))
    assert merge_axes((1, 1), (5, 5)) == ((1,), (5,))
    assert merge_axes((), ()) == ((1,), (0,))


def test_images_are_cut_by_rows():
    graph, node = read_operator(build.strided_slice())
    assert table.lower(graph, node).by_rows


def test_seanet_goldens(shared):
    models = sorted((shared / "op_tests/seanet/strided_slice").glob("*.tflite"))
    assert models
    for model in models:
        assert_answers(*golden_case(model))
