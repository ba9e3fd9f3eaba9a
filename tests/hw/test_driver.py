"""The driver on devices that misbehave: it says so, and never waits for ever."""

import numpy as np
import pytest

from midge.hw.commands import JOB_WORDS
from midge.hw.driver import Driver
from midge.hw.machine import IDENTITY, Machine, Register
from midge.runtime.errors import ExecutionError, InputError
from midge.targets.fpga.lower import conv2d_job

MACHINE = Machine(accumulators=256)


class DeadDevice:
    """Answers its registers and never finishes a job."""

    def __init__(self, identity=IDENTITY):
        self.identity = identity
        self.stepped = 0
        self.written = []

    def write(self, address, words):
        self.written.append((address, [int(word) for word in words]))

    def read(self, address, count):
        registers = {Register.IDENTITY: [self.identity], Register.STATUS: [1]}
        registers[Register.MACHINE] = MACHINE.to_words()
        return np.array(registers.get(address, [0] * count), np.uint32)

    def step(self, cycles):
        self.stepped += cycles


def one_tile():
    weights = np.ones((3, 1, 1, 2), np.int8)
    multipliers, shifts = np.full(3, 1 << 30), np.zeros(3, int)
    return conv2d_job((4, 4, 2), weights, None, multipliers, shifts, machine=MACHINE)


def test_reads_the_machine_from_the_device():
    assert Driver(DeadDevice()).machine == MACHINE


def test_foreign_device_is_refused():
    with pytest.raises(ExecutionError, match="answers with 0x6567646d; this device with 0x000000"):
        Driver(DeadDevice(identity=7))


def test_wait_ends_with_the_status_and_a_reset():
    device = DeadDevice()
    driver = Driver(device)
    with pytest.raises(ExecutionError) as caught:
        driver.run(one_tile(), np.zeros((4, 4, 2), np.int8))
    assert "did not finish a job in" in str(caught.value)
    assert "status 0x1, 0 jobs done" in str(caught.value)
    assert "output_c=3" in str(caught.value)
    assert 1000 <= device.stepped <= 10000
    assert device.written[-1] == (Register.CONTROL, [1])


@pytest.mark.parametrize(
    ("x", "came"),
    [
        (np.zeros((4, 4, 2), np.uint8), r"uint8 \[4, 4, 2\]"),
        (np.zeros((4, 4, 3), np.int8), r"int8 \[4, 4, 3\]"),
        (np.zeros((3, 4, 2), np.int8), r"int8 \[3, 4, 2\]"),
        (np.zeros((1, 4, 4, 2), np.int8), r"int8 \[1, 4, 4, 2\]"),
    ],
)
def test_wrong_input_is_refused(x, came):
    with pytest.raises(InputError, match=r"takes int8 \[4, 4, 2\], not " + came):
        Driver(DeadDevice()).run(one_tile(), x)


def test_constants_are_written_once_for_all_row_tiles():
    class QuickDevice(DeadDevice):
        """Counts a job as done when its last word comes."""

        commands = 0

        def write(self, address, words):
            super().write(address, words)
            self.commands += address == Register.COMMAND

        def read(self, address, count):
            if address == Register.JOBS_DONE:
                return np.array([self.commands // JOB_WORDS], np.uint32)
            if address == Register.STATUS:
                return np.zeros(1, np.uint32)
            return super().read(address, count)

    weights = np.ones((3, 1, 1, 2), np.int8)
    multipliers, shifts = np.full(3, 1 << 30), np.zeros(3, int)
    tiles = conv2d_job((40, 40, 2), weights, None, multipliers, shifts, machine=MACHINE)
    assert len(tiles) > 2
    device = QuickDevice()
    Driver(device).run(tiles, np.zeros((40, 40, 2), np.int8))
    regions = [address >> 20 for address, _ in device.written]
    assert (regions.count(1), regions.count(2), regions.count(3)) == (len(tiles), 1, 1)
