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
