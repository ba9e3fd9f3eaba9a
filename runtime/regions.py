"""Which input region an output region needs: the one geometric question.

Row streaming, patches, splitting a layer over devices, tiling for a scratchpad and the safe
distance between an input and the output written over it are all answered from here. The algebra is
that of DeepThings' and MCUNetV2's fused tiles, with the model's own padding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Span:
    """Along one axis: output index i needs input indices low[i] .. high[i]-1, not yet clamped."""

    low: np.ndarray  # int64 [output size]
    high: np.ndarray  # int64 [output size]
    size: int  # of the input axis

    def needs(self, begin: int, end: int) -> tuple[int, int, int, int]:
        """(first, last + 1, padding before, padding after) for the outputs begin .. end-1."""
        low, high = int(self.low[begin:end].min()), int(self.high[begin:end].max())
        first, last = min(max(low, 0), self.size), min(max(high, 0), self.size)
        return first, last, max(0, -low), max(0, high - self.size)


@dataclass(frozen=True, eq=False)
class Need:
    """What an operator needs of one input: rows and columns of an NHWC image, all channels."""

    rows: Span
    columns: Span


def window(outputs: int, size: int, extent: int = 1, stride: int = 1, before: int = 0) -> Span:
    """A sliding window over `extent` inputs (dilation included), `before` of them padding."""
    low = np.arange(outputs, dtype=np.int64) * stride - before
    return Span(low, low + extent, size)


def whole(outputs: int, size: int) -> Span:
    """Every output needs the whole axis."""
    return Span(np.zeros(outputs, np.int64), np.full(outputs, size, np.int64), size)


def scaled(size: int, low: np.ndarray, high: np.ndarray) -> Span:
    """Output i needs inputs low[i] .. high[i] (inclusive, already in range), as for resizing."""
    return Span(low.astype(np.int64), high.astype(np.int64) + 1, size)


def safe_distance(need: Need, pixel_bytes: tuple[int, int], by_row: bool = False) -> int:
    """Least number of bytes by which an image must start after the output written over it.

    The kernel makes output pixels in raster order. `pixel_bytes` is (input, output) bytes of one
    pixel. While output pixel i is written, all that later outputs and pixel i itself need must
    still be there, so for every i: output + (i + 1) * out_bytes <= input + first byte still needed.
    With `by_row` the same holds for whole rows: a kernel may write a row in any order.
    """
    in_bytes, out_bytes = pixel_bytes
    width = len(need.columns.low)
    rows = np.clip(need.rows.low, 0, max(need.rows.size - 1, 0))
    columns = np.clip(need.columns.low, 0, max(need.columns.size - 1, 0))
    if by_row:
        first = rows * need.columns.size * in_bytes
        written = (np.arange(len(rows), dtype=np.int64) + 1) * width * out_bytes
    else:
        first = ((rows[:, None] * need.columns.size + columns[None, :]) * in_bytes).reshape(-1)
        written = (np.arange(first.size, dtype=np.int64) + 1) * out_bytes
    still_needed = np.minimum.accumulate(first[::-1])[::-1]
    return int((written - still_needed).max())
