"""Layers to jobs without any hardware: a model of the array in NumPy runs the packed words."""

import numpy as np
import pytest

from midge.hw.machine import CHAIN, Machine
from midge.kernels.fixedpoint import multiply_by_quantized_multiplier
from midge.runtime.errors import TargetError
from midge.targets.fpga.lower import conv2d_job, fully_connected_job, pack_weights

MACHINE = Machine(
    rows=12, columns=5, activation_bytes=2048, weight_words=128, accumulators=64,
    parameter_tiles=4,
)  # fmt: skip


def run_tile(tile, x, machine):
    """What the data path does with a job, from its words alone: int8 [rows, columns, channels]."""
    job = tile.job
    image = x[slice(*tile.input_rows)].reshape(job.input_h, -1).astype(np.int64)
    words = tile.weights.astype("<u4").view(np.int8).reshape(-1, machine.weight_word_bytes)
    words = words[:, : machine.weight_word_values].astype(np.int64)
    loads = words.reshape(-1, CHAIN, machine.chains, machine.columns).transpose(0, 2, 1, 3)
    loads = loads.reshape(-1, machine.rows, machine.columns)
    parameters = tile.parameters.view(np.int32).reshape(-1, machine.parameter_tile_bytes // 16, 4)
    depth = -(-job.segment_bytes // machine.rows)
    groups = []
    for group in range(job.column_tiles(machine)):
        bias, multiplier, shift = parameters[group, : machine.columns, :3].T
        sums = np.zeros((job.output_h, job.output_w, machine.columns), np.int64) + bias
        for tap in range(job.kernel_h):
            for segment in range(job.segments):
                for word in range(depth):
                    number = ((group * job.kernel_h + tap) * job.segments + segment) * depth + word
                    weights = loads[number]
                    start = job.first_position + segment * job.segment_step + word * machine.rows
                    sums += gather(job, image, tap, start, machine.rows) @ weights
        scaled = multiply_by_quantized_multiplier(sums.astype(np.int32), multiplier, shift)
        groups.append(np.clip(scaled + job.output_zero_point, job.minimum, job.maximum))
    return np.concatenate(groups, axis=2)[..., : job.output_c].astype(np.int8)


def gather(job, image, tap, start, count):
    """`count` bytes for each output pixel, the zero point outside the image."""
    rows = np.arange(job.output_h) * job.stride_h + tap * job.dilation_h - job.padding_top
    places = np.arange(job.output_w)[:, None] * job.column_step + start + np.arange(count)
    row_inside = (rows >= 0) & (rows < job.input_h)
    inside = row_inside[:, None, None] & (places >= 0) & (places < job.row_bytes)
    taken = image[np.clip(rows, 0, job.input_h - 1)][:, np.clip(places, 0, job.row_bytes - 1)]
    return np.where(inside, taken, job.input_zero_point)


def assemble(tiles, x, machine):
    height = max(tile.output_rows[1] for tile in tiles)
    channels = max(tile.output_channels[1] for tile in tiles)
    output = np.full((height, tiles[0].job.output_w, channels), 99, np.int8)
    for tile in tiles:
        part = run_tile(tile, x, machine)
        output[slice(*tile.output_rows), :, slice(*tile.output_channels)] = part
    return output


@pytest.mark.parametrize("machine", [MACHINE, Machine()], ids=["12x5", "8x8"])
@pytest.mark.parametrize("seed", range(20))
def test_words_hold_the_layer(layers, seed, machine):
    layer = layers(np.random.default_rng(seed))
    output = assemble(layer.tiles(machine), layer.x, machine)
    np.testing.assert_array_equal(output, layer.expected)


def test_rows_of_padding_alone(layers):
    """Windows that see no image at all, above it and below it, still make a job."""
    layer = layers(
        np.random.default_rng(1), shape=(2, 3, 4), outputs=3, kernel=(2, 2),
        stride=(1, 1), dilation=(1, 1), padding=(40, 40, 0, 0),
    )  # fmt: skip
    tiles = layer.tiles(MACHINE)
    assert len(tiles) > 2
    np.testing.assert_array_equal(assemble(tiles, layer.x, MACHINE), layer.expected)


def test_tiles_cover_each_output_once(layers):
    layer = layers(
        np.random.default_rng(2), shape=(40, 9, 17), outputs=31, kernel=(3, 3),
        stride=(2, 1), dilation=(1, 1), padding=(1, 0, 1, 1),
    )  # fmt: skip
    tiles = layer.tiles(MACHINE)
    covered = np.zeros(layer.expected.shape, int)
    for tile in tiles:
        covered[slice(*tile.output_rows), :, slice(*tile.output_channels)] += 1
        tile.job.check(MACHINE)
    assert (covered == 1).all() and len(tiles) > 4
    np.testing.assert_array_equal(assemble(tiles, layer.x, MACHINE), layer.expected)


def test_a_28x28x16_layer_fits_the_default_machine(layers):
    layer = layers(
        np.random.default_rng(3), shape=(28, 28, 16), outputs=16, kernel=(3, 3),
        stride=(1, 1), dilation=(1, 1), padding=(1, 1, 1, 1),
    )  # fmt: skip
    assert len(layer.tiles(Machine())) == 1


def test_order_of_weights():
    """Two output channels, one row of three inputs: vectors are inputs, their bytes channels."""
    weights = np.array([[[[1, 2, 3]]], [[[4, 5, 6]]]], np.int8)
    words = pack_weights(weights, 1, Machine(rows=4, columns=4))
    assert words.tolist() == [0x0401, 0x0502, 0x0603, 0]
    words = pack_weights(weights, 1, Machine(rows=8, columns=2))  # the second chain is empty
    assert words.tolist() == [0x0401, 0x0502, 0x0603, 0]


def conv(x_shape, w_shape, dtype=np.int8, machine=MACHINE, **changes):
    outputs = w_shape[0]
    arguments = {
        "bias": None,
        "multipliers": np.full(outputs, 1 << 30),
        "shifts": np.zeros(outputs, int),
        "machine": machine,
    } | changes
    return conv2d_job(x_shape, np.ones(w_shape, dtype), **arguments)


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "changes", "message"),
    [
        ((4, 4, 3), (2, 1, 1, 4), {}, "weights must have the input's 3 channels, not 4"),
        ((4, 4, 3), (2, 5, 1, 3), {}, "the kernel must fit the padded input; 5x1 does not fit 4x4"),
        ((4, 4, 3), (2, 1, 1, 3), {"dtype": np.int16}, "weights must be int8, not int16"),
        ((4, 4, 3), (2, 1, 1, 3), {"shifts": [0]}, "2 output channels need as many multipliers"),
        ((4, 4, 3), (2, 1, 1, 3), {"shifts": [0, 4]}, "shifts must be -31 to 3"),
        ((4, 4, 3), (2, 1, 1, 3), {"multipliers": [5, 0]}, "multipliers must be 0 or 2**30 to "),
        ((9, 9, 90), (2, 9, 9, 90), {}, "5 output channels need 2448 weight words; the accelera"),
        ((1, 65, 1), (1, 1, 1, 1), {}, "a job needs 65 accumulators; the accelerator has 64"),
        ((3, 30, 80), (1, 2, 1, 80), {}, "a job needs 4800 activation bytes for its input; the"),
    ],
)
def test_refusals(x_shape, w_shape, changes, message):
    with pytest.raises(TargetError) as caught:
        conv(x_shape, w_shape, **changes)
    assert str(caught.value).startswith(message)


def test_fewer_channels_if_a_row_of_all_is_too_long():
    """60 pixels of 40 channels fill the scratchpad; groups of channels are tried."""
    tiles = conv((3, 60, 2), (40, 1, 1, 2), machine=Machine(
        rows=12, columns=5, activation_bytes=2048, weight_words=128, accumulators=64,
        parameter_tiles=8,
    ))  # fmt: skip
    assert {tile.output_rows for tile in tiles} == {(0, 1), (1, 2), (2, 3)}
    assert max(tile.job.output_c for tile in tiles) < 40


def test_fully_connected_is_a_convolution_of_one_pixel():
    weights = np.arange(12, dtype=np.int8).reshape(3, 4)
    (tile,) = fully_connected_job(weights, None, np.full(3, 1 << 30), np.zeros(3, int))
    job = tile.job
    assert (job.input_h, job.input_w, job.input_c, job.pixels, job.output_c) == (1, 1, 4, 1, 3)
    x = np.array([[[1, -2, 3, -4]]], np.int8)
    products = (x.reshape(-1).astype(int) @ weights.T.astype(int)).astype(np.int32)
    wanted = multiply_by_quantized_multiplier(products, 1 << 30, 0)
    assert run_tile(tile, x, Machine()).reshape(-1).tolist() == wanted.tolist()
