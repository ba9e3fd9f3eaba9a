"""signal_rfft and signal_irfft: real Fourier transforms, with KISS FFT's rounding.

`length` real numbers are taken for length / 2 complex ones; those go through butterflies of mixed
radix (decimation in time, radices 4, 2, 3, 5), and their transform is pulled apart into those of
the even and the odd samples. In fixed point each stage first divides by its radix, as a product
with MAX // radix that is rounded, and every sum wraps. (Borgerding, KISS FFT, 2003-2010;
tflite-micro, signal/src/rfft_*.cc, irfft_*.cc, which for float32 divides the inverse by its
length.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..runtime.graph import DTYPES, Graph, Node
from ..runtime.lowering import Address, Constant, Lowered
from .operation import Layout, Operation, layout

SUFFIXES = {"int16": "s16", "int32": "s32", "float32": "f32"}
RADICES = (4, 2, 3, 5)
MOST = 1 << 15  # real numbers of a transform, which KISS FFT's own counts allow too

# `rows` times; `count` numbers of x a row, and zeros up to `length`. `twiddles` and `half_twiddles`
# are the roots of unity of the stages and of the pulling apart; `stages` has `stage_count` pairs:
# radix, and the complex numbers of one of its inputs.
_FIELDS = "x y rows count length twiddles half_twiddles stages stage_count"
RFFT: Mapping[str, Layout] = {
    suffix: layout(f"signal_rfft_{suffix}", _FIELDS) for suffix in SUFFIXES.values()
}
IRFFT: Mapping[str, Layout] = {
    suffix: layout(f"signal_irfft_{suffix}", _FIELDS) for suffix in SUFFIXES.values()
}


class Stage(NamedTuple):
    radix: int
    size: int  # complex numbers of one of the radix's inputs


def stages(count: int) -> list[Stage]:
    """Of a transform of `count` complex numbers, the last that is computed first."""
    found = []
    for radix in RADICES:
        while count % radix == 0:
            count //= radix
            found.append(Stage(radix, count))
    assert count == 1  # `known_radices`
    return found


def _root(phase: float, dtype: np.dtype) -> tuple[float, float]:
    c, s = math.cos(phase), math.sin(phase)
    if dtype.kind == "f":
        return c, s
    most = int(np.iinfo(dtype).max)
    return math.floor(0.5 + most * c), math.floor(0.5 + most * s)


def twiddles(count: int, dtype: np.dtype, inverse: bool) -> np.ndarray:
    """Roots of unity [count, 2] of the stages."""
    sign = -1 if inverse else 1
    phases = (-2 * math.pi * i / count * sign for i in range(count))
    return np.array([_root(phase, dtype) for phase in phases], dtype)


def half_twiddles(count: int, dtype: np.dtype, inverse: bool) -> np.ndarray:
    """Roots of unity [count // 2, 2] by which even and odd samples are told apart."""
    sign = -1 if inverse else 1
    phases = (-math.pi * ((i + 1) / count + 0.5) * sign for i in range(count // 2))
    return np.array([_root(phase, dtype) for phase in phases], dtype).reshape(-1, 2)


# ---- arithmetic on numbers of one type, complex ones [..., 2] -----------------------------------


def _rounded(wide: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A product of two fractions, as a fraction again."""
    bits = 8 * dtype.itemsize - 1
    return np.asarray((wide + (1 << (bits - 1))) >> bits).astype(dtype)


def _scaled(a: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Numbers times a number."""
    if a.dtype.kind == "f":
        return a * factor
    return _rounded(a.astype(np.int64) * factor.astype(np.int64), a.dtype)


def _turned(a: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Complex products."""
    kind = a.dtype if a.dtype.kind == "f" else np.dtype(np.int64)
    (ar, ai), (br, bi) = (np.moveaxis(z.astype(kind), -1, 0) for z in (a, by))
    product = np.stack([ar * br - ai * bi, ar * bi + ai * br], -1)
    return product if kind == a.dtype else _rounded(product, a.dtype)


def _divided(a: np.ndarray, by: int) -> np.ndarray:
    """Fixed-point numbers made smaller, so that a sum of `by` of them fits."""
    if a.dtype.kind == "f":
        return a
    return _scaled(a, a.dtype.type(np.iinfo(a.dtype).max // by))


def _half(a: np.ndarray) -> np.ndarray:
    return a * np.float64(0.5) if a.dtype.kind == "f" else a >> 1


def _quarter_turn(a: np.ndarray) -> np.ndarray:
    """Times -i."""
    return np.stack([a[..., 1], -a[..., 0]], -1)


def _conjugate(a: np.ndarray) -> np.ndarray:
    return np.stack([a[..., 0], -a[..., 1]], -1)


# ---- the transform of complex numbers -----------------------------------------------------------


def places(parts: Sequence[Stage], count: int) -> np.ndarray:
    """Where each number goes before the first stage: its digits in the other order."""
    rest, place = np.arange(count), np.zeros(count, np.int64)
    for radix, size in parts:
        place += rest % radix * size
        rest //= radix
    return place


def transform(z: np.ndarray, inverse: bool) -> np.ndarray:
    """Of complex numbers [count, 2]."""
    count = len(z)
    parts, roots = stages(count), twiddles(count, z.dtype, inverse)
    work = np.empty_like(z)
    work[places(parts, count)] = z
    for radix, size in reversed(parts):
        stride = count // (radix * size)
        parts_of = np.moveaxis(work.reshape(-1, radix, size, 2), 1, 0)
        terms = [_divided(part, radix) for part in parts_of]
        steps = stride * np.arange(size)
        terms = [terms[0], *(_turned(terms[q], roots[q * steps]) for q in range(1, radix))]
        made = _BUTTERFLIES[radix](terms, roots[stride * size :: stride * size], inverse)
        work = np.stack(list(made), 1).reshape(count, 2)
    return work


Terms = Sequence[np.ndarray]


def _butterfly2(x: Terms, roots: np.ndarray, inverse: bool) -> Iterator[np.ndarray]:
    yield x[0] + x[1]
    yield x[0] - x[1]


def _butterfly4(x: Terms, roots: np.ndarray, inverse: bool) -> Iterator[np.ndarray]:
    even, odd = x[0] + x[2], x[1] + x[3]
    rest, turned = x[0] - x[2], _quarter_turn(x[1] - x[3])
    yield even + odd
    yield rest - turned if inverse else rest + turned
    yield even - odd
    yield rest + turned if inverse else rest - turned


def _butterfly3(x: Terms, roots: np.ndarray, inverse: bool) -> Iterator[np.ndarray]:
    both = x[1] + x[2]
    middle = (x[0] - _half(both)).astype(x[0].dtype)
    turned = _quarter_turn(_scaled(x[1] - x[2], roots[0, 1]))
    yield x[0] + both
    yield middle - turned
    yield middle + turned


def _butterfly5(x: Terms, roots: np.ndarray, inverse: bool) -> Iterator[np.ndarray]:
    outer, inner = x[1] + x[4], x[2] + x[3]
    outer_rest, inner_rest = _quarter_turn(x[1] - x[4]), _quarter_turn(x[2] - x[3])
    (ar, ai), (br, bi) = roots[0], roots[1]
    near = x[0] + _scaled(outer, ar) + _scaled(inner, br)
    far = x[0] + _scaled(outer, br) + _scaled(inner, ar)
    near_turn = _scaled(outer_rest, ai) + _scaled(inner_rest, bi)
    far_turn = _scaled(inner_rest, ai) - _scaled(outer_rest, bi)
    yield x[0] + (outer + inner)
    yield near - near_turn
    yield far + far_turn
    yield far - far_turn
    yield near + near_turn


_BUTTERFLIES = {2: _butterfly2, 3: _butterfly3, 4: _butterfly4, 5: _butterfly5}


# ---- real numbers -------------------------------------------------------------------------------


def rfft(x: np.ndarray, length: int) -> np.ndarray:
    """[..., count] to [..., length + 2]; zeros follow x up to `length`."""
    padded = np.zeros((math.prod(x.shape[:-1]), length), x.dtype)
    padded[:, : x.shape[-1]] = x.reshape(len(padded), -1)
    with np.errstate(all="ignore"):
        rows = [_pulled_apart(transform(row.reshape(-1, 2), False)) for row in padded]
    return np.stack(rows).reshape(*x.shape[:-1], length + 2)


def _pulled_apart(z: np.ndarray) -> np.ndarray:
    count = len(z)
    y, k = np.zeros((count + 1, 2), z.dtype), np.arange(1, count // 2 + 1)
    first = _divided(z[0], 2)
    y[0, 0], y[count, 0] = first[0] + first[1], first[0] - first[1]
    here, there = _divided(z[k], 2), _divided(_conjugate(z[count - k]), 2)
    even = here + there
    odd = _turned(here - there, half_twiddles(count, z.dtype, False))
    y[k] = _mean(even, odd)
    y[count - k] = _conjugate_mean(even, odd)
    return y


def _wide(a: np.ndarray) -> np.ndarray:
    """int16 sums have room in C's int; int32 ones wrap."""
    return a.astype(np.int32) if a.dtype == np.int16 else a


def _mean(even: np.ndarray, odd: np.ndarray) -> np.ndarray:
    return _half(_wide(even) + _wide(odd)).astype(even.dtype)


def _conjugate_mean(even: np.ndarray, odd: np.ndarray) -> np.ndarray:
    difference = _wide(even) - _wide(odd)
    difference[..., 1] = _wide(odd)[..., 1] - _wide(even)[..., 1]
    return _half(difference).astype(even.dtype)


def irfft(x: np.ndarray, length: int) -> np.ndarray:
    """[..., length + 2] to [..., length]."""
    rows = x.reshape(-1, length // 2 + 1, 2)
    with np.errstate(all="ignore"):
        made = [transform(_put_together(row), True) for row in rows]
        y = np.stack(made).reshape(*x.shape[:-1], length)
        return y / np.float32(length) if x.dtype.kind == "f" else y


def _put_together(x: np.ndarray) -> np.ndarray:
    count = len(x) - 1
    z, k = np.empty((count, 2), x.dtype), np.arange(1, count // 2 + 1)
    ends = np.stack([x[0, 0] + x[count, 0], x[0, 0] - x[count, 0]])
    z[0] = _divided(ends, 2)
    here, there = _divided(x[k], 2), _divided(_conjugate(x[count - k]), 2)
    even = here + there
    odd = _turned(here - there, half_twiddles(count, x.dtype, True))
    z[k] = even + odd
    z[count - k] = _conjugate(even - odd)
    return z


# ---- the operation ------------------------------------------------------------------------------


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    (x,) = arrays
    assert x is not None
    make = rfft if node.op == "signal_rfft" else irfft
    return [make(x, node.attrs.length)]


def lower(graph: Graph, node: Node) -> Lowered:
    """All rows in one call, in the output's own room."""
    x, length, inverse = graph.input(node), node.attrs.length, node.op == "signal_irfft"
    count, dtype = length // 2, DTYPES[x.dtype]
    parts = np.array(stages(count), np.int32).reshape(-1, 2)
    return (IRFFT if inverse else RFFT)[SUFFIXES[x.dtype]].lowered(
        x=Address(x.index),
        y=Address(node.outputs[0]),
        rows=math.prod(x.shape[:-1]),
        count=x.shape[-1],
        length=length,
        twiddles=Constant(twiddles(count, dtype, inverse)),
        half_twiddles=Constant(half_twiddles(count, dtype, inverse)),
        stages=Constant(parts),
        stage_count=len(parts),
    )


def transform_types(graph: Graph, node: Node) -> bool:
    """Input and output must be int16, int32 or float32, both of one dtype."""
    return graph.input(node).dtype == graph.output(node).dtype in SUFFIXES


def known_radices(graph: Graph, node: Node) -> bool:
    """The transform's length must be even, 4 to 32768, and half of it a product of 2, 3 and 5."""
    length = node.attrs.length
    if length % 2 or not 4 <= length <= MOST:
        return False
    rest = length // 2
    for radix in RADICES:
        while rest % radix == 0:
            rest //= radix
    return rest == 1


OPERATIONS: Mapping[str, Operation] = {
    "signal_rfft": Operation(
        reference, lower, tuple(RFFT.values()), (transform_types, known_radices)
    ),
    "signal_irfft": Operation(
        reference, lower, tuple(IRFFT.values()), (transform_types, known_radices)
    ),
}
