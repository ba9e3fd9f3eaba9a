"""Types narrower than those of the graph, and the wider ones that carry their numbers.

An int4 stands in an int8, a bfloat16 or a float8 in a float32: the same numbers, in more room.
Their formats are those of ONNX (https://onnx.ai/onnx/technical/float8.html) and OCP's Microscaling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np


@dataclass(frozen=True)
class Whole:
    bits: int
    signed: bool

    @property
    def limits(self) -> tuple[int, int]:
        half = 1 << (self.bits - 1)
        return (-half, half - 1) if self.signed else (0, 2 * half - 1)


@dataclass(frozen=True)
class Real:
    """Bits of exponent and fraction, the exponent's bias, and the greatest number.

    What is beyond it becomes the greatest if numbers are held (`always`, whatever is asked), else
    infinity in a format that has one, else no number. A format with neither has 0 for what is no
    number, with its sign.
    """

    exponent: int
    fraction: int
    bias: int
    most: float
    infinite: bool = False
    always: bool = False


WHOLE: Mapping[str, Whole] = {
    "int2": Whole(2, True),
    "int4": Whole(4, True),
    "uint2": Whole(2, False),
    "uint4": Whole(4, False),
}
REAL: Mapping[str, Real] = {
    "float4_e2m1fn": Real(2, 1, 1, 6.0, always=True),
    "float8_e4m3fn": Real(4, 3, 7, 448.0),
    "float8_e4m3fnuz": Real(4, 3, 8, 240.0),
    "float8_e5m2": Real(5, 2, 15, 57344.0, infinite=True),
    "float8_e5m2fnuz": Real(5, 2, 16, 57344.0),
}
POWERS, BFLOAT16 = "float8_e8m0fnu", "bfloat16"  # rounded by their bits
FLOATS = (*REAL, POWERS, BFLOAT16)
CARRIERS: Mapping[str, str] = {
    **{name: "int8" if kind.signed else "uint8" for name, kind in WHOLE.items()},
    **dict.fromkeys(FLOATS, "float32"),
}


@dataclass(frozen=True)
class Narrow:
    """The nearest numbers of a narrower type; of whole numbers, their lowest bits.

    `saturate` holds floats at the type's greatest number. `rounding` is that of powers of two: up,
    down or nearest.
    """

    kind: str = "int4"
    saturate: bool = True
    rounding: str = "up"


def carried(values: np.ndarray) -> np.ndarray:
    """An array of a narrow type in the type that carries it; others as they are."""
    carrier = CARRIERS.get(values.dtype.name)
    return values if carrier is None else values.astype(carrier)


@cache
def numbers(kind: str) -> np.ndarray:
    """All finite numbers of a format from 0 up, in order: that of their codes."""
    form = REAL[kind]
    codes = np.arange(1 << (form.exponent + form.fraction))
    power, rest = codes >> form.fraction, codes & ((1 << form.fraction) - 1)
    share = rest / (1 << form.fraction)
    values = np.where(power == 0, share * 2, 1 + share) * 2.0 ** (power - form.bias)
    return np.asarray(values[values <= form.most], np.float64)
