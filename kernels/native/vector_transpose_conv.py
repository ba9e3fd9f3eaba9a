"""Native twins of `kernels/vector/transpose_conv.py`, of all types."""

from __future__ import annotations

from ..operation import Layout
from ..vector.transpose_conv import LAYOUT_OF, PHASE
from .kinds import FLOAT, INT8, INT16, Kind
from .memory import int8_at, int32_at
from .product import matrix_product
from .registry import kernel
from .window import line_of_windows

FIELDS = len(PHASE.split())


def _convolution(words: Layout, kind: Kind) -> None:
    words_index = words.index
    product, copy_line = matrix_product(kind), line_of_windows(kind)

    def convolve(arena, constants, p):  # type: ignore[no-untyped-def]
        P = words_index
        filters, buffer, height = p[P.filters], int8_at(arena, p[P.buffer]), p[P.height]
        for batch in range(p[P.batches]):
            image = p[P.x] + batch * p[P.in_height] * p[P.in_row]
            answer = p[P.y] + batch * height * p[P.y_row]
            for number in range(p[P.phase_count]):
                phases = int32_at(constants, p[P.phases] + 4 * FIELDS * number)
                row, start, width, first, lines, x, begin, count, steps = (
                    phases[0], phases[1], phases[2], phases[3], phases[4], phases[5],
                    phases[6], phases[7], phases[8],
                )  # fmt: skip
                weights = int8_at(constants, p[P.weights] + phases[9])
                parameters = int8_at(constants, p[P.parameters] + phases[10])
                given = (
                    int32_at(constants, p[P.segments] + 4 * begin), count, steps, weights,
                    count * steps * 64, parameters, filters, p[P.least], p[P.greatest], phases[11],
                )  # fmt: skip
                while row < height:
                    for tap in range(lines):
                        line = image + (first + tap) * p[P.in_row]
                        if not 0 <= first + tap < p[P.in_height]:
                            line = -1
                        target = int8_at(buffer, tap * p[P.pitch])
                        copy_line(arena, p, P, line, target, -p[P.before], p[P.pitch])
                    y = int8_at(arena, answer + row * p[P.y_row] + start)
                    product(int8_at(buffer, x), y, width, p[P.pixel], p[P.y_pixel], filters, given)
                    row, first = row + p[P.stride_height], first + 1

    convolve.__name__ = words.kernel
    kernel(convolve)


_convolution(LAYOUT_OF["int8"], INT8)
_convolution(LAYOUT_OF["int16"], INT16)
_convolution(LAYOUT_OF["float32"], FLOAT)
