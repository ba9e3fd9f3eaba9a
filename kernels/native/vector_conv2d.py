"""Native twin of `kernels/vector/conv2d.py`."""

from __future__ import annotations

from ..vector.conv2d import S8
from .memory import int8_at, int32_at
from .product import matrix_product
from .registry import kernel
from .tile import PIXEL_SHAPES
from .window import copy_windows, evenly_spaced

P = S8.index

_product = matrix_product(PIXEL_SHAPES)


@kernel
def conv2d_vector_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    x_rows, y_rows = int32_at(constants, p[P.x]), int32_at(constants, p[P.y])
    segments, segment_count = int32_at(constants, p[P.segments]), p[P.segment_count]
    weights, parameters = int8_at(constants, p[P.weights]), int8_at(constants, p[P.parameters])
    rows, width, filters, pixel = p[P.rows], p[P.width], p[P.filters], p[P.pixel]
    buffer, steps = int8_at(arena, p[P.buffer]), p[P.steps]
    size = segment_count * steps * 64
    given = (
        segments, segment_count, steps, weights, size, parameters,
        filters, p[P.least], p[P.greatest], p[P.plain],
    )  # fmt: skip
    row = 0
    while row < rows:
        count = min(p[P.band], rows - row)
        if not evenly_spaced(y_rows, row, count, width * filters):
            count = 1
        column = 0
        while column < width:  # a range by a variable step could raise
            columns = min(p[P.columns], width - column)
            copy_windows(arena, p, P, x_rows, row, count, column, columns)
            y = int8_at(arena, y_rows[row] + column * filters)
            _product(buffer, y, count * columns, pixel, filters, filters, given)
            column += columns
        row += count
