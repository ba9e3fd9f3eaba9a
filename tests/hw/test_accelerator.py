"""Whole layers on the accelerator, through its driver: compiled simulation and Icarus."""

from dataclasses import replace

import numpy as np
import pytest

from midge.hw.commands import JOB_WORDS
from midge.hw.machine import Machine, Register, Status
from midge.runtime.errors import ExecutionError
from midge.targets.fpga.cost import estimate_cycles

EIGHT = Machine()
# Small and of odd sizes, so that small layers already need every kind of tiling.
SMALL = Machine(
    rows=12, columns=5, activation_bytes=2048, weight_words=256, accumulators=64,
    parameter_tiles=4, queue_jobs=2, line_pixels=16, binary=0,
)  # fmt: skip


def check_twice(accelerator, layer):
    """Right, and the same again with the same count of cycles, which is the estimate."""
    tiles = layer.tiles(accelerator.machine)
    estimate = sum(estimate_cycles(tile.job, accelerator.machine) for tile in tiles)
    for _ in range(2):
        output, cycles = accelerator.run(tiles, layer.x)
        np.testing.assert_array_equal(output, layer.expected)
        assert cycles == estimate
    return cycles


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("machine", [SMALL, EIGHT], ids=["12x5", "8x8"])
def test_random_geometry(accelerators, layers, machine, seed):
    check_twice(accelerators(machine), layers(np.random.default_rng(seed)))


@pytest.mark.parametrize("machine", [SMALL, EIGHT], ids=["12x5", "8x8"])
@pytest.mark.parametrize("shift", range(-20, 4))
def test_shifts(accelerators, layers, machine, shift):
    """Biases near the sums' own size give a result inside int8 for most shifts."""
    rng = np.random.default_rng(100 + shift)
    layer = layers(rng, shape=(4, 3, 2), outputs=7, kernel=(2, 2))
    bias = rng.integers(-40, 40, 7) << max(0, -shift)
    weights = layer.weights if shift < -8 else layer.weights >> 7  # small sums for small shifts
    layer = replace(
        layer,
        weights=weights,
        bias=bias.astype(np.int32),
        multipliers=rng.choice([1 << 30, (1 << 31) - 1], 7),
        shifts=np.full(7, shift),
        output_zero_point=0,
    )
    check_twice(accelerators(machine), layer)


@pytest.mark.parametrize("weight", [-128, 127])
@pytest.mark.parametrize("value", [-128, 127])
def test_extreme_sums(accelerators, layer_class, value, weight):
    """The greatest sums that a kernel of 5 x 5 x 17 can make, on both clamps."""
    layer = layer_class(
        np.full((6, 6, 17), value, np.int8),
        np.full((9, 5, 5, 17), weight, np.int8),
        np.zeros(9, np.int32),
        np.array([(1 << 31) - 1, 1 << 30, 0] * 3),
        np.repeat([-16, -17, 3], 3),
        padding=(2, 1, 0, 3),
        input_zero_point=-value - 1,
    )
    check_twice(accelerators(EIGHT), layer)


@pytest.mark.parametrize("seed", range(4))
def test_two_passes_where_no_weight_may_be_least(accelerators, layers, seed):
    """A packed array's jobs have no weight of -128 and the same answer."""
    layer = layers(np.random.default_rng(seed))
    layer.weights.reshape(-1)[::3] = -128
    tiles = layer.tiles(replace(EIGHT, packed=1))
    assert all(tile.job.passes == 2 for tile in tiles)
    assert not any((tile.weights.astype("<u4").view(np.int8) == -128).any() for tile in tiles)
    output, cycles = accelerators(EIGHT).run(tiles, layer.x)
    np.testing.assert_array_equal(output, layer.expected)
    assert cycles == sum(estimate_cycles(tile.job, EIGHT) for tile in tiles)


@pytest.mark.parametrize("machine", [SMALL, EIGHT], ids=["12x5", "8x8"])
def test_fully_connected(accelerators, layers, machine):
    layer = layers(
        np.random.default_rng(3), shape=(1, 1, 333), outputs=21, kernel=(1, 1),
        stride=(1, 1), dilation=(1, 1), padding=(0, 0, 0, 0),
    )  # fmt: skip
    check_twice(accelerators(machine), layer)


def test_tiles_over_channels_and_rows(accelerators, layers):
    layer = layers(
        np.random.default_rng(4), shape=(20, 9, 17), outputs=31, kernel=(3, 3),
        stride=(1, 1), dilation=(1, 1), padding=(1, 1, 1, 1),
    )  # fmt: skip
    tiles = layer.tiles(SMALL)
    assert len({tile.output_channels for tile in tiles}) > 1
    assert len({tile.output_rows for tile in tiles}) > 1
    check_twice(accelerators(SMALL), layer)


@pytest.mark.parametrize(
    ("shape", "stride", "padding", "cycles_at_most"),
    [((28, 28, 1), 2, (0, 1, 0, 1), 1220), ((14, 14, 16), 1, (1, 1, 1, 1), 7090)],
    ids=["28x28x1", "14x14x16"],
)
def test_array_is_kept_busy(accelerators, layers, shape, stride, padding, cycles_at_most):
    """3x3 to 16 channels: 23 and 63.5 multiplications a cycle of 64."""
    layer = layers(
        np.random.default_rng(5), shape=shape, outputs=16, kernel=(3, 3),
        stride=(stride, stride), dilation=(1, 1), padding=padding,
    )  # fmt: skip
    assert check_twice(accelerators(EIGHT), layer) <= cycles_at_most


def small_job(layers, machine):
    """(a layer of one tile, its tile)"""
    layer = layers(np.random.default_rng(6), shape=(5, 4, 3), outputs=4, kernel=(2, 2))
    (tile,) = layer.tiles(machine)
    return layer, tile


def push(port, words):
    for word in words:
        port.write(Register.COMMAND, np.array([word], np.uint32))


def test_queued_jobs_run_in_order(accelerators, layers):
    """Two jobs in the queue at once: both are counted, and the second's data are right."""
    accelerator = accelerators(SMALL)
    layer, tile = small_job(layers, SMALL)
    accelerator.run([tile], layer.x)
    port = accelerator.driver._port
    before = int(port.read(Register.JOBS_DONE, 1)[0])
    elsewhere = replace(tile.job, output_address=1024)
    push(port, tile.job.encode() + elsewhere.encode())
    assert int(port.read(Register.STATUS, 1)[0]) & Status.BUSY
    port.step(2 * estimate_cycles(tile.job, SMALL))
    assert int(port.read(Register.JOBS_DONE, 1)[0]) == before + 2
    assert int(port.read(Register.STATUS, 1)[0]) == 0
    np.testing.assert_array_equal(accelerator.driver._read(tile), layer.expected)
    np.testing.assert_array_equal(
        accelerator.driver._read(replace(tile, output_address=1024)), layer.expected
    )


def test_outputs_beside_the_job_are_untouched(accelerators, layers):
    """With an output pitch wider than its channels, a job leaves the bytes between alone."""
    accelerator = accelerators(SMALL)
    layer, tile = small_job(layers, SMALL)
    job = replace(tile.job, output_pitch=tile.job.output_c + 3)
    port, wide = accelerator.driver._port, replace(tile, jobs=(job,))
    size = job.pixels * job.output_pitch
    guard = np.full(-(-size // 4) + 2, 0x5A5A5A5A, np.uint32)
    port.write((1 << 20) + job.output_address - 4, guard)
    accelerator.run([wide], layer.x)
    after = port.read((1 << 20) + job.output_address - 4, len(guard)).view(np.int8)
    pixels = after[4 : 4 + size].reshape(-1, job.output_pitch)
    expected = layer.expected.reshape(-1, job.output_c)
    np.testing.assert_array_equal(pixels[:, : job.output_c], expected)
    assert (pixels[:, job.output_c :] == 0x5A).all()
    assert (after[:4] == 0x5A).all() and (after[4 + size :] == 0x5A).all()


def test_half_a_job_is_dropped_by_reset(accelerators, layers):
    accelerator = accelerators(SMALL)
    layer, tile = small_job(layers, SMALL)
    push(accelerator.driver._port, tile.job.encode()[: JOB_WORDS // 2])
    assert int(accelerator.driver._port.read(Register.STATUS, 1)[0]) & Status.BUSY
    accelerator.driver.reset()
    assert int(accelerator.driver._port.read(Register.STATUS, 1)[0]) == 0
    check_twice(accelerator, layer)


def test_reset_in_mid_job(accelerators, layers):
    accelerator = accelerators(SMALL)
    layer, tile = small_job(layers, SMALL)
    for cycles in range(1, estimate_cycles(tile.job, SMALL), 17):
        push(accelerator.driver._port, tile.job.encode())
        accelerator.driver._port.step(cycles)
        accelerator.driver.reset()
        output, _ = accelerator.run([tile], layer.x)
        np.testing.assert_array_equal(output, layer.expected)


def test_unknown_job_is_refused_and_does_not_hang(accelerators, layers):
    accelerator = accelerators(SMALL)
    layer, tile = small_job(layers, SMALL)
    port = accelerator.driver._port
    before = int(port.read(Register.JOBS_DONE, 1)[0])
    push(port, [tile.job.encode()[0] + 8, *tile.job.encode()[1:]])
    port.step(4)
    assert int(port.read(Register.JOBS_DONE, 1)[0]) == before + 1
    assert int(port.read(Register.STATUS, 1)[0]) == Status.REFUSED
    with pytest.raises(ExecutionError, match="refused a job: status 0x2"):
        accelerator.run([tile], layer.x)
    check_twice(accelerator, layer)  # the driver has reset it


@pytest.mark.parametrize("seed", [0, 1])
def test_same_bits_under_icarus(run_cocotb, layers, seed):
    """The same driver on another simulator, undisturbed and with host transfers all the time."""
    pytest.importorskip("amaranth")
    from midge.hw.accelerator import Accelerator

    rng = np.random.default_rng(20 + seed)
    geometries = [
        {"stride": (2, 1), "dilation": (1, 2), "padding": (0, 1, 2, 0), "kernel": (3, 2)},
        {"stride": (1, 2), "dilation": (2, 1), "padding": (2, 0, 0, 1), "kernel": (2, 3)},
    ]
    cases = []
    for geometry, channels in zip(geometries, ((1, 17), (3, 1))[seed]):
        shape = (int(rng.integers(4, 6)), int(rng.integers(4, 6)), channels)
        layer = layers(rng, shape=shape, outputs=int(rng.choice([3, 7])), **geometry)
        cases.append((layer.tiles(SMALL), layer.x, layer.expected))
    run_cocotb(Accelerator(SMALL), "cocotb_accelerator", cases)
