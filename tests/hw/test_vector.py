"""Depthwise convolutions, pools and additions on the accelerator, against plain sums."""

import numpy as np
import pytest

from midge.hw.machine import Machine
from midge.kernels.fixedpoint import multiply_by_quantized_multiplier
from midge.runtime.errors import TargetError
from midge.targets.fpga.cost import estimate_cycles
from midge.targets.fpga.lower import describe
from midge.targets.fpga.vector import (
    add_job,
    average_pool_job,
    depthwise_job,
    max_pool_job,
    mean_rule,
)

# The same as in test_accelerator, so that both share one compiled simulation.
SMALL = Machine(
    rows=12, columns=5, activation_bytes=2048, weight_words=256, accumulators=64,
    parameter_tiles=4, queue_jobs=2, line_pixels=16, binary=0,
)  # fmt: skip


def run_twice(accelerator, tiles, *operands):
    """The output, twice the same and with the estimated count of cycles within a tenth."""
    estimate = sum(estimate_cycles(job, accelerator.machine) for tile in tiles for job in tile.jobs)
    first, cycles = accelerator.run(tiles, *operands)
    again, cycles_again = accelerator.run(tiles, *operands)
    np.testing.assert_array_equal(first, again)
    assert cycles == cycles_again
    assert abs(cycles - estimate) <= max(4 * len(tiles[0].jobs), 0.1 * cycles), (cycles, estimate)
    return first


def draw(rng, kernel=None):
    """(layer, x) of a window operator that fits the small machine."""
    kernel = kernel or tuple(map(int, rng.integers(1, 8, 2)))
    padding = [int(rng.integers(0, k)) for k in (kernel[0], kernel[0], kernel[1], kernel[1])]
    stride = tuple(map(int, rng.integers(1, 4, 2)))
    height = int(rng.integers(max(1, kernel[0] - padding[0] - padding[1]), 10))
    width = int(rng.integers(max(1, kernel[1] - padding[2] - padding[3]), 10))
    channels = int(rng.choice([1, 3, 5, 12]))
    layer = describe(
        (height, width, channels), (channels, *kernel, channels), stride, (1, 1), tuple(padding),
        (int(rng.integers(-128, 128)), int(rng.integers(-20, 20))), (-120, 100),
    )  # fmt: skip
    return layer, rng.integers(-128, 128, (height, width, channels)).astype(np.int8)


def taps(layer, x, fill):
    """[output row, output column, kernel row, kernel column, channel], `fill` outside."""
    top, bottom, left, right = layer.padding
    padded = np.pad(
        x.astype(np.int64), ((top, bottom), (left, right), (0, 0)), constant_values=fill
    )
    out = [
        [
            padded[y * layer.stride[0] :, z * layer.stride[1] :][
                : layer.kernel[0], : layer.kernel[1]
            ]
            for z in range(layer.output_shape[1])
        ]
        for y in range(layer.output_shape[0])
    ]
    return np.array(out)


@pytest.mark.parametrize("seed", range(24))
def test_depthwise(accelerators, seed):
    rng = np.random.default_rng(seed)
    layer, x = draw(rng, (3, 3) if seed % 3 == 0 else None)
    channels = x.shape[2]
    weights = rng.integers(-128, 128, (*layer.kernel, channels)).astype(np.int8)
    bias = rng.integers(-9000, 9000, channels).astype(np.int32)
    multipliers, shifts = rng.integers(1 << 30, 1 << 31, channels), rng.integers(-10, -7, channels)
    zero = layer.input_zero_point
    sums = ((taps(layer, x, zero) - zero) * weights).sum(axis=(2, 3)) + bias
    scaled = multiply_by_quantized_multiplier(sums.astype(np.int32), multipliers, shifts)
    expected = np.clip(scaled + layer.output_zero_point, *layer.clamp)
    tiles = depthwise_job(layer, weights, bias, multipliers, shifts, SMALL)
    made = run_twice(accelerators(SMALL), tiles, x)
    np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("seed", range(8))
def test_max_pool(accelerators, seed):
    rng = np.random.default_rng(seed)
    layer, x = draw(rng, tuple(map(int, rng.integers(1, 4, 2))))
    layer = describe(
        layer.input_shape, (x.shape[2], *layer.kernel, x.shape[2]), layer.stride, (1, 1),
        layer.padding, (-128, 0), (-100, 90),
    )  # fmt: skip
    expected = np.clip(taps(layer, x, -128).max(axis=(2, 3)), -100, 90)
    tiles = max_pool_job(layer, SMALL)
    np.testing.assert_array_equal(run_twice(accelerators(SMALL), tiles, x), expected)


@pytest.mark.parametrize("window", [(1, 1), (2, 3), (5, 5), (7, 7)], ids=str)
def test_average_pool(accelerators, window):
    """Ties of both signs are among these: they round away from zero."""
    rng = np.random.default_rng(window[0])
    x = rng.integers(-128, 128, (7, 9, 6)).astype(np.int8)
    x[: window[0], : window[1], 0] = -1
    x[0, 0, 0] = -1 + window[0] * window[1] // 2
    x[: window[0], : window[1], 1] = -128
    layer = describe(x.shape, (6, *window, 6), (2, 3), (1, 1), (0,) * 4, (-128, 0), (-128, 127))
    sums, count = taps(layer, x, 0).sum(axis=(2, 3)), window[0] * window[1]
    expected = np.where(sums > 0, 1, -1) * ((np.abs(sums) + count // 2) // count)
    tiles = average_pool_job(layer, SMALL)
    np.testing.assert_array_equal(run_twice(accelerators(SMALL), tiles, x), expected)


def test_means_are_exact_for_all_sums():
    for count in range(1, 200):
        mean_rule(count)  # tries them all
    with pytest.raises(TargetError, match="a mean of 5000 pixels does not fit 32 bits"):
        mean_rule(5000)


@pytest.mark.parametrize("elements", [1, 4, 5, 6, 63])
@pytest.mark.parametrize("sign", [1, -1])
def test_addition(accelerators, elements, sign):
    rng = np.random.default_rng(elements)
    a, b = rng.integers(-128, 128, (2, 1, 1, elements)).astype(np.int8)
    a[..., 0], b[..., 0] = -128, 127
    words = {
        "a_offset": 128, "a_multiplier": 1 << 30, "a_shift": 0,
        "b_offset": -127, "b_multiplier": sign * 0x7F80_8081, "b_shift": -2,
        "y_offset": 3, "y_multiplier": 0x5A00_0001, "y_shift": -18, "minimum": -110, "maximum": 120,
        "a_left": 20, "b_left": 20,
    }  # fmt: skip
    total = np.zeros(a.shape, np.int64)
    for side, value in (("a", a), ("b", b)):
        shifted = (value.astype(np.int64) + words[f"{side}_offset"]) << 20
        total += multiply_by_quantized_multiplier(
            shifted, words[f"{side}_multiplier"], words[f"{side}_shift"]
        )
    scaled = multiply_by_quantized_multiplier(total, words["y_multiplier"], words["y_shift"])
    expected = np.clip(scaled.astype(np.int64) + 3, -110, 120)
    tiles = add_job(words, elements, SMALL)
    np.testing.assert_array_equal(run_twice(accelerators(SMALL), tiles, a, b), expected)


@pytest.mark.parametrize(
    ("window", "padding", "message"),
    [((4, 3), (0,) * 4, "at most 3x3 pixels, not 4x3")],
)
def test_large_maximum_is_refused(window, padding, message):
    layer = describe((9, 9, 2), (2, *window, 2), (1, 1), (1, 1), padding, (-128, 0), (-128, 127))
    with pytest.raises(TargetError, match=message):
        max_pool_job(layer, SMALL)
    with pytest.raises(TargetError, match="without padding and of at most 64 windows"):
        average_pool_job(
            describe((9, 9, 2), (2, 2, 2, 2), (1, 1), (1, 1), (1, 0, 0, 0), (-128, 0), (0, 9)),
            SMALL,
        )
