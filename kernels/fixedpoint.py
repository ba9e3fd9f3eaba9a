"""Fixed-point rounding, stated once: all integer arithmetic is tested against this file.

The rules are those of TensorFlow Lite's reference kernels (`kernels/internal/common.h`,
`kernels/internal/quantization_util.cc`, `kernels/kernel_util.cc`, gemmlowp's `fixedpoint.h`), built
without TFLITE_SINGLE_ROUNDING: a product is rounded once to 32 bits and once more by its shift.
Arrays may be of any integer type and broadcast; all work is done in int64, which never overflows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..runtime.graph import DTYPES, Tensor

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1

Int32Array = NDArray[np.int32]

# In place of a shift: the multiplier is the bits of a float32, and the product goes to the nearest
# whole number, ties to even. This is ONNX Runtime's rule (onnxruntime `MlasRequantizeOutput`).
IN_FLOATS = 127
FLOAT_LIMIT = 1 << 22  # where such a result is held: far beyond int8, and exact


# ---- from real scales to multiplier and shift --------------------------------------------------


def quantize_multiplier(real: float) -> tuple[int, int]:
    """`real` as multiplier * 2**(shift - 31) with 2**30 <= |multiplier| < 2**31.

    The multiplier is rounded half away from zero. A real number under 2**-32 becomes (0, 0). A
    positive shift shifts left. (TFLite `QuantizeMultiplier`.)
    """
    if not math.isfinite(real):
        raise ValueError(f"a multiplier must be a finite number, not {real}")
    fraction, shift = math.frexp(real)
    # A double has 53 significant bits, so fraction * 2**53 is an exact integer: keep 31 of them.
    magnitude = (int(abs(fraction) * (1 << 53)) + (1 << 21)) >> 22
    multiplier = magnitude if fraction >= 0 else -magnitude
    if multiplier == 1 << 31:
        multiplier, shift = 1 << 30, shift + 1
    if shift < -31 or multiplier == 0:
        return 0, 0
    return multiplier, shift


def quantize_multipliers(reals: Iterable[float]) -> tuple[Int32Array, Int32Array]:
    """`quantize_multiplier` of each: (multipliers, shifts)."""
    pairs = [quantize_multiplier(float(real)) for real in reals]
    multipliers, shifts = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(multipliers, np.int32), np.array(shifts, np.int32)


def multiplier_for(y: Tensor, real: float) -> tuple[int, int]:
    """`real`, which brings numbers into the scale of `y`, by the rule of `y`."""
    (multiplier,), (shift,) = multipliers_for(y, [real])
    return int(multiplier), int(shift)


def multipliers_for(y: Tensor, reals: Iterable[float]) -> tuple[Int32Array, Int32Array]:
    """`multiplier_for` of each: (multipliers, shifts)."""
    if not is_in_floats(y):
        return quantize_multipliers(reals)
    with np.errstate(over="ignore", under="ignore"):
        bits = np.array(list(reals), np.float64).astype(np.float32).view(np.int32)
    return bits, np.full(bits.shape, IN_FLOATS, np.int32)


def is_in_floats(y: Tensor) -> bool:
    """Whether numbers are brought into the scale of `y` by a float32."""
    return y.dtype == "int8" and y.quantization is not None and y.quantization.in_floats


def channel_scales(x: Tensor, weights: Tensor, y: Tensor, channels: int) -> NDArray[np.float64]:
    """Real multiplier of each output channel: accumulator units to output units.

    All in double: input * weights / output. Weights with one scale give it to every channel. This
    is the rule of int8 and int16 convolutions (TFLite `PopulateConvolutionQuantizationParams`) and
    of fully connected layers with a scale a channel.
    """
    scales = _scales(weights)
    scales = np.full(channels, scales[0]) if len(scales) == 1 else scales
    return x.scale * scales / y.scale


def tensor_scale(x: Tensor, weights: Tensor, y: Tensor) -> float:
    """Real multiplier of a whole layer, with input * weights rounded to *float32*.

    This is the rule of layers that were uint8, and of fully connected layers whose weights have one
    scale (TFLite `GetQuantizedConvolutionMultipler`).
    """
    with np.errstate(over="ignore", under="ignore"):
        product = np.float32(x.scale) * np.float32(weights.scale)
    return float(product) / y.scale


def _scales(tensor: Tensor) -> NDArray[np.float64]:
    if tensor.quantization is None:
        raise ValueError(f"tensor {tensor.index} ({tensor.name!r}) has no quantization")
    return tensor.quantization.scales.astype(np.float64)


# ---- applying them -----------------------------------------------------------------------------


def saturating_rounding_doubling_high_mul(a: ArrayLike, b: ArrayLike) -> Int32Array:
    """round(a * b / 2**31) of int32 values, ties towards plus infinity; -2**31 squared saturates.

    (gemmlowp `SaturatingRoundingDoublingHighMul`; its sign-dependent nudge with a division that
    truncates is the same as this floor, which `tests/test_fixedpoint.py` proves.)
    """
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    return np.minimum((product + (1 << 30)) >> 31, INT32_MAX).astype(np.int32)


def rounding_divide_by_pot(x: ArrayLike, exponent: ArrayLike) -> Int32Array:
    """round(x / 2**exponent) of int32 values, ties away from zero; 0 <= exponent <= 31.

    (gemmlowp `RoundingDivideByPOT`.)
    """
    value, power = np.asarray(x, np.int64), np.asarray(exponent, np.int64)
    half = (np.int64(1) << power) >> 1
    tie_fix = ((value < 0) & (power > 0)).astype(np.int64)
    return ((value + half - tie_fix) >> power).astype(np.int32)


def multiply_by_quantized_multiplier(
    x: ArrayLike, multiplier: ArrayLike, shift: ArrayLike
) -> Int32Array:
    """x * multiplier * 2**(shift - 31) for int32 x, rounded twice; -31 <= shift <= 30.

    A left shift is taken first and wraps at 32 bits, as in TFLite's own `int32 * (1 << shift)`.
    With shifts `IN_FLOATS` the multipliers are float32.
    """
    power = np.asarray(shift, np.int64)
    if (power == IN_FLOATS).any():
        return _multiply_in_floats(x, multiplier)
    left, right = np.maximum(power, 0), np.maximum(-power, 0)
    shifted = (np.asarray(x, np.int64) << left).astype(np.int32)
    return rounding_divide_by_pot(saturating_rounding_doubling_high_mul(shifted, multiplier), right)


def _multiply_in_floats(x: ArrayLike, bits: ArrayLike) -> Int32Array:
    """The product in float32, rounded to it, and then to a whole number, ties to even."""
    factor = np.asarray(bits, np.int32).view(np.float32)
    with np.errstate(over="ignore", under="ignore"):
        product = np.asarray(x, np.int64).astype(np.float32) * factor
    return np.rint(np.clip(product, -FLOAT_LIMIT, FLOAT_LIMIT)).astype(np.int32)


def reduced_multiplier(multiplier: ArrayLike) -> NDArray[np.int64]:
    """A non-negative 32-bit multiplier rounded to 16 bits, at most 0x7fff."""
    value = np.asarray(multiplier, np.int64)
    return np.where(value < 0x7FFF0000, (value + (1 << 15)) >> 16, 0x7FFF)


def multiply_by_quantized_multiplier_64(
    x: ArrayLike, multiplier: ArrayLike, shift: ArrayLike
) -> Int32Array:
    """x * reduced_multiplier * 2**(shift - 15) for |x| < 2**47, rounded once, ties upwards.

    The rule of kernels with int64 accumulators (int16 activations): -31 <= shift <= 7 and
    multiplier >= 0. The result wraps at 32 bits.
    """
    right = 15 - np.asarray(shift, np.int64)
    product = np.asarray(x, np.int64) * reduced_multiplier(multiplier)
    return ((product + (np.int64(1) << (right - 1))) >> right).astype(np.int32)


# ---- activations -------------------------------------------------------------------------------

ACTIVATIONS: dict[str, tuple[float | None, float | None]] = {
    "none": (None, None),
    "relu": (0.0, None),
    "relu6": (0.0, 6.0),
    "relu_n1_to_1": (-1.0, 1.0),
    "unbounded": (-math.inf, math.inf),  # float sums and products of models that aren't TFLite's
}


def activation_range(activation: str, tensor: Tensor) -> tuple[int, int]:
    """Least and greatest quantized output of a fused activation, in the output tensor's numbers.

    A real bound is divided by the scale in float32 and rounded half away from zero (TFLite
    `CalculateActivationRangeQuantized`).
    """
    kind = np.iinfo(DTYPES[tensor.dtype])
    low, high = _real_range(activation)
    least = kind.min if low is None else max(kind.min, _quantize_bound(low, tensor))
    greatest = kind.max if high is None else min(kind.max, _quantize_bound(high, tensor))
    return int(least), int(greatest)


def float_activation_range(activation: str) -> tuple[np.float32, np.float32]:
    """Least and greatest output of a fused activation on float32 (TFLite: finite bounds)."""
    low, high = _real_range(activation)
    limits = np.finfo(np.float32)
    return (
        limits.min if low is None else np.float32(low),
        limits.max if high is None else np.float32(high),
    )


def _real_range(activation: str) -> tuple[float | None, float | None]:
    if activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ValueError(f"there is no fused activation {activation!r}; there are {known}")
    return ACTIVATIONS[activation]


def _quantize_bound(real: float, tensor: Tensor) -> int:
    with np.errstate(over="ignore"):  # a bound out of reach is no bound
        ratio = float(np.float32(real) / np.float32(tensor.scale))
    ratio = min(max(ratio, INT32_MIN), INT32_MAX)
    return tensor.zero_point + int(math.copysign(math.floor(abs(ratio) + 0.5), ratio))
