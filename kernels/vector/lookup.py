"""Lowering of a look-up that is no more than a changed sign bit, as between uint8 and int8."""

from __future__ import annotations

import numpy as np

from ...runtime.lowering import ELEMENT, Constant, Lowered
from ..elementwise import ROWS
from ..lookup import LOOKUP_S8
from ..operation import layout

FLIP = layout("flip_sign_s8", f"{ROWS} x y")
LAYOUTS = (FLIP,)


def improved(plain: Lowered) -> Lowered:
    """The same call, or one of `flip_sign_s8` that gives the same bytes."""
    table = plain.fields.get("table")
    if plain.kernel != LOOKUP_S8.kernel or not isinstance(table, Constant):
        return plain
    flipped = np.arange(-128, 128).astype(np.int8) ^ np.int8(-128)
    if not np.array_equal(table.array, flipped):
        return plain
    return FLIP.lowered(ELEMENT, **{name: plain.fields[name] for name in FLIP.fields})
