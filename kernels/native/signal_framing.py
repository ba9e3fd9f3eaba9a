"""Native twins of `kernels/signal_framing.py`."""

from __future__ import annotations

from ..operation import Layout
from ..signal_framing import DELAY, FRAMER, OVERLAP_ADD, STACKER
from .elementwise import Native, register
from .fixedpoint import clamp, inline
from .memory import copy_bytes, float32_at, int8_at, int16_at
from .registry import kernel

F = FRAMER.index
S = STACKER.index
D = DELAY.index


@kernel
def signal_framer_s16(arena, constants, p):  # type: ignore[no-untyped-def]
    outer, frames, size, step = p[F.outer], p[F.frames], p[F.size], p[F.step]
    history, x, y = p[F.history], p[F.x], p[F.y]
    for line in range(outer):
        state = p[F.state] + 2 * line * history
        for _ in range(frames):
            # A frame begins in the history, and ends in the new samples.
            old = min(size, history)
            copy_bytes(int8_at(arena, y), int8_at(arena, state), 2 * old)
            copy_bytes(int8_at(arena, y + 2 * old), int8_at(arena, x), 2 * (size - old))
            push(int8_at(arena, state), int8_at(arena, x), 2 * history, 2 * step)
            x, y = x + 2 * step, y + 2 * size
    seen = int16_at(arena, p[F.state] + 2 * outer * history)
    arena[p[F.valid]] = 1 if seen[0] >= p[F.waits] else 0
    seen[0] = min(seen[0] + frames, p[F.waits])


@inline
def push(state, x, kept, count):  # type: ignore[no-untyped-def]
    """`count` bytes of x behind the `kept` ones of a state; the oldest go."""
    if count < kept:
        copy_bytes(state, int8_at(state, count), kept - count)
        copy_bytes(int8_at(state, kept - count), x, count)
    else:
        copy_bytes(state, int8_at(x, count - kept), kept)


@kernel
def signal_stacker_s16(arena, constants, p):  # type: ignore[no-untyped-def]
    x, y, state = int8_at(arena, p[S.x]), int8_at(arena, p[S.y]), int8_at(arena, p[S.state])
    row, frames = 2 * p[S.channels], p[S.frames]
    seen = int16_at(state, frames * row)
    known = seen[0] - 1
    new = 1 if known >= 0 else 1 + p[S.left]
    known = max(known, 0)
    for i in range(known, known + new):
        copy_bytes(int8_at(state, i * row), x, row)
    known += new
    valid = known == frames
    if valid:
        copy_bytes(y, state, frames * row)
        known -= p[S.step]
        copy_bytes(state, int8_at(state, p[S.step] * row), known * row)
    else:
        for i in range(frames * row):
            y[i] = 0
    arena[p[S.valid]] = 1 if valid else 0
    seen[0] = known + 1


@kernel
def signal_delay_s16(arena, constants, p):  # type: ignore[no-untyped-def]
    size, length = 2 * p[D.size], 2 * p[D.length]
    for line in range(p[D.outer]):
        x, y = int8_at(arena, p[D.x] + line * size), int8_at(arena, p[D.y] + line * size)
        state = int8_at(arena, p[D.state] + line * length)
        old = min(size, length)
        copy_bytes(y, state, old)
        copy_bytes(int8_at(y, old), x, size - old)
        push(state, x, length, size)


def _overlap_add(words: Layout, at: Native, item: int, add: Native) -> Native:
    P = words.index

    def walk(arena, constants, p):  # type: ignore[no-untyped-def]
        size, step = p[P.size], p[P.step]
        x, y = at(arena, p[P.x]), p[P.y]
        for line in range(p[P.outer]):
            start = p[P.state] + item * line * size
            state = at(arena, start)
            for frame in range(p[P.frames]):
                first = (line * p[P.frames] + frame) * size
                for i in range(size):
                    state[i] = add(state[i], x[first + i])
                bytes_ = int8_at(arena, start)
                copy_bytes(int8_at(arena, y), bytes_, item * step)
                copy_bytes(bytes_, int8_at(bytes_, item * step), item * (size - step))
                for i in range(size - step, size):
                    state[i] = 0
                y += item * step

    return walk


@inline
def _clamped(a, b):  # type: ignore[no-untyped-def]
    return clamp(a + b, -32768, 32767)


@inline
def _rounded(a, b):  # type: ignore[no-untyped-def]
    return a + b


register(OVERLAP_ADD["int16"], _overlap_add(OVERLAP_ADD["int16"], int16_at, 2, _clamped))
register(OVERLAP_ADD["float32"], _overlap_add(OVERLAP_ADD["float32"], float32_at, 4, _rounded))
