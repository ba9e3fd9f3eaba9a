"""Register tiles of the vector matrix product: a few pixels by a few blocks of output channels.

Their sums stay in registers over all products, and are requantized and stored from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from . import vectors as v
from .memory import INT8_POINTER, INT32_POINTER
from .processor import AVX2, AVX512_VNNI, NEON, NEON_DOT, PORTABLE, instruction_set

# Blocks -> pixels of the tiles that are compiled, the largest first; 1 must be among both.
Shapes = Mapping[int, tuple[int, ...]]

_PIXEL_SHAPES: Mapping[str, Shapes] = {
    AVX512_VNNI: {4: (6, 4, 2, 1), 2: (8, 4, 1), 1: (16, 4, 1)},
    AVX2: {1: (4, 1)},
    PORTABLE: {1: (2, 1)},
    NEON_DOT: {1: (6, 4, 1)},
    NEON: {1: (2, 1)},
}
_SAMPLE_SHAPES: Mapping[str, Shapes] = {
    AVX512_VNNI: {8: (1,), 2: (1,), 1: (1,)},
    AVX2: {4: (1,), 1: (1,)},
    PORTABLE: {1: (1,)},
    NEON_DOT: {4: (1,), 1: (1,)},
    NEON: {2: (1,), 1: (1,)},
}
PIXEL_SHAPES = _PIXEL_SHAPES[instruction_set()]  # for many pixels
SAMPLE_SHAPES = _SAMPLE_SHAPES[instruction_set()]  # for one


@cache
def tile(pixels: int, blocks: int, signed: bool) -> Any:
    """The intrinsic for one tile, that reads a window buffer, or if `signed` bytes as they came.

    Arguments: x (first pixel), pixel (bytes to the next one), segments (int32
    offsets), segment_count, steps (of a segment), weights, block_bytes (of a block's weights),
    parameters, y, y_pixel (bytes to the next pixel's output), channels (that are stored; more than
    all but 15 of the tile's), least, greatest, plain (see `vectors.requantized`).
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
            sums = _sum(builder, arguments[:8], pixels, blocks, signed)
            finish(builder, sums, *arguments[7:])
            return context.get_dummy_value()

        return signature, emit

    return run


def _sum(builder: Any, arguments: Any, pixels: int, blocks: int, signed: bool) -> list[list[Any]]:
    """[pixel][block] sums, bias included."""
    x, pixel, segments, segment_count, steps, weights, block_bytes, parameters = arguments
    rule = v.step()
    rooms = [
        [cgutils.alloca_once(builder, rule.sums) for _ in range(blocks)] for _ in range(pixels)
    ]
    for block in range(blocks):
        bias = rule.start(builder, v.bias_of(builder, parameters, block))
        for row in rooms:
            builder.store(bias, row[block])
    far = [builder.mul(pixel, v.I64(number)) for number in range(pixels)]
    place = cgutils.alloca_once_value(builder, weights)
    with cgutils.for_range(builder, segment_count) as segment:
        start = builder.sext(builder.load(builder.gep(segments, [segment.index])), v.I64)
        line = builder.gep(x, [start])
        with cgutils.for_range(builder, steps) as step:
            at = builder.gep(line, [builder.mul(step.index, v.I64(4))])
            current = builder.load(place)
            _step(builder, rooms, at, far, current, block_bytes, signed)
            builder.store(builder.gep(current, [v.I64(64)]), place)
    return [[rule.total(builder, builder.load(room)) for room in row] for row in rooms]


def _step(
    builder: Any,
    rooms: list[list[Any]],
    x: Any,
    far: list[Any],
    weights: Any,
    block_bytes: Any,
    signed: bool,
) -> None:
    rule = v.step()
    columns = [
        rule.weights(
            builder,
            v.load(builder, weights, builder.mul(block_bytes, v.I64(number)), v.SUMS),
        )
        for number in range(len(rooms[0]))
    ]
    for row, offset in zip(rooms, far, strict=True):
        four = v.load(builder, x, offset, v.I32)
        if signed and not rule.signed:
            four = builder.xor(four, v.I32(0x80808080))
        quads = rule.activations(builder, four)
        for room, column in zip(row, columns, strict=True):
            builder.store(rule.add(builder, builder.load(room), quads, column), room)


def finish(
    builder: Any,
    sums: list[list[Any]],
    parameters: Any,
    y: Any,
    y_pixel: Any,
    channels: Any,
    least: Any,
    greatest: Any,
    plain: Any,
) -> None:
    """Requantize and store [pixel][block] sums, by fewer instructions if they are `plain`."""
    is_plain = builder.icmp_signed("!=", plain, v.I64(0))
    with builder.if_else(is_plain, likely=True) as branches:
        for way, branch in zip((True, False), branches, strict=True):
            with branch:
                _store(builder, sums, parameters, y, y_pixel, channels, (least, greatest), way)


def _store(
    builder: Any,
    sums: list[list[Any]],
    parameters: Any,
    y: Any,
    y_pixel: Any,
    channels: Any,
    limits: tuple[Any, Any],
    plain: bool,
) -> None:
    """Blocks outside, so that a block's parameters are loaded once."""
    columns = []
    for block in range(len(sums[0])):
        given = v.block_parameters(builder, parameters, block)
        columns.append([v.requantized(builder, row[block], given, plain) for row in sums])
    for pixel in range(len(sums)):
        line = builder.gep(y, [builder.mul(y_pixel, v.I64(pixel))])
        parts = v.narrowed(builder, [column[pixel] for column in columns], *limits)
        store_blocks(builder, line, parts, channels)


def store_blocks(builder: Any, y: Any, parts: list[Any], channels: Any) -> None:
    """Store all 16 bytes of each block; of a single block only as many as there are channels."""
    if len(parts) > 1 or parts[0].type != v.BYTES:
        for block, part in enumerate(parts):
            v.store(builder, y, v.I64(16 * block), part)
        return
    whole = builder.icmp_signed(">=", channels, v.I64(16))
    with builder.if_else(whole, likely=True) as (then, otherwise):
        with then:
            v.store(builder, y, v.I64(0), parts[0])
        with otherwise:
            v.store_first(builder, y, v.I64(0), parts[0], builder.trunc(channels, ir.IntType(32)))
