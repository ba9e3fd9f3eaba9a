"""The engine by itself: jobs of both kinds, with its memories in use meanwhile."""

from dataclasses import replace

import numpy as np
import pytest
from hw_blocks import SMALL

from midge.hw.machine import power_of_two
from midge.targets.fpga.cost import estimate_cycles
from midge.targets.fpga.lower import describe
from midge.targets.fpga.vector import depthwise_job


def test_jobs(run_cocotb, layers):
    pytest.importorskip("amaranth")
    from midge.hw.engine import Engine
    from midge.hw.scratchpad import Scratchpad

    rng = np.random.default_rng(3)
    layer = layers(rng, shape=(4, 3, 5), outputs=7, kernel=(2, 3), stride=(1, 2),
                   dilation=(2, 1), padding=(1, 0, 2, 1))  # fmt: skip
    (tile,) = layer.tiles(SMALL)
    made = [(tile, layer)]
    deep = layers(rng, shape=(5, 4, 6), outputs=6, kernel=(3, 3), stride=(1, 1), dilation=(1, 1),
                  padding=(1, 1, 0, 1))  # fmt: skip
    alone = deep.weights * np.eye(6, dtype=np.int8)[:, None, None, :]  # each channel its own
    deep = replace(deep, weights=alone, shifts=deep.shifts + 1)
    geometry = describe(
        deep.x.shape, (6, 3, 3, 6), deep.stride, deep.dilation, deep.padding,
        (deep.input_zero_point, deep.output_zero_point), deep.clamp,
    )  # fmt: skip
    taps = np.diagonal(alone, axis1=0, axis2=3)
    (tile,) = depthwise_job(geometry, taps, deep.bias, deep.multipliers, deep.shifts, SMALL)
    made.append((tile, deep))
    data = {
        "layers": [(tile, layer.x, layer.expected,
                    [estimate_cycles(job, SMALL) for job in tile.jobs]) for tile, layer in made],
        "columns": SMALL.columns, "column_places": power_of_two(SMALL.columns),
        "read_cycles": Scratchpad.LATENCY, "spare": SMALL.activation_bytes - 1,
    }  # fmt: skip
    run_cocotb(Engine(SMALL), "cocotb_engine", data)
