"""The array's binary mode against the reference kernel of bconv2d."""

import build_binary as build
import numpy as np
import pytest

from midge.hw.machine import Machine
from midge.kernels import table
from midge.runtime.attributes import BConv2D, BDense, Padding
from midge.runtime.errors import TargetError
from midge.runtime.graph import BINARY
from midge.targets.fpga.cost import estimate_cycles
from midge.targets.fpga.layers import as_image, layer_jobs

EIGHT = Machine()


def check(accelerator, graph, node, seed=0):
    """Right, and the same again; the cycles, which are the estimate."""
    arrays = [build.random_bits(graph, node, seed), *[None] * (len(node.inputs) - 1)]
    (wanted,) = table.OPERATIONS[node.op].reference(graph, node, arrays)
    tiles = layer_jobs(graph, node, accelerator.machine)
    x = arrays[0].view(np.int8).reshape(as_image(graph, node, node.operands[0]))
    for _ in range(2):
        answer, cycles = accelerator.run(tiles, x)
        answer = np.ascontiguousarray(answer).view(wanted.dtype).reshape(wanted.shape)
        np.testing.assert_array_equal(answer, wanted)
        assert cycles == sum(estimate_cycles(tile.job, accelerator.machine) for tile in tiles)
    return cycles


@pytest.mark.parametrize("dtype", [BINARY, "int8"])
@pytest.mark.parametrize("seed", range(12))
def test_random_geometry(accelerators, seed, dtype):
    rng = np.random.default_rng(seed)
    kernel, stride, dilation = (tuple(map(int, rng.integers(1, 4, 2))) for _ in range(3))
    size = tuple(int(rng.integers((k - 1) * d + 1, 12)) for k, d in zip(kernel, dilation))
    padded = bool(rng.integers(2))
    attrs = BConv2D(
        int(rng.choice([1, 31, 32, 33, 64, 130])), stride, dilation,
        Padding(*build.same(size, kernel, stride, dilation)) if padded else Padding(),
    )  # fmt: skip
    filters = int(rng.choice([1, 5, 16, 33, 70]))
    graph, node = build.layer(
        attrs, (1, *size, attrs.channels), filters, kernel, dtype, seed=filters
    )
    check(accelerators(EIGHT), graph, node, seed)


@pytest.mark.parametrize("dtype", [BINARY, "int8"])
def test_dense(accelerators, dtype):
    graph, node = build.layer(BDense(300), (1, 300), 40, dtype=dtype)
    check(accelerators(EIGHT), graph, node)


def test_at_least_five_times_fewer_cycles_than_int8(accelerators, layers):
    """3x3 over 14x14 pixels, 256 channels to 256."""
    pad = (1, 1, 1, 1)
    attrs = BConv2D(256, padding=Padding(*pad))
    graph, node = build.layer(attrs, (1, 14, 14, 256), 256, (3, 3), BINARY)
    cycles = check(accelerators(EIGHT), graph, node)
    int8 = layers(
        np.random.default_rng(1), shape=(14, 14, 256), outputs=256, kernel=(3, 3), stride=(1, 1),
        dilation=(1, 1), padding=pad,
    )  # fmt: skip
    assert 5 * cycles <= sum(estimate_cycles(tile.job, EIGHT) for tile in int8.tiles(EIGHT))


@pytest.mark.parametrize(
    ("changes", "machine", "why"),
    [
        ({"pad_value": -1, "padding": Padding(1, 0, 0, 0)}, EIGHT, "pads bits with \\+1 alone"),
        ({"x_planes": (1, 2)}, EIGHT, "single planes"),
        ({}, Machine(binary=0), "built without the array's binary mode"),
        ({}, Machine(rows=12, columns=12), "12 columns are not"),
    ],
)
def test_refusals(changes, machine, why):
    graph, node = build.layer(BConv2D(32, **changes), (1, 4, 4, 32), 8, (2, 2), BINARY)
    with pytest.raises(TargetError, match=why):
        layer_jobs(graph, node, machine)
