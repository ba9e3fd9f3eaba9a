"""Steps of the vector kernels with nothing round them: see `kernels/peak.py`."""

from __future__ import annotations

from numba.core import cgutils, types
from numba.extending import intrinsic

from ..peak import SUMS
from . import vectors as v
from .memory import INT64_POINTER
from .registry import native
from .steps import step


@intrinsic
def _steps(typing_context, count, seed):  # type: ignore[no-untyped-def]
    """`count` steps of each of SUMS sums, and something made of all of them."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        count, seed = arguments
        rule = step()
        quads = v.splat(builder, seed, v.SUMS)
        start = rule.start(builder, quads)
        activations, weights = rule.activations(builder, quads), rule.weights(builder, quads)
        rooms = [cgutils.alloca_once_value(builder, start) for _ in range(SUMS)]
        for room in rooms:
            builder.store(start, room)
        with cgutils.for_range(builder, count):
            for room in rooms:
                builder.store(rule.add(builder, builder.load(room), activations, weights), room)
        total = rule.total(builder, builder.load(rooms[0]))
        for room in rooms[1:]:
            total = builder.xor(total, rule.total(builder, builder.load(room)))
        return builder.sext(builder.extract_element(total, v.I32(0)), v.I64)

    return types.int64(types.int64, types.int64), emit


@native(INT64_POINTER)
def peak(cell):  # type: ignore[no-untyped-def]
    """cell: how many steps; then what came of them, so that none is left out."""
    cell[1] = _steps(cell[0], cell[1])
