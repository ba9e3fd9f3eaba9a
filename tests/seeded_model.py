"""A model builder that knows how TFLite quantizes activations, weights and biases."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from tflite_writer import ModelBuilder

Shape = Sequence[int]
Pair = tuple[int, int]  # (height, width)

INPUT_SCALE, WEIGHT_SCALE = 0.05, 0.01
ZERO_POINTS = {"int8": -5, "uint8": 123, "int16": 0}  # of activations, unless a case says so
STEPS = {"int8": 74.0, "uint8": 74.0, "int16": 18918.0}  # standard deviation of random inputs


class SeededModel(ModelBuilder):
    """Random numbers from a seed, quantized as one `dtype` of activations asks for."""

    def __init__(self, dtype: str, seed: int, input_scale: float = INPUT_SCALE) -> None:
        super().__init__()
        self.dtype, self.rng = dtype, np.random.default_rng(seed)
        self.input_scale = input_scale / 256 if dtype == "int16" else input_scale

    def activation(
        self, shape: Shape, scale: float | None = None, zero_point: int | None = None
    ) -> int:
        if self.dtype not in ZERO_POINTS:
            return self.tensor(shape, self.dtype)
        zero = ZERO_POINTS[self.dtype] if zero_point is None else zero_point
        return self.tensor(shape, self.dtype, scale or self.input_scale, zero)

    def sum_scale(self, taps: int, weight_scale: float = WEIGHT_SCALE) -> float:
        """An output scale for sums of `taps` products of random numbers."""
        spread = STEPS.get(self.dtype, 1.0) * self.input_scale * STEPS["int8"] * weight_scale
        return 3.0 * spread * math.sqrt(taps) / (32768 if self.dtype == "int16" else 128)

    def weights(self, shape: Shape, axis: int, per_channel: bool) -> tuple[int, np.ndarray]:
        """A weight tensor and its scales."""
        if self.dtype == "float32":
            values = self.rng.normal(0, 0.5, shape)
            return self.constant(values, "float32"), np.ones(1)
        if self.dtype == "uint8":
            data = self.rng.integers(0, 256, shape)
            index = self.constant(data, "uint8", scale=WEIGHT_SCALE, zero_point=119)
            return index, np.full(1, WEIGHT_SCALE)
        count = shape[axis] if per_channel else 1
        scales = (WEIGHT_SCALE * self.rng.uniform(0.5, 1.5, count)).astype(np.float32)
        data = self.rng.integers(-127, 128, shape)
        return self.constant(data, "int8", scale=scales, axis=axis), scales

    def bias(self, count: int, scales: np.ndarray, taps: int) -> int:
        """A bias of the size of the sums it is added to."""
        if self.dtype == "float32":
            return self.constant(self.rng.normal(0, 1, count), "float32")
        spread = STEPS[self.dtype] * STEPS["int8"] * math.sqrt(taps)
        data = self.rng.normal(0, spread, count).round()
        dtype = "int64" if self.dtype == "int16" else "int32"
        return self.constant(data, dtype, scale=scales * np.float32(self.input_scale))
