"""Native twins of `kernels/vector/fully_connected.py`: one function makes all types' kernels."""

from __future__ import annotations

from ..operation import Layout
from ..vector.fully_connected import LAYOUT_OF
from .kinds import FLOAT, INT8_AS_IT_IS, INT16, Kind
from .memory import int8_at, int32_at
from .product import matrix_product
from .registry import kernel


def _fully_connected(words: Layout, kind: Kind) -> None:
    words_index, size_of = words.index, kind.itemsize
    product = matrix_product(kind, single=True)

    def connect(arena, constants, p):  # type: ignore[no-untyped-def]
        P = words_index
        segments, count = int32_at(constants, p[P.segments]), p[P.segment_count]
        steps, units = p[P.steps], p[P.units]
        weights, parameters = int8_at(constants, p[P.weights]), int8_at(constants, p[P.parameters])
        x_pixel, y_pixel = p[P.depth] * size_of, units * size_of
        given = (
            segments, count, steps, weights, count * steps * 64, parameters,
            units, p[P.least], p[P.greatest], p[P.plain],
        )  # fmt: skip
        for batch in range(p[P.batches]):
            x, y = (
                int8_at(arena, p[P.x] + batch * x_pixel),
                int8_at(arena, p[P.y] + batch * y_pixel),
            )
            product(x, y, 1, x_pixel, y_pixel, units, given)

    connect.__name__ = words.kernel
    kernel(connect)


_fully_connected(LAYOUT_OF["int8"], INT8_AS_IT_IS)
_fully_connected(LAYOUT_OF["int16"], INT16)
_fully_connected(LAYOUT_OF["float32"], FLOAT)
