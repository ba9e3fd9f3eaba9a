"""Region rules against what a convolution really touches."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from midge.runtime.regions import Need, safe_distance, whole, window

geometry = st.tuples(
    st.integers(1, 7),  # input size
    st.integers(1, 3),  # kernel
    st.integers(1, 3),  # stride
    st.integers(1, 2),  # dilation
    st.integers(0, 2),  # padding before
    st.integers(0, 2),  # padding after
)


def outputs(size: int, extent: int, stride: int, before: int, after: int) -> int:
    return (size + before + after - extent) // stride + 1


@given(geometry, st.data())
def test_window_needs_what_the_taps_touch(shape, data) -> None:  # type: ignore[no-untyped-def]
    size, kernel, stride, dilation, before, after = shape
    extent = (kernel - 1) * dilation + 1
    count = outputs(size, extent, stride, before, after)
    if count < 1:
        return
    begin = data.draw(st.integers(0, count - 1))
    end = data.draw(st.integers(begin + 1, count))
    taps = [o * stride - before + k * dilation for o in range(begin, end) for k in range(kernel)]
    first, last, pad_before, pad_after = window(count, size, extent, stride, before).needs(
        begin, end
    )
    assert pad_before == max(0, -min(taps))
    assert pad_after == max(0, max(taps) + 1 - size)
    inside = [tap for tap in taps if 0 <= tap < size]
    if inside:
        assert first == max(min(taps), 0)
        assert last == min(max(taps) + 1, size)


def overwrites(need: Need, in_bytes: int, out_bytes: int, distance: int) -> bool:
    """Does a kernel in raster order lose a byte that it still needs, `distance` apart?"""
    base = max(0, -distance)
    start_in, start_out = base + distance, base
    rows, columns = len(need.rows.low), len(need.columns.low)
    height, width = need.rows.size, need.columns.size
    memory = np.zeros(start_in + start_out + (height * width + rows * columns) * 8, np.int64)
    memory[start_in : start_in + height * width * in_bytes] = np.arange(height * width * in_bytes)
    for y in range(rows):
        for x in range(columns):
            for _ in range(out_bytes):  # a kernel may read the window again for each channel
                top, bottom, _, _ = need.rows.needs(y, y + 1)
                left, right, _, _ = need.columns.needs(x, x + 1)
                for row in range(top, bottom):
                    begin = (row * width + left) * in_bytes
                    size = (right - left) * in_bytes
                    found = memory[start_in + begin : start_in + begin + size]
                    if not np.array_equal(found, np.arange(begin, begin + size)):
                        return True
                at = start_out + (y * columns + x) * out_bytes
                memory[at : at + out_bytes - 1] = -1
            memory[start_out + (y * columns + x) * out_bytes + out_bytes - 1] = -1
    return False


@settings(max_examples=150, deadline=None)
@given(geometry, geometry, st.integers(1, 3), st.integers(1, 3))
def test_safe_distance_is_safe(rows, columns, in_bytes, out_bytes) -> None:  # type: ignore[no-untyped-def]
    spans = []
    for size, kernel, stride, dilation, before, after in (rows, columns):
        extent = (kernel - 1) * dilation + 1
        count = outputs(size, extent, stride, min(before, extent - 1), min(after, extent - 1))
        if count < 1:
            return
        spans.append(window(count, size, extent, stride, min(before, extent - 1)))
    need = Need(*spans)
    distance = safe_distance(need, (in_bytes, out_bytes))
    assert not overwrites(need, in_bytes, out_bytes, distance)
    assert safe_distance(need, (in_bytes, out_bytes), by_row=True) >= distance


def test_a_pointwise_operator_may_run_in_place() -> None:
    need = Need(window(4, 4), window(5, 5))
    assert safe_distance(need, (3, 3)) == 3  # one pixel, written while it is still read
    assert overwrites(need, 3, 3, 1)


def test_whole_axis() -> None:
    assert whole(3, 7).needs(1, 2) == (0, 7, 0, 0)
