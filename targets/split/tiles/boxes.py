"""Boxes of tensors, and values that are known piece by piece.

A box is ((first row, end), (first column, end)) of an NHWC image; any other tensor is one pixel, so
that its only box is the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from ....runtime.errors import InputError
from ....runtime.graph import DTYPES, Tensor
from ....runtime.shapes import image_size

Range = tuple[int, int]
Box = tuple[Range, Range]


def whole(tensor: Tensor) -> Box:
    height, width = image_size(tensor.shape)
    return (0, height), (0, width)


def area(box: Box) -> int:
    return (box[0][1] - box[0][0]) * (box[1][1] - box[1][0])


def meet(a: Box, b: Box) -> Box | None:
    """What both have, or None."""
    rows, columns = ((max(x[0], y[0]), min(x[1], y[1])) for x, y in zip(a, b, strict=True))
    return (rows, columns) if rows[0] < rows[1] and columns[0] < columns[1] else None


def hull(boxes: Iterable[Box]) -> Box:
    """The least box that has them all."""
    many = list(boxes)
    rows, columns = (
        (min(box[axis][0] for box in many), max(box[axis][1] for box in many)) for axis in (0, 1)
    )
    return rows, columns


def minus(box: Box, other: Box) -> list[Box]:
    """What is left of a box without another: at most four boxes, none of which meet."""
    common = meet(box, other)
    if common is None:
        return [box]
    (top, bottom), (left, right) = box
    (first, last), (begin, end) = common
    parts: list[Box] = [
        ((top, first), (left, right)),
        ((last, bottom), (left, right)),
        ((first, last), (left, begin)),
        ((first, last), (end, right)),
    ]
    return [part for part in parts if area(part) > 0 and part[0][0] < part[0][1]]


def without(box: Box, others: Iterable[Box]) -> list[Box]:
    """What is left of a box without all the others."""
    left = [box]
    for other in others:
        left = [part for rest in left for part in minus(rest, other)]
    return left


def bytes_of(tensor: Tensor, box: Box) -> int:
    return tensor.bytes * area(box) // area(whole(tensor))


def piece_of(tensor: Tensor, box: Box) -> Tensor:
    """A box as a tensor of its own, as it is named on the wire."""
    if box == whole(tensor):
        return replace(tensor, data=None)
    (top, bottom), (left, right) = box
    shape = (tensor.shape[0], bottom - top, right - left, tensor.shape[3])
    name = f"{tensor.name} rows {top}-{bottom - 1} columns {left}-{right - 1}"
    return replace(tensor, name=name, shape=shape)


class Pieces:
    """Tensors of one inference, as far as they are known here."""

    def __init__(self, tensors: Mapping[int, Tensor]) -> None:
        self._tensors = tensors
        self._known: dict[int, list[tuple[Box, np.ndarray]]] = {}
        self.bytes = 0

    def put(self, tensor: int, box: Box, value: np.ndarray) -> None:
        self._known.setdefault(tensor, []).append((box, value))
        self.bytes += value.nbytes

    def take(self, tensor: int, box: Box) -> np.ndarray:
        """A box put together from what is known; `InputError` if some of it isn't."""
        known = tuple(self._known.get(tensor, ()))  # others may put meanwhile
        for have, value in known:
            if have == box:
                return value
        missing = without(box, (have for have, _ in known))
        if missing:
            raise InputError(
                f"rows and columns {missing[0]} of tensor {self._tensors[tensor].name!r} "
                "are needed and were not sent"
            )
        wanted = piece_of(self._tensors[tensor], box)
        made = np.empty(wanted.shape, DTYPES[wanted.dtype])
        for have, value in known:
            common = meet(have, box)
            if common is not None:
                made[_slices(common, box)] = value[_slices(common, have)]
        return made


def _slices(common: Box, box: Box) -> tuple[slice, ...]:
    rows, columns = (
        slice(common[axis][0] - box[axis][0], common[axis][1] - box[axis][0]) for axis in (0, 1)
    )
    return slice(None), rows, columns
