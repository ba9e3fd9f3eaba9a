"""Native twins of `kernels/vector/conv2d.py`: one function makes the kernels of all types."""

from __future__ import annotations

from ..operation import Layout
from ..vector.conv2d import LAYOUT_OF
from .kinds import FLOAT, INT8, INT16, Kind
from .memory import int8_at, int32_at
from .product import matrix_product
from .registry import kernel
from .window import evenly_spaced, window_copier


def _convolution(words: Layout, kind: Kind) -> None:
    words_index, size_of = words.index, kind.itemsize
    product, copy_windows = matrix_product(kind), window_copier(kind)

    def convolve(arena, constants, p):  # type: ignore[no-untyped-def]
        P = words_index
        x_rows, y_rows = int32_at(constants, p[P.x]), int32_at(constants, p[P.y])
        segments, segment_count = int32_at(constants, p[P.segments]), p[P.segment_count]
        weights, parameters = int8_at(constants, p[P.weights]), int8_at(constants, p[P.parameters])
        rows, width, filters, pixel = p[P.rows], p[P.width], p[P.filters], p[P.pixel]
        buffer, steps, y_pixel = int8_at(arena, p[P.buffer]), p[P.steps], p[P.filters] * size_of
        size = segment_count * steps * 64
        given = (
            segments, segment_count, steps, weights, size, parameters,
            filters, p[P.least], p[P.greatest], p[P.plain],
        )  # fmt: skip
        row = 0
        while row < rows:
            count = min(p[P.band], rows - row)
            if not evenly_spaced(y_rows, row, count, width * y_pixel):
                count = 1
            column = 0
            while column < width:  # a range by a variable step could raise
                columns = min(p[P.columns], width - column)
                copy_windows(arena, p, P, x_rows, row, count, column, columns)
                y = int8_at(arena, y_rows[row] + column * y_pixel)
                product(buffer, y, count * columns, pixel, y_pixel, filters, given)
                column += columns
            row += count

    convolve.__name__ = words.kernel
    kernel(convolve)


_convolution(LAYOUT_OF["int8"], INT8)
_convolution(LAYOUT_OF["int16"], INT16)
_convolution(LAYOUT_OF["float32"], FLOAT)
