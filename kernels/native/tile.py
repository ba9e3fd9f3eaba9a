"""Register tiles of the vector matrix product: a few pixels by a few blocks of output channels.

Their sums stay in registers over all products, and become outputs from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from numba.core import cgutils, types
from numba.extending import intrinsic

from ..vector.packing import CARRIED
from . import vectors as v
from .kinds import FLOAT, FLOAT_SUMS, INT8, INT8_AS_IT_IS, INT16, PRODUCTS, Accumulator, Kind
from .memory import INT8_POINTER, INT32_POINTER
from .pair_tile import sum_pairs
from .processor import AVX2, AVX512_VNNI, NEON, NEON_DOT, NEON_I8MM, PORTABLE, own_of

# Blocks -> pixels of the tiles that are compiled, the largest first; 1 must be among both.
Shapes = Mapping[int, tuple[int, ...]]

_SHAPES: Mapping[Kind, Mapping[str, Shapes]] = {
    INT8: {
        AVX512_VNNI: {4: (6, 4, 2, 1), 2: (8, 4, 1), 1: (16, 4, 1)},
        AVX2: {1: (4, 1)},
        PORTABLE: {1: (2, 1)},
        NEON_I8MM: {1: (6, 4, 2, 1)},
        NEON_DOT: {1: (6, 4, 1)},
        NEON: {1: (2, 1)},
    },
    INT8_AS_IT_IS: {
        AVX512_VNNI: {8: (1,), 2: (1,), 1: (1,)},
        AVX2: {4: (1,), 1: (1,)},
        PORTABLE: {1: (1,)},
        NEON_DOT: {4: (1,), 1: (1,)},
        NEON: {2: (1,), 1: (1,)},
    },
    INT16: {
        AVX512_VNNI: {4: (6, 2, 1), 1: (12, 1)},
        AVX2: {1: (4, 1)},
        PORTABLE: {1: (2, 1)},
        NEON_DOT: {1: (2, 1)},
        NEON: {1: (2, 1)},
    },
    PRODUCTS: {
        AVX512_VNNI: {1: (12, 4, 1)},
        AVX2: {1: (4, 2, 1)},
        PORTABLE: {1: (2, 1)},
        NEON_DOT: {1: (2, 1)},
        NEON: {1: (2, 1)},
    },
    FLOAT: {
        AVX512_VNNI: {4: (6, 2, 1), 1: (12, 1)},
        AVX2: {1: (4, 1)},
        PORTABLE: {1: (2, 1)},
        NEON_DOT: {1: (4, 1)},
        NEON: {1: (4, 1)},
    },
    FLOAT_SUMS: {
        AVX512_VNNI: {1: (12, 4, 1)},
        AVX2: {1: (4, 1)},
        PORTABLE: {1: (2, 1)},
        NEON_DOT: {1: (4, 1)},
        NEON: {1: (4, 1)},
    },
}


def shapes(kind: Kind) -> Shapes:
    """The tiles of a kind, with the instruction set that is compiled for."""
    return own_of(_SHAPES[kind])


@cache
def tile(pixels: int, blocks: int, kind: Kind) -> Any:
    """The intrinsic for one tile.

    Arguments: x (first pixel), pixel (bytes to the next one), segments (int32
    offsets), segment_count, steps (of a segment), weights, block_bytes (of a block's weights),
    parameters, y, y_pixel (bytes to the next pixel's output), channels (that are stored; more than
    all but 15 of the tile's), least, greatest, plain (see the kind).
    """
    integer = types.int64
    signature = types.void(
        *(INT8_POINTER, integer, INT32_POINTER, integer, integer, INT8_POINTER, integer),
        *(INT8_POINTER, INT8_POINTER, integer, integer, integer, integer, integer),
    )

    @intrinsic
    def run(  # type: ignore[no-untyped-def]
        typing_context, x, pixel, segments, segment_count, steps, weights, block_bytes, parameters,
        y, y_pixel, channels, least, greatest, plain,
    ):  # fmt: skip
        def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            paired = kind.step().pairs and not pixels % 2
            make = sum_pairs if paired else _sum
            sums = make(builder, arguments, pixels, blocks, kind)
            kind.finish(builder, sums, *arguments[7:])
            return context.get_dummy_value()

        return signature, emit

    return run


def _sum(builder: Any, arguments: Any, pixels: int, blocks: int, kind: Kind) -> list[list[Any]]:
    """[pixel][block] sums."""
    x, pixel, segments, segment_count, steps, weights, block_bytes, parameters = arguments[:8]
    rows = [[Accumulator(builder, kind) for _ in range(blocks)] for _ in range(pixels)]
    for block in range(blocks):
        bias = kind.bias(builder, parameters, block)
        for row in rows:
            row[block].start(builder, bias)
    far = [builder.mul(pixel, v.I64(number)) for number in range(pixels)]
    place = cgutils.alloca_once_value(builder, weights)
    with cgutils.for_range(builder, segment_count) as segment:
        start = builder.sext(builder.load(builder.gep(segments, [segment.index])), v.I64)
        line = builder.gep(x, [start])
        with cgutils.for_range(builder, steps) as step:
            at = builder.gep(line, [builder.mul(step.index, v.I64(4))])
            current = builder.load(place)
            _step(builder, rows, at, far, current, block_bytes, kind)
            builder.store(builder.gep(current, [v.I64(64)]), place)
        if kind.carries:
            carried = builder.icmp_signed("==", arguments[-1], v.I64(CARRIED))
            with cgutils.if_unlikely(builder, carried):
                for row in rows:
                    for sums in row:
                        sums.move(builder)
    return [[sums.total(builder) for sums in row] for row in rows]


def _step(
    builder: Any,
    rows: list[list[Accumulator]],
    x: Any,
    far: list[Any],
    weights: Any,
    block_bytes: Any,
    kind: Kind,
) -> None:
    rule = kind.step()
    columns = [
        rule.weights(
            builder,
            v.load(builder, weights, builder.mul(block_bytes, v.I64(number)), v.SUMS),
        )
        for number in range(len(rows[0]))
    ]
    for row, offset in zip(rows, far, strict=True):
        four = kind.four(builder, v.load(builder, x, offset, v.I32))
        activations = rule.activations(builder, four)
        for sums, column in zip(row, columns, strict=True):
            sums.add(builder, activations, column)
