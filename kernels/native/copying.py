"""Moving bytes inside native kernels: runs of elements of any size, and fills."""

from __future__ import annotations

from .fixedpoint import inline
from .memory import copy_bytes, int16_at, int32_at, int64_at


@inline
def copy_run(y, x, count, step, size):  # type: ignore[no-untyped-def]
    """`count` elements of `size` bytes (1, 2, 4, 8), `step` bytes apart in x, close in y.

    Elements are moved in order; with x in one piece they may overlap in any way.
    """
    if step == size:
        copy_bytes(y, x, count * size)
    elif size == 1:
        for i in range(count):
            y[i] = x[i * step]
    elif size == 2:
        for i in range(count):
            int16_at(y, 2 * i)[0] = int16_at(x, i * step)[0]
    elif size == 4:
        for i in range(count):
            int32_at(y, 4 * i)[0] = int32_at(x, i * step)[0]
    else:
        for i in range(count):
            int64_at(y, 8 * i)[0] = int64_at(x, i * step)[0]


@inline
def fill_bytes(y, pattern, count):  # type: ignore[no-untyped-def]
    """`count` bytes of y from the 8 bytes of `pattern`, over and over."""
    whole = count >> 3
    value, words = int64_at(pattern, 0)[0], int64_at(y, 0)
    for i in range(whole):
        words[i] = value
    for i in range(whole << 3, count):
        y[i] = pattern[i & 7]
