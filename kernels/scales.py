"""Questions about real scales that several operators ask, answered in TFLite's float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..runtime.graph import Tensor


def round_half_away(x: ArrayLike) -> NDArray[np.float64]:
    """x rounded to a whole number, ties away from zero (C's `round`); |x| < 2**52."""
    value = np.asarray(x, np.float64)
    return np.copysign(np.floor(np.abs(value) + 0.5), value)


def quantize_bound(real: float, tensor: Tensor) -> int:
    """A real number in the tensor's quantized numbers, divided in float32, not clamped."""
    ratio = np.float32(real) / np.float32(tensor.scale)
    return int(round_half_away(ratio)) + tensor.zero_point


def checked_log2(scale: float) -> int | None:
    """The whole number that log2(scale) is, give or take 0.001; None if it is none.

    (TFLite `CheckedLog2`, quantization_util.cc, all in float32.)
    """
    one, x = np.float32(1.0), np.float32(scale)
    log2 = np.log(x) * (one / np.log(np.float32(2.0)))
    nearest = np.float32(round_half_away(log2))
    return int(nearest) if abs(log2 - nearest) < np.float32(1e-3) else None
