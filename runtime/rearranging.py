"""Movement of single elements that is known beforehand, as the place that each comes from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from .attributes import Shape

FILL = -1  # no element: the zero point


def sources(kind: str, numbers: Sequence[int], shape: Shape) -> np.ndarray:
    """For each element of the answer, which of the operand's it is, in its own order, or `FILL`.

    Raises `ValueError` where the numbers don't fit the shape.
    """
    places = np.arange(math.prod(shape)).reshape(shape)
    return _KINDS[kind](places, tuple(numbers))


def _depth_to_space(x: np.ndarray, numbers: Shape) -> np.ndarray:
    batch, height, width, channels = x.shape
    (size,) = numbers
    parts = x.reshape(batch, height, width, size, size, _whole(channels, size * size))
    moved = parts.transpose(0, 1, 3, 2, 4, 5)
    return moved.reshape(batch, height * size, width * size, -1)


def _space_to_depth(x: np.ndarray, numbers: Shape) -> np.ndarray:
    batch, height, width, channels = x.shape
    (size,) = numbers
    rows, columns = _whole(height, size), _whole(width, size)
    parts = x.reshape(batch, rows, size, columns, size, channels)
    return parts.transpose(0, 1, 3, 2, 4, 5).reshape(batch, rows, columns, -1)


def _whole(size: int, parts: int) -> int:
    if size % parts:
        raise ValueError(f"{size} can't be parted by {parts}")
    return size // parts


def _space_to_batch(x: np.ndarray, numbers: Shape) -> np.ndarray:
    """Blocks of the axes after the first become images; those at the edges are filled up."""
    count = len(numbers) // 3
    blocks, edges = numbers[:count], numbers[count:]
    widths = [(0, 0), *zip(edges[::2], edges[1::2], strict=True)]
    widths += [(0, 0)] * (x.ndim - len(widths))
    x = np.pad(x, widths, constant_values=FILL)
    split = [x.shape[0]]
    for size, block in zip(x.shape[1:], blocks):
        split += [_whole(size, block), block]
    rest = x.shape[1 + count :]
    inner = [2 + 2 * i for i in range(count)]
    outer = [1 + 2 * i for i in range(count)]
    tail = range(1 + 2 * count, 1 + 2 * count + len(rest))
    moved = x.reshape(*split, *rest).transpose(*inner, 0, *outer, *tail)
    return moved.reshape(-1, *(split[i] for i in outer), *rest)


def _batch_to_space(x: np.ndarray, numbers: Shape) -> np.ndarray:
    """Images become blocks of the axes after the first; then the edges are cut off."""
    count = len(numbers) // 3
    blocks, crops = numbers[:count], numbers[count:]
    batch = _whole(x.shape[0], math.prod(blocks))
    sizes, rest = x.shape[1 : 1 + count], x.shape[1 + count :]
    parts = x.reshape(*blocks, batch, *sizes, *rest)
    order = [count]
    for i in range(count):
        order += [count + 1 + i, i]
    order += range(2 * count + 1, parts.ndim)
    full = [size * block for size, block in zip(sizes, blocks)]
    whole = parts.transpose(order).reshape(batch, *full, *rest)
    kept = [slice(None)]
    for size, first, last in zip(full, crops[::2], crops[1::2]):
        if first + last >= size:
            raise ValueError(f"crops of {first} and {last} leave nothing of {size}")
        kept.append(slice(first, size - last))
    return whole[tuple(kept)]


def _padded(mode: str) -> Callable[[np.ndarray, Shape], np.ndarray]:
    def pad(x: np.ndarray, numbers: Shape) -> np.ndarray:
        widths = list(zip(numbers[::2], numbers[1::2], strict=True))
        most = [size - (mode == "reflect") for size in x.shape]
        if any(max(pair) > limit for pair, limit in zip(widths, most, strict=True)):
            raise ValueError(f"a padding of {list(numbers)} is more than {list(x.shape)} has")
        return np.pad(x, widths, mode=mode)  # type: ignore[call-overload]

    return pad


_KINDS: Mapping[str, Callable[[np.ndarray, Shape], np.ndarray]] = {
    "batch_to_space": _batch_to_space,
    "depth_to_space": _depth_to_space,
    "reflect": _padded("reflect"),
    "reverse": lambda x, axes: np.flip(x, axes),
    "space_to_batch": _space_to_batch,
    "space_to_depth": _space_to_depth,
    "symmetric": _padded("symmetric"),
}
