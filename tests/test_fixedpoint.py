"""`kernels.fixedpoint` against exact integers and rationals, and against the fused forms that
native kernels use in its place."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from midge.kernels import fixedpoint as fp
from midge.runtime.graph import Quantization, Tensor

MIN, MAX = -(1 << 31), (1 << 31) - 1
EDGES = sorted(
    {MIN, MIN + 1, MAX - 1, MAX, 0}
    | {s * ((1 << k) + d) for k in range(31) for s in (1, -1) for d in (-1, 0, 1)}
)
int32 = st.one_of(st.sampled_from(EDGES), st.integers(MIN, MAX))
multipliers = st.one_of(st.sampled_from([0, 1 << 30, MAX]), st.integers(1 << 30, MAX))


def nearest_up(value: Fraction) -> int:
    """Round half towards plus infinity."""
    return math.floor(value + Fraction(1, 2))


def nearest_away(value: Fraction) -> int:
    """Round half away from zero."""
    return nearest_up(value) if value >= 0 else -nearest_up(-value)


def wrap32(value: int) -> int:
    return (value - MIN) % (1 << 32) + MIN


def truncated(a: int, b: int) -> int:
    """C's integer division."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def gemmlowp_high_mul(a: int, b: int) -> int:
    """SaturatingRoundingDoublingHighMul as gemmlowp spells it: nudge by sign, truncate."""
    if a == b == MIN:
        return MAX
    nudge = 1 << 30 if a * b >= 0 else 1 - (1 << 30)
    return truncated(a * b + nudge, 1 << 31)


def gemmlowp_divide_by_pot(x: int, exponent: int) -> int:
    """RoundingDivideByPOT as gemmlowp spells it: remainder against a threshold."""
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (1 if x < 0 else 0)
    return (x >> exponent) + (1 if (x & mask) > threshold else 0)


# ---- quantize_multiplier -----------------------------------------------------------------------


def test_multiplier_edge_cases():
    assert fp.quantize_multiplier(0.0) == (0, 0)
    assert fp.quantize_multiplier(1.0) == (1 << 30, 1)
    assert fp.quantize_multiplier(0.5) == (1 << 30, 0)
    assert fp.quantize_multiplier(2.0**-32) == (1 << 30, -31)
    assert fp.quantize_multiplier(2.0**-33) == (0, 0)
    assert fp.quantize_multiplier(math.nextafter(1.0, 0.0)) == (1 << 30, 1)  # rounds up to 2**31
    assert fp.quantize_multiplier(-0.75) == (-3 << 29, 0)
    # Rounds up to 2**-32 and so is kept, though its own exponent is too small.
    assert fp.quantize_multiplier(math.nextafter(2.0**-32, 0.0)) == (1 << 30, -31)


@pytest.mark.parametrize("real", [math.inf, -math.inf, math.nan])
def test_multiplier_must_be_finite(real):
    with pytest.raises(ValueError, match="finite"):
        fp.quantize_multiplier(real)


@given(st.floats(2.0**-31, 2.0**20))
def test_multiplier_is_the_nearest(real):
    multiplier, shift = fp.quantize_multiplier(real)
    assert 1 << 30 <= multiplier <= MAX
    exact = Fraction(real) * Fraction(2) ** (31 - shift)
    assert abs(exact - multiplier) <= Fraction(1, 2)


@given(st.integers(1 << 30, MAX), st.integers(-31, 20))
def test_multiplier_ties_go_away_from_zero(multiplier, shift):
    tie = float(Fraction(2 * multiplier + 1, 2) * Fraction(2) ** (shift - 31))
    wanted = (multiplier + 1, shift) if multiplier < MAX else (1 << 30, shift + 1)
    assert fp.quantize_multiplier(tie) == wanted


# ---- the two roundings -------------------------------------------------------------------------


@given(int32, int32)
@settings(max_examples=2000)
def test_high_mul_is_exact(a, b):
    wanted = min(nearest_up(Fraction(a * b, 1 << 31)), MAX)
    assert fp.saturating_rounding_doubling_high_mul(a, b) == wanted == gemmlowp_high_mul(a, b)


def test_high_mul_on_all_pairs_of_edges():
    a, b = (grid.reshape(-1) for grid in np.meshgrid(EDGES, EDGES))
    wanted = [gemmlowp_high_mul(int(p), int(q)) for p, q in zip(a, b, strict=True)]
    np.testing.assert_array_equal(fp.saturating_rounding_doubling_high_mul(a, b), wanted)


def test_divide_by_pot_on_all_shifts():
    for exponent in range(32):
        half = 1 << exponent >> 1
        values = sorted(
            {
                v
                for k in range(-3, 4)
                for d in (-1, 0, 1)
                if MIN <= (v := (2 * k + 1) * half + d) <= MAX
            }
            | set(EDGES)
        )
        got = fp.rounding_divide_by_pot(np.array(values), exponent)
        exact = [nearest_away(Fraction(v, 1 << exponent)) for v in values]
        np.testing.assert_array_equal(got, exact)
        assert exact == [gemmlowp_divide_by_pot(v, exponent) for v in values]


@given(int32, st.integers(0, 31))
def test_divide_by_pot_is_exact(x, exponent):
    assert fp.rounding_divide_by_pot(x, exponent) == nearest_away(Fraction(x, 1 << exponent))


@given(int32, multipliers, st.integers(-31, 30))
@settings(max_examples=2000)
def test_multiply_rounds_twice(x, multiplier, shift):
    product = gemmlowp_high_mul(wrap32(x << max(shift, 0)), multiplier)
    wanted = gemmlowp_divide_by_pot(product, max(-shift, 0))
    assert fp.multiply_by_quantized_multiplier(x, multiplier, shift) == wanted


def test_multiply_takes_a_multiplier_a_channel():
    x = np.array([[100, -100], [7, MAX]])
    got = fp.multiply_by_quantized_multiplier(x, np.array([1 << 30, 3 << 29]), np.array([0, -2]))
    one_by_one = [
        [
            int(fp.multiply_by_quantized_multiplier(v, m, s))
            for v, m, s in zip(row, (1 << 30, 3 << 29), (0, -2), strict=True)
        ]
        for row in x
    ]
    np.testing.assert_array_equal(got, one_by_one)
    assert got.dtype == np.int32


@given(
    st.one_of(st.integers(-(1 << 47), (1 << 47) - 1), int32),
    st.one_of(multipliers, st.sampled_from([0x7FFEFFFF, 0x7FFF0000, 0x7FFF0001])),
    st.integers(-31, 7),
)
@settings(max_examples=2000)
def test_multiply_64_rounds_once(x, multiplier, shift):
    reduced = (multiplier + 0x8000) >> 16 if multiplier < 0x7FFF0000 else 0x7FFF
    wanted = wrap32(nearest_up(Fraction(x * reduced) * Fraction(2) ** (shift - 15)))
    assert fp.multiply_by_quantized_multiplier_64(x, multiplier, shift) == wanted


# ---- one-rounding forms that native kernels may use --------------------------------------------


@given(int32, multipliers, st.integers(1, 31), st.integers(-128, 127))
@settings(max_examples=2000)
@example(x=-1, multiplier=1 << 30, exponent=1, zero_point=0)  # product -2**30 rounds to 0 first
def test_fused_right_shift_with_zero_point(x, multiplier, exponent, zero_point):
    """One 64-bit shift in place of two roundings, for a right shift of at least 1.

    The second rounding's ties depend on the sign of the first one's result. The product's own sign
    may stand in for it: where the two differ, the first result is 0 and far from a tie.
    """
    product = x * multiplier
    nudge = (1 << 30) + (((1 << (exponent - 1)) + (zero_point << exponent)) << 31)
    fused = (product + nudge - ((product < 0) << 31)) >> (31 + exponent)
    two_steps = int(fp.multiply_by_quantized_multiplier(x, multiplier, -exponent)) + zero_point
    assert fused == two_steps


@given(int32, st.integers(0, 31), st.integers(-32768, 32767))
def test_zero_point_folds_into_the_second_rounding(x, exponent, zero_point):
    half = 1 << exponent >> 1
    folded = (x + half - (x < 0 < exponent) + (zero_point << exponent)) >> exponent
    assert folded == int(fp.rounding_divide_by_pot(x, exponent)) + zero_point


# ---- scales and activations --------------------------------------------------------------------


def tensor(scale, zero_point=0, dtype="int8"):
    return Tensor(0, "t", (1,), dtype, Quantization(np.array(scale), np.array(zero_point)))


def test_layer_scale_rounds_the_product_to_float32():
    x, w, y = tensor(0.1), tensor(0.3), tensor(0.7)
    assert fp.tensor_scale(x, w, y) == float(np.float32(0.1) * np.float32(0.3)) / float(
        np.float32(0.7)
    )
    assert fp.tensor_scale(x, w, y) != fp.channel_scales(x, w, y, 1)[0]


def test_one_weight_scale_serves_every_channel():
    scales = fp.channel_scales(tensor(0.5), tensor(0.25), tensor(2.0), 3)
    np.testing.assert_array_equal(scales, [0.0625] * 3)


@pytest.mark.parametrize(
    ("activation", "scale", "zero_point", "dtype", "wanted"),
    [
        ("none", 0.1, 3, "int8", (-128, 127)),
        ("relu", 0.1, 3, "int8", (3, 127)),
        ("relu", 0.1, -128, "int8", (-128, 127)),
        ("relu6", 0.1, -128, "int8", (-128, -68)),
        ("relu6", 0.01, -128, "int8", (-128, 127)),
        ("relu_n1_to_1", 0.4, 0, "int8", (-3, 3)),  # 2.5 rounds away from zero
        ("relu6", 0.001, 0, "int16", (0, 6000)),
        ("none", 0.001, 0, "int16", (-32768, 32767)),
        ("relu6", 1e-39, 0, "int8", (0, 127)),
    ],
)
def test_activation_range(activation, scale, zero_point, dtype, wanted):
    assert fp.activation_range(activation, tensor(scale, zero_point, dtype)) == wanted


def test_unknown_activation_is_an_error():
    with pytest.raises(ValueError, match="no fused activation 'gelu'"):
        fp.activation_range("gelu", tensor(1.0))
