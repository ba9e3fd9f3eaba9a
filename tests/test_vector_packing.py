"""What vector kernels read: weights in parts, and where they stand."""

from __future__ import annotations

import numpy as np

from midge.kernels.vector import packing


def test_parts_add_up_to_weights_of_nine_bits():
    weights = np.arange(-255, 256)
    parts = packing.int8_parts(weights)
    assert len(parts) == 3  # 255 is more than twice 127
    assert len(packing.int8_parts(weights[1:-1])) == 2
    assert len(packing.int8_parts(weights[127:383])) == 1
    np.testing.assert_array_equal(np.sum(parts, axis=0, dtype=np.int64), weights)


def test_a_step_holds_four_products_of_sixteen_channels():
    weights = np.arange(17 * 2 * 3).reshape(17, 2, 3).astype(np.int8)
    packed = packing.packed_weights(weights).array
    assert packed.shape == (2, 2, 16, 4)  # blocks, segments * steps, channels, taps
    np.testing.assert_array_equal(packed[0, 1, 5], [*weights[5, 1], 0])
    np.testing.assert_array_equal(packed[1, 0, 0], [*weights[16, 0], 0])
    assert not packed[1, :, 1:].any()


def test_both_roundings_are_one_in_64_bits():
    """What plain kernels compute of the wide parameters, against rounding twice."""
    rng = np.random.default_rng(0)
    right = rng.integers(1, 21, 16).astype(np.int32)
    half = ((1 << right.astype(np.int64)) >> 1) + (rng.integers(-128, 128, 16) << right)
    rows = packing._wide_parameters(half.astype(np.int32), right)[0]
    wide, rest = rows[:2].view(np.int64), rows[2]
    for _ in range(2000):
        sums = rng.integers(-(1 << 29), 1 << 29, 16)
        products = sums * rng.integers(1 << 30, 1 << 31, 16)
        wanted = (((products + (1 << 30)) >> 31) + half) >> right
        even = (products[::2] + wide[0]) >> 32 >> rest[::2]
        odd = (products[1::2] + wide[1]) >> 32 >> rest[1::2]
        np.testing.assert_array_equal(even, wanted[::2])
        np.testing.assert_array_equal(odd, wanted[1::2])
