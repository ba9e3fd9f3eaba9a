"""Sums of a register tile where an instruction multiplies matrices: two pixels by two channels.

It takes the same weights as the other tiles, two steps of them at a time.
"""

from __future__ import annotations

from typing import Any

from numba.core import cgutils

from . import vectors as v
from .kinds import Kind
from .steps import MatrixStep


def sum_pairs(builder: Any, arguments: Any, pixels: int, blocks: int, kind: Kind) -> Any:
    """[pixel][block] sums of an even number of pixels."""
    x, pixel, segments, segment_count, steps, weights, block_bytes, parameters = arguments[:8]
    rule = kind.step()
    assert isinstance(rule, MatrixStep)
    rows: list[list[Any]] = [[] for _ in range(pixels // 2)]
    for block in range(blocks):
        start = rule.start_pair(builder, kind.bias(builder, parameters, block))
        for row in rows:
            row.append(cgutils.alloca_once(builder, start.type))
            builder.store(start, row[-1])
    place = cgutils.alloca_once_value(builder, weights)
    twice, odd = builder.lshr(steps, v.I64(1)), builder.trunc(steps, v.ir.IntType(1))
    with cgutils.for_range(builder, segment_count) as segment:
        offset = builder.sext(builder.load(builder.gep(segments, [segment.index])), v.I64)
        line = builder.gep(x, [offset])
        with cgutils.for_range(builder, twice) as step:
            at = builder.gep(line, [builder.mul(step.index, v.I64(8))])
            _two_steps(builder, rule, rows, (at, pixel), (builder.load(place), block_bytes), True)
            builder.store(builder.gep(builder.load(place), [v.I64(128)]), place)
        with cgutils.if_unlikely(builder, odd):
            at = builder.gep(line, [builder.mul(twice, v.I64(8))])
            _two_steps(builder, rule, rows, (at, pixel), (builder.load(place), block_bytes), False)
            builder.store(builder.gep(builder.load(place), [v.I64(64)]), place)
    made = []
    for row in rows:
        totals = [rule.pair_totals(builder, builder.load(room)) for room in row]
        made += [list(pixel) for pixel in zip(*totals, strict=True)]
    return made


def _two_steps(builder: Any, rule: MatrixStep, rows: Any, x: Any, weights: Any, both: bool) -> None:
    """Two steps, or the first of them and zeros."""
    (at, pixel), (place, block_bytes) = x, weights
    columns = []
    for block in range(len(rows[0])):
        here = builder.gep(place, [builder.mul(block_bytes, v.I64(block))])
        first = v.load(builder, here, v.I64(0), v.SUMS)
        second = v.load(builder, here, v.I64(64), v.SUMS) if both else v.constant(v.SUMS, 0)
        columns.append(rule.pair_weights(builder, first, second))
    for number, row in enumerate(rows):
        far = (builder.mul(pixel, v.I64(2 * number + i)) for i in (0, 1))
        activations = _both_pixels(builder, at, far, both)
        for room, column in zip(row, columns, strict=True):
            total = rule.add_pair(builder, builder.load(room), activations, column)
            builder.store(total, room)


def _both_pixels(builder: Any, at: Any, far: Any, both: bool) -> Any:
    """Eight bytes of each of two pixels; without `both` four, and zeros."""
    kind = v.I64 if both else v.I32
    vector = v.constant(v.ir.VectorType(v.I64, 2), 0)
    for number, offset in enumerate(far):
        value = v.load(builder, at, offset, kind)
        value = value if both else builder.zext(value, v.I64)
        vector = builder.insert_element(vector, value, v.I32(number))
    return builder.bitcast(vector, v.BYTES)
