"""The far ends of an AXI bus for cocotb benches: a memory with guards, and patterns of pauses."""

import random

import numpy as np

from midge.hw.queue import ALIGNMENT

BASE, GUARD = 0x1000_0000, 0xA5
PATTERNS = {  # chance of a pause in a cycle: of what is sent to the design, of what it sends
    "streaming": (0.0, 0.0),
    "idle": (0.6, 0.0),
    "back-pressure": (0.0, 0.6),
    "both": (0.3, 0.3),
}


class Memory:
    """Of the board: an error for what is outside, guard bytes round what was allocated."""

    def __init__(self, size):
        self.bytes = np.full(size, GUARD, np.uint8)
        self.allocated = np.zeros(size, bool)
        self._used = ALIGNMENT

    async def read(self, address, length):
        return self.bytes[self._inside(address, length)].tobytes()

    async def write(self, address, data):
        self.bytes[self._inside(address, len(data))] = np.frombuffer(bytes(data), np.uint8)

    def _inside(self, address, length):
        first = address - BASE
        if first < 0 or first + length > len(self.bytes):
            raise IndexError(f"{address:#x} is outside the memory")
        return slice(first, first + length)

    def allocate(self, size):
        """(the first byte's number, the bytes)"""
        first = self._used
        self._used = ALIGNMENT * (-(-(first + size) // ALIGNMENT) + 1)
        self.allocated[first : first + size] = True
        return first, self.bytes[first : first + size]

    def check_guards(self):
        assert (self.bytes[~self.allocated] == GUARD).all(), "bytes beside a buffer were written"


def pauses(seed, chance):
    """A pattern of cycles with a pause."""
    generator = random.Random(seed)
    while True:
        yield generator.random() < chance


def pause(pattern, to_design, from_design):
    """Let the channels pause, each by its own pseudo-random pattern."""
    for chance, channels in zip(PATTERNS[pattern], (to_design, from_design), strict=True):
        for number, channel in enumerate(channels):
            if chance:
                channel.set_pause_generator(pauses(f"{pattern} {number}", chance))
