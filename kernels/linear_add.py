"""int8 sums as one linear function, where that has the reference's bits for every pair of inputs.

TFLite brings both operands to a common scale, adds, and rescales: it rounds three times, each a
little. (a_scale * a / 256 + b_scale * b / 256 + offset) >> 21 rounds otherwise, but nearly always
gives the same; all 65,536 pairs are tried. Quotients are rounded down, each or both together.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from . import fixedpoint as fp
from .add import rescaled

FRACTION_BITS = 21


NUDGES = (0, 48, -48, 96, -96)  # of a scale, where the nearest one won't do
MOST = (1 << 31) - (1 << 15)  # of a scale, so that its halves have 16 bits each
Found = tuple[int, int, int]


def linear(words: dict[str, int], together: bool = False) -> Found | None:
    """Both scales and an offset, if there are some that are right for all pairs.

    `words` are those of `add.rescaling`; `together`: one quotient of both.
    """
    values = np.arange(-128, 128)
    sums = rescaled(words, "a", values)[:, None] + rescaled(words, "b", values)
    scaled = fp.multiply_by_quantized_multiplier(sums, words["y_multiplier"], words["y_shift"])
    right = (scaled.astype(np.int64) + words["y_offset"]).clip(-128, 127)
    a_scale, b_scale = (_scale(words, side) for side in "ab")
    if max(abs(a_scale), abs(b_scale)) >= MOST - max(NUDGES):
        return None
    for a_nudge, b_nudge in product(NUDGES, NUDGES):
        own = a_scale + a_nudge, b_scale + b_nudge
        offset = _offset(*own, right, together)
        if offset is not None:
            return *own, offset
    return None


def _offset(a_scale: int, b_scale: int, right: NDArray[np.int64], together: bool) -> int | None:
    """One that is `right` for all pairs with these scales."""
    values = np.arange(-128, 128)
    a, b = (a_scale * values)[:, None], (b_scale * values)[None, :]
    made = a + b >> 8 if together else (a >> 8) + (b >> 8)
    lowest = (right << FRACTION_BITS) - made
    highest = lowest + (1 << FRACTION_BITS) - 1
    least = lowest[right > -128].max(initial=fp.INT32_MIN)
    most = highest[right < 127].min(initial=fp.INT32_MAX)
    offset = int(least + most) // 2
    fits = least <= most and max(abs(made + offset).max(), abs(offset)) < 1 << 31
    return offset if fits else None


def _scale(words: dict[str, int], side: str) -> int:
    """From units of an operand to units of y / 2**(FRACTION_BITS + 8)."""
    factor = float(words["y_multiplier"]) * 2.0 ** (words["y_shift"] - 31)
    if words["y_shift"] == fp.IN_FLOATS:
        factor = float(np.int32(words["y_multiplier"]).view(np.float32))
    own = words[f"{side}_multiplier"] * 2.0 ** (words[f"{side}_shift"] - 31 + words[f"{side}_left"])
    return round(own * factor * 2.0 ** (FRACTION_BITS + 8))
