"""int8 sums as one linear function, where that has TFLite's bits for every pair of inputs.

TFLite brings both operands to a common scale, adds, and rescales: it rounds three times, each a
little. y = (a_scale * a / 256 + b_scale * b / 256 + offset) >> 21, each quotient rounded down,
rounds otherwise but nearly always gives the same; all 65,536 pairs are tried.
"""

from __future__ import annotations

import numpy as np

from ...kernels import fixedpoint as fp
from ...kernels.add import rescaled, rescaling
from ...kernels.operation import layout
from ...runtime.graph import Graph, Node
from ...runtime.lowering import Lowered

ADD = layout("add_linear_s8", "rows count a b y a_scale b_scale offset least greatest")
FRACTION_BITS = 21


def lower_add(graph: Graph, node: Node, plain: Lowered) -> Lowered | None:
    """The call for an `add_s8`, or None if a pair of inputs would get other bits."""
    found = linear(rescaling(graph, node))
    if found is None:
        return None
    a_scale, b_scale, offset = found
    own = {name: plain.fields[name] for name in ADD.fields if name in plain.fields}
    return ADD.lowered(
        plain.granularity,
        **own,
        a_scale=a_scale,
        b_scale=b_scale,
        offset=offset,
        least=plain.fields["minimum"],
        greatest=plain.fields["maximum"],
    )


def linear(words: dict[str, int]) -> tuple[int, int, int] | None:
    """Both scales and an offset, if there is an offset that is right for all pairs."""
    values = np.arange(-128, 128)
    sums = rescaled(words, "a", values)[:, None] + rescaled(words, "b", values)
    scaled = fp.multiply_by_quantized_multiplier(sums, words["y_multiplier"], words["y_shift"])
    right = (scaled.astype(np.int64) + words["y_offset"]).clip(-128, 127)
    a_scale, b_scale = (_scale(words, side) for side in "ab")
    if max(abs(a_scale), abs(b_scale)) >= 1 << 31:
        return None
    made = (a_scale * values >> 8)[:, None] + (b_scale * values >> 8)[None, :]
    lowest = (right << FRACTION_BITS) - made
    highest = lowest + (1 << FRACTION_BITS) - 1
    least = lowest[right > -128].max(initial=fp.INT32_MIN)
    most = highest[right < 127].min(initial=fp.INT32_MAX)
    offset = int(least + most) // 2
    fits = least <= most and max(abs(made + offset).max(), abs(offset)) < 1 << 31
    return (a_scale, b_scale, offset) if fits else None


def _scale(words: dict[str, int], side: str) -> int:
    """From units of an operand to units of y / 2**(FRACTION_BITS + 8)."""
    exponent = words[f"{side}_shift"] + words["y_shift"] - 62 + words[f"{side}_left"]
    product = words[f"{side}_multiplier"] * words["y_multiplier"]
    return round(product * 2.0 ** (exponent + FRACTION_BITS + 8))
