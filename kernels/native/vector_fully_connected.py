"""Native twin of `kernels/vector/fully_connected.py`."""

from __future__ import annotations

from ..vector.fully_connected import S8
from .memory import int8_at, int32_at
from .product import matrix_product
from .registry import kernel
from .tile import SAMPLE_SHAPES

P = S8.index

_product = matrix_product(SAMPLE_SHAPES, signed=True)


@kernel
def fully_connected_vector_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    segments, count = int32_at(constants, p[P.segments]), p[P.segment_count]
    steps, units = p[P.steps], p[P.units]
    weights, parameters = int8_at(constants, p[P.weights]), int8_at(constants, p[P.parameters])
    depth = p[P.depth]
    given = (
        segments, count, steps, weights, count * steps * 64, parameters,
        units, p[P.least], p[P.greatest], p[P.plain],
    )  # fmt: skip
    for batch in range(p[P.batches]):
        x, y = int8_at(arena, p[P.x] + batch * depth), int8_at(arena, p[P.y] + batch * units)
        _product(x, y, 1, depth, units, units, given)
