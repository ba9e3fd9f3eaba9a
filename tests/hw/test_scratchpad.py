"""The scratchpad against an array of bytes."""

import numpy as np
import pytest


@pytest.mark.parametrize(("size", "width"), [(64, 4), (256, 8), (512, 16)])
def test_any_byte_address(simulate, size, width):
    pytest.importorskip("amaranth")
    from midge.hw.scratchpad import Scratchpad

    rng = np.random.default_rng(width)
    cycles = 4000
    addresses = rng.integers(0, size, cycles)  # words that wrap at the end among them
    masks = rng.integers(0, 1 << width, cycles)
    data = rng.integers(0, 256, (cycles, width)).astype(np.uint8)
    reads = rng.integers(0, size, cycles)
    inputs = {
        "write__address": addresses.astype(np.uint32),
        "write__mask": masks.astype(np.uint32),
        "write__data": data.view("<u4").astype(np.uint32),
        "read__address": reads.astype(np.uint32),
    }
    answer = simulate(Scratchpad(size, width)).play(cycles, inputs, ["read__data"])["read__data"]
    found = answer.reshape(cycles, -1).astype("<u4").view(np.uint8)
    memory, late = np.zeros(size, np.uint8), np.zeros(size, np.uint8)  # late: a cycle
    for cycle in range(cycles - 2):
        place = (reads[cycle] + np.arange(width)) % size
        settled = memory[place] == late[place]
        np.testing.assert_array_equal(found[cycle + 2][settled], memory[place][settled])
        late = memory.copy()
        for byte in range(width):
            if masks[cycle] >> byte & 1:
                memory[(addresses[cycle] + byte) % size] = data[cycle, byte]
