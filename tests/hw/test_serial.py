"""The serial line's blocks: bytes in their time, and requests to the host port."""

import numpy as np
import pytest
from hw_blocks import ALL

DIVIDER = 8


def levels(octet, stop=1):
    """A byte on the line, a level a clock cycle."""
    bits = [0, *(octet >> place & 1 for place in range(8)), stop]
    return np.repeat(bits, DIVIDER).tolist()


def test_bytes_come_in_time(play):
    """One after the other and with pauses; one without a stop bit is none."""
    from midge.hw.uart import Receiver

    rng, line, results, cycles = np.random.default_rng(1), [1] * 8, [], []
    receiver = Receiver(DIVIDER)
    for number, octet in enumerate((0, 255, 0x55, *rng.integers(0, 256, 8).tolist())):
        if number != 5:
            results.append({"octets__payload": (octet, ALL)})
            cycles.append(len(line) + receiver.latency)
        line += levels(octet, stop=int(number != 5))
        line += [1] * (3 * DIVIDER if number == 5 else int(rng.integers(0, 9)))
    rows = {at: {"line": level} for at, level in enumerate([*line, *[1] * 2 * DIVIDER])}
    play(receiver, rows, "octets__valid", results, cycles)


def test_bytes_leave_in_time(play):
    """The start bit in the cycle after a byte was taken, and ten bits in all."""
    from midge.hw.uart import Transmitter

    rng, rows, line, cycle = np.random.default_rng(2), {}, [], 0
    for octet in (0, 255, 0xA5, *rng.integers(0, 256, 4).tolist()):
        for late in range(int(rng.integers(0, 5))):
            rows[cycle + late] = {}
            line.append(1)
        cycle = len(line)
        rows[cycle] = {"octets__valid": 1, "octets__payload": octet}
        line += [1, *levels(octet)]  # the cycle in which it is taken, and its bits
        cycle = len(line)
    rows[cycle] = {}
    play(Transmitter(DIVIDER), rows, None, [{"line": (level, 1)} for level in [*line, 1]])


def test_requests(run_cocotb):
    pytest.importorskip("amaranth")
    from midge.hw.uart import SerialBridge

    run_cocotb(SerialBridge(DIVIDER), "cocotb_serial", {"divider": DIVIDER})
