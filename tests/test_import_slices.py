"""STRIDED_SLICE as imported takes the elements that TFLite's kernel takes, for any indices."""

from __future__ import annotations

import build_tflite as b
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import tflite_reference

from midge.runtime.attributes import StridedSlice
from midge.runtime.errors import ModelError
from midge.runtime.importers.tflite import read_tflite

SHAPE = (2, 5, 3)
INDICES = st.tuples(*(st.integers(-size - 2, size + 2) for size in SHAPE))
STRIDES = st.tuples(*(st.sampled_from((-3, -2, -1, 1, 2, 3)) for _ in SHAPE))
MASK = st.integers(0, 7)


def taken(attrs: StridedSlice, x: np.ndarray) -> np.ndarray:
    """The elements that the attributes name, by plain indexing."""
    for axis, (begin, stride, size) in enumerate(zip(attrs.begin, attrs.strides, attrs.sizes)):
        x = x.take(begin + stride * np.arange(size), axis)
    return x.squeeze(attrs.dropped)


@given(INDICES, INDICES, STRIDES, MASK, MASK, MASK)
@settings(max_examples=300, deadline=None)
def test_elements(
    begin: tuple[int, ...],
    end: tuple[int, ...],
    strides: tuple[int, ...],
    begin_mask: int,
    end_mask: int,
    shrink: int,
) -> None:
    model = b.strided_slice(
        SHAPE, begin, end, strides, "int32", output=(1,), begin_mask=begin_mask,
        end_mask=end_mask, shrink_axis_mask=shrink,
    )  # fmt: skip
    x = np.arange(30, dtype=np.int32).reshape(SHAPE)
    try:
        graph = read_tflite(model)
    except ModelError as error:
        assert _refused_rightly(str(error), begin, strides, begin_mask, shrink, model, x)
        return
    (expected,) = tflite_reference(model, [x])
    np.testing.assert_array_equal(taken(graph.nodes[0].attrs, x), expected)
    assert graph.tensors[graph.outputs[0]].shape == expected.shape


def _refused_rightly(
    message: str,
    begin: tuple[int, ...],
    strides: tuple[int, ...],
    begin_mask: int,
    shrink: int,
    model: bytes,
    x: np.ndarray,
) -> bool:
    """A dropped axis must be a valid index with a positive stride; nothing may be left empty."""
    dropped = [axis for axis in range(3) if shrink >> axis & 1]
    if "must be positive" in message:
        return any(strides[axis] < 0 for axis in dropped)
    if "out of range" in message:
        return any(not -SHAPE[a] <= begin[a] < SHAPE[a] for a in dropped if not begin_mask >> a & 1)
    return "would have the shape" in message and tflite_reference(model, [x])[0].size == 0
