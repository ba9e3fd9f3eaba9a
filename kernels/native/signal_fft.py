"""Native twins of `kernels/signal_fft.py`: each transform is made in its output's own room.

Complex numbers are pairs (real, imaginary). Numba widens whole numbers to 64 bits; an arithmetic's
`fit` makes them as wide as the tensor's again, where they wrap.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..operation import Layout
from ..signal_fft import IRFFT, RFFT
from .elementwise import Native, register
from .fixedpoint import inline
from .memory import float32_at, int16_at, int32_at


class Arithmetic(NamedTuple):
    """Native functions of numbers, and of pairs (`turned`)."""

    at: Native
    item: int  # bytes
    fit: Native
    scaled: Native  # a times a number of the tables
    turned: Native  # a times a pair of the tables
    shrunk: Native  # a by a radix, so that a sum of as many fits
    half_sum: Native
    less_half: Native  # a - b / 2


def _fixed(at: Native, number: Any, item: int) -> Arithmetic:
    bits = 8 * item - 1
    rounder, most = 1 << (bits - 1), (1 << bits) - 1

    @inline
    def fit(a):  # type: ignore[no-untyped-def]
        return number(a)

    @inline
    def scaled(a, factor):  # type: ignore[no-untyped-def]
        return number((a * factor + rounder) >> bits)

    @inline
    def turned(a, b):  # type: ignore[no-untyped-def]
        real, imaginary = a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]
        return number((real + rounder) >> bits), number((imaginary + rounder) >> bits)

    @inline
    def shrunk(a, radix):  # type: ignore[no-untyped-def]
        return number((a * (most // radix) + rounder) >> bits)

    @inline
    def half_sum(a, b):  # type: ignore[no-untyped-def]
        return number(np.int32(a + b) >> 1)

    @inline
    def less_half(a, b):  # type: ignore[no-untyped-def]
        return number(a - (b >> 1))

    return Arithmetic(at, item, fit, scaled, turned, shrunk, half_sum, less_half)


def _floating() -> Arithmetic:
    @inline
    def fit(a):  # type: ignore[no-untyped-def]
        return np.float32(a)

    @inline
    def scaled(a, factor):  # type: ignore[no-untyped-def]
        return a * factor

    @inline
    def turned(a, b):  # type: ignore[no-untyped-def]
        return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]

    @inline
    def shrunk(a, radix):  # type: ignore[no-untyped-def]
        return a

    @inline
    def half_sum(a, b):  # type: ignore[no-untyped-def]
        return np.float32(a + b) * np.float32(0.5)

    @inline
    def less_half(a, b):  # type: ignore[no-untyped-def]
        return np.float32(np.float64(a) - np.float64(b) * 0.5)

    return Arithmetic(float32_at, 4, fit, scaled, turned, shrunk, half_sum, less_half)


class Pairs(NamedTuple):
    """Native functions of pairs."""

    load: Native
    store: Native
    plus: Native
    minus: Native
    times_i: Native
    smaller: Native  # a pair by a radix
    term: Native  # a stage's input: made smaller, and turned


def _pairs(of: Arithmetic) -> Pairs:
    fit, turn, shrunk = of.fit, of.turned, of.shrunk

    @inline
    def load(z, k):  # type: ignore[no-untyped-def]
        return z[2 * k], z[2 * k + 1]

    @inline
    def store(z, k, a):  # type: ignore[no-untyped-def]
        z[2 * k], z[2 * k + 1] = a

    @inline
    def plus(a, b):  # type: ignore[no-untyped-def]
        return fit(a[0] + b[0]), fit(a[1] + b[1])

    @inline
    def minus(a, b):  # type: ignore[no-untyped-def]
        return fit(a[0] - b[0]), fit(a[1] - b[1])

    @inline
    def times_i(a, sign):  # type: ignore[no-untyped-def]
        """Times i, or with a sign of -1 times -i."""
        return fit(-sign * a[1]), fit(sign * a[0])

    @inline
    def smaller(a, radix):  # type: ignore[no-untyped-def]
        return shrunk(a[0], radix), shrunk(a[1], radix)

    @inline
    def term(z, k, radix, roots, root):  # type: ignore[no-untyped-def]
        return turn(smaller(load(z, k), radix), load(roots, root))

    return Pairs(load, store, plus, minus, times_i, smaller, term)


# ---- butterflies: (z, place of the first input, distance of the others, roots, turn of the second)


def _two(of: Arithmetic, pairs: Pairs) -> Native:
    load, store, plus, minus, _, smaller, term = pairs

    @inline
    def butterfly(z, k, size, roots, step):  # type: ignore[no-untyped-def]
        a, b = smaller(load(z, k), 2), term(z, k + size, 2, roots, step)
        store(z, k, plus(a, b))
        store(z, k + size, minus(a, b))

    return butterfly


def _four(of: Arithmetic, pairs: Pairs) -> Native:
    load, store, plus, minus, times_i, smaller, term = pairs

    @inline
    def butterfly(z, k, size, roots, step, sign):  # type: ignore[no-untyped-def]
        a, b = smaller(load(z, k), 4), term(z, k + size, 4, roots, step)
        c, d = term(z, k + 2 * size, 4, roots, 2 * step), term(z, k + 3 * size, 4, roots, 3 * step)
        even, odd = plus(a, c), plus(b, d)
        rest, turned = minus(a, c), times_i(minus(b, d), sign)
        store(z, k, plus(even, odd))
        store(z, k + size, plus(rest, turned))
        store(z, k + 2 * size, minus(even, odd))
        store(z, k + 3 * size, minus(rest, turned))

    return butterfly


def _three(of: Arithmetic, pairs: Pairs) -> Native:
    load, store, plus, minus, times_i, smaller, term = pairs
    scaled, less_half = of.scaled, of.less_half

    @inline
    def butterfly(z, k, size, roots, step, third):  # type: ignore[no-untyped-def]
        a, b = smaller(load(z, k), 3), term(z, k + size, 3, roots, step)
        c = term(z, k + 2 * size, 3, roots, 2 * step)
        both, rest = plus(b, c), minus(b, c)
        sine = load(roots, third)[1]
        turned = times_i((scaled(rest[0], sine), scaled(rest[1], sine)), 1)
        middle = less_half(a[0], both[0]), less_half(a[1], both[1])
        store(z, k, plus(a, both))
        store(z, k + size, plus(middle, turned))
        store(z, k + 2 * size, minus(middle, turned))

    return butterfly


def _five(of: Arithmetic, pairs: Pairs) -> Native:
    load, store, plus, minus, times_i, smaller, term = pairs
    scaled = of.scaled

    @inline
    def scale(a, factor):  # type: ignore[no-untyped-def]
        return scaled(a[0], factor), scaled(a[1], factor)

    @inline
    def butterfly(z, k, size, roots, step, fifth):  # type: ignore[no-untyped-def]
        a, b = smaller(load(z, k), 5), term(z, k + size, 5, roots, step)
        c, d = term(z, k + 2 * size, 5, roots, 2 * step), term(z, k + 3 * size, 5, roots, 3 * step)
        e = term(z, k + 4 * size, 5, roots, 4 * step)
        near, far = load(roots, fifth), load(roots, 2 * fifth)
        outer, inner = plus(b, e), plus(c, d)
        outer_turn, inner_turn = times_i(minus(b, e), -1), times_i(minus(c, d), -1)
        here = plus(plus(a, scale(outer, near[0])), scale(inner, far[0]))
        there = plus(plus(a, scale(outer, far[0])), scale(inner, near[0]))
        here_turn = plus(scale(outer_turn, near[1]), scale(inner_turn, far[1]))
        there_turn = minus(scale(inner_turn, near[1]), scale(outer_turn, far[1]))
        store(z, k, plus(a, plus(outer, inner)))
        store(z, k + size, minus(here, here_turn))
        store(z, k + 2 * size, plus(there, there_turn))
        store(z, k + 3 * size, minus(there, there_turn))
        store(z, k + 4 * size, plus(here, here_turn))

    return butterfly


@inline
def place(k, stages, stage_count):  # type: ignore[no-untyped-def]
    """Where number k goes before the first stage."""
    found = 0
    for stage in range(stage_count):
        radix = stages[2 * stage]
        found += k % radix * stages[2 * stage + 1]
        k //= radix
    return found


def _transform(of: Arithmetic, pairs: Pairs) -> Native:
    two, three, four, five = (make(of, pairs) for make in (_two, _three, _four, _five))

    @inline
    def transform(z, count, roots, stages, stage_count, sign):  # type: ignore[no-untyped-def]
        """In place, of numbers that are in their places; `sign` is 1 for the inverse, else -1."""
        for stage in range(stage_count - 1, -1, -1):
            radix, size = stages[2 * stage], stages[2 * stage + 1]
            width = radix * size
            step = count // width
            for k in range(count):
                i = k % width
                if i >= size:
                    continue
                if radix == 4:
                    four(z, k, size, roots, i * step, sign)
                elif radix == 2:
                    two(z, k, size, roots, i * step)
                elif radix == 3:
                    three(z, k, size, roots, i * step, size * step)
                else:
                    five(z, k, size, roots, i * step, size * step)

    return transform


def _rfft(words: Layout, of: Arithmetic, pairs: Pairs, transform: Native) -> Native:
    P, at, item = words.index, of.at, of.item
    load, store, plus, minus, _, smaller, _ = pairs
    fit, turned, half_sum = of.fit, of.turned, of.half_sum

    @inline
    def pull_apart(z, count, roots):  # type: ignore[no-untyped-def]
        a = smaller(load(z, 0), 2)
        store(z, 0, (fit(a[0] + a[1]), fit(0)))
        store(z, count, (fit(a[0] - a[1]), fit(0)))
        for k in range(1, count // 2 + 1):
            b = load(z, count - k)
            here, there = smaller(load(z, k), 2), smaller((b[0], fit(-b[1])), 2)
            even, odd = plus(here, there), turned(minus(here, there), load(roots, k - 1))
            store(z, k, (half_sum(even[0], odd[0]), half_sum(even[1], odd[1])))
            store(z, count - k, (half_sum(even[0], -odd[0]), half_sum(odd[1], -even[1])))

    def walk(arena, constants, p):  # type: ignore[no-untyped-def]
        count, stage_count = p[P.length] // 2, p[P.stage_count]
        stages = int32_at(constants, p[P.stages])
        roots, halves = at(constants, p[P.twiddles]), at(constants, p[P.half_twiddles])
        known = p[P.count]
        for row in range(p[P.rows]):
            x = at(arena, p[P.x] + item * row * known)
            z = at(arena, p[P.y] + item * row * 2 * (count + 1))
            for k in range(count):
                real = x[2 * k] if 2 * k < known else fit(0)
                imaginary = x[2 * k + 1] if 2 * k + 1 < known else fit(0)
                store(z, place(k, stages, stage_count), (real, imaginary))
            transform(z, count, roots, stages, stage_count, -1)
            pull_apart(z, count, halves)

    return walk


def _irfft(words: Layout, of: Arithmetic, pairs: Pairs, transform: Native) -> Native:
    P, at, item = words.index, of.at, of.item
    load, store, plus, minus, _, smaller, _ = pairs
    fit, turned, floating = of.fit, of.turned, of.at is float32_at

    def walk(arena, constants, p):  # type: ignore[no-untyped-def]
        count, stage_count = p[P.length] // 2, p[P.stage_count]
        stages = int32_at(constants, p[P.stages])
        roots, halves = at(constants, p[P.twiddles]), at(constants, p[P.half_twiddles])
        for row in range(p[P.rows]):
            x = at(arena, p[P.x] + item * row * 2 * (count + 1))
            z = at(arena, p[P.y] + item * row * 2 * count)
            a, b = x[0], x[2 * count]
            store(z, 0, smaller((fit(a + b), fit(a - b)), 2))
            for k in range(1, count // 2 + 1):
                c = load(x, count - k)
                here, there = smaller(load(x, k), 2), smaller((c[0], fit(-c[1])), 2)
                even, odd = plus(here, there), turned(minus(here, there), load(halves, k - 1))
                store(z, place(k, stages, stage_count), plus(even, odd))
                rest = minus(even, odd)
                store(z, place(count - k, stages, stage_count), (rest[0], fit(-rest[1])))
            transform(z, count, roots, stages, stage_count, 1)
            if floating:
                for i in range(2 * count):
                    z[i] = np.float32(z[i] / np.float32(2 * count))

    return walk


def _register(suffix: str, of: Arithmetic) -> None:
    pairs = _pairs(of)
    transform = _transform(of, pairs)
    register(RFFT[suffix], _rfft(RFFT[suffix], of, pairs, transform))
    register(IRFFT[suffix], _irfft(IRFFT[suffix], of, pairs, transform))


_register("s16", _fixed(int16_at, np.int16, 2))
_register("s32", _fixed(int32_at, np.int32, 4))
_register("f32", _floating())
