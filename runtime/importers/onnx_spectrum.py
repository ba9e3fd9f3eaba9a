"""Readers of ONNX's Fourier transforms: products with matrices of cosines and sines.

A frame of audio has some hundred numbers, and their length is known when a model is read; a product
with a constant matrix runs on every target, with the same bits. Complex numbers are pairs of
numbers along the last axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from ..graph import DTYPES
from .onnx_building import Value
from .onnx_general import pair, product
from .onnx_placing import picked
from .onnx_reading import Made, NodeReading
from .tflite_reading import Unsupported

MOST_WEIGHTS = 1 << 22  # of a transform's matrix
EXACT = 1e-12  # cosines and sines that are nearer to 0 are 0


def dft(node: NodeReading) -> Made:
    """The discrete Fourier transform along one axis, or its inverse; one side or both."""
    build, shape = node.build, node.shape(0)
    if node.opset < 20:
        axis = node.attribute("axis", 1)
    else:
        given = node.optional_constant(2, "axis")
        axis = -2 if given is None else int(given.reshape(-1)[0])
    axis %= len(shape)
    if axis == len(shape) - 1:
        raise ValueError(f"axis {axis} has the parts of complex numbers")
    stated = node.optional_constant(1, "length")
    inverse, one_side = bool(node.attribute("inverse", 0)), bool(node.attribute("onesided", 0))
    length = 2 * (shape[axis] - 1) if inverse and one_side else shape[axis]
    if stated is not None:
        length = int(stated.reshape(-1)[0])
    rank = len(shape)
    order = (*(i for i in range(rank) if i not in (axis, rank - 1)), axis, rank - 1)
    x = build.transposed(build.plain(node.inputs[0]), order)
    matrix = _matrix(shape[axis], length, shape[-1], inverse, one_side)
    made = _transformed(node, x, matrix)
    return [Value(build.transposed(made, tuple(order.index(i) for i in range(rank))))]


def stft(node: NodeReading) -> Made:
    """Spectra of frames of a signal, a step apart, each times a window."""
    build, (batch, samples, parts) = node.build, node.shape(0)
    step = int(node.constant(1, "step").reshape(-1)[0])
    stated = node.optional_constant(3, "length")
    window = build.known(node.inputs[2]) if node.has(2) else None
    width = node.shape(2)[0] if node.has(2) else samples
    length = int(stated.reshape(-1)[0]) if stated is not None else width
    width = width if node.has(2) else length
    if not 0 < width <= length <= samples or step < 1:
        raise ValueError(f"frames of {length} numbers, {step} apart, of {samples}")
    begins = np.arange((samples - length) // step + 1) * step
    places = begins[:, None] + np.arange(width)
    x = picked(node, build.plain(node.inputs[0]), places.reshape(-1), 1)
    x = build.reshaped(x, (batch, *places.shape, parts))
    matrix = _matrix(width, length, parts, False, bool(node.attribute("onesided", 1)))
    if window is not None:
        matrix *= window.astype(np.float64).reshape(-1, 1, 1, 1)
    elif node.has(2):
        x = pair(node, "mul", x, build.reshaped(build.plain(node.inputs[2]), (width, 1)))
    return [Value(_transformed(node, x, matrix))]


def _matrix(given: int, length: int, parts: int, inverse: bool, one_side: bool) -> np.ndarray:
    """[given, parts, answers, their parts] of a transform of `length` numbers, of which `given`
    come: those missing are zero, those behind are left out."""
    answers = length if inverse or not one_side else length // 2 + 1
    if given * parts * answers * 2 > MOST_WEIGHTS:
        raise Unsupported(
            f"it is of {length} numbers, at most {MOST_WEIGHTS} weights are made",
            "export it for shorter frames",
        )
    if length < 1 or parts not in (1, 2):
        raise ValueError(f"a transform of {length} numbers of {parts} parts")
    used = length // 2 + 1 if inverse and one_side else length
    turns = np.arange(given)[:, None] * np.arange(answers) % length
    angles = (2 if inverse else -2) * math.pi * turns / length
    cosines, sines = np.cos(angles), np.sin(angles)
    factors = np.where(np.arange(given) < used, 1 / length if inverse else 1.0, 0.0)[:, None]
    if inverse and one_side:  # the other side has the same numbers, conjugate
        alone = (np.arange(given) == 0) | (2 * np.arange(given) == length)
        factors = factors * np.where(alone, 1, 2)[:, None]
    rows = np.array([[cosines, sines], [-sines, cosines]]) * factors  # [in, out, given, answers]
    rows[np.abs(rows) < EXACT] = 0
    rows = rows[:parts, :1] if inverse and one_side else rows[:parts]
    return rows.transpose(2, 0, 3, 1)


def _transformed(node: NodeReading, x: int, matrix: np.ndarray) -> int:
    """[..., numbers, parts] by the matrix."""
    build, (given, parts, answers, made) = node.build, matrix.shape
    *others, _, _ = build.tensors[x].shape
    kind = DTYPES[build.tensors[x].dtype]
    weights = build.constant(matrix.reshape(given * parts, answers * made).astype(kind))
    rows = build.reshaped(x, (math.prod(others), given * parts))
    return build.reshaped(product(node, rows, weights), (*others, answers, made))


READERS: Mapping[str, Callable[[NodeReading], Made]] = {"DFT": dft, "STFT": stft}
