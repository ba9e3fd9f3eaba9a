"""What the blocks' cocotb benches share: their data, and a clock with a reset."""

import os
import pickle
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly
from contracts import ContractWatch, stream_offers

DATA = pickle.loads(Path(os.environ["TEST_DATA"]).read_bytes())


async def start(dut, *inputs):
    """A clock and a reset with these inputs at 0; a watch over the design's streams."""
    Clock(dut.clk, 10, "ns").start()
    await reset(dut, *inputs)
    return ContractWatch(dut.clk, stream_offers(dut))


async def reset(dut, *inputs):
    """A cycle of reset with these inputs at 0."""
    for name in inputs:
        getattr(dut, name).value = 0
    dut.rst.value = 1
    await FallingEdge(dut.clk)
    dut.rst.value = 0


async def settled(dut, **inputs):
    """Give a cycle's inputs, and let the outputs follow them."""
    for name, value in inputs.items():
        getattr(dut, name).value = int(value)
    await ReadOnly()


def value(handle):
    """A signal's bits as an unsigned number."""
    return int(handle.value)


class Words:
    """The host port's other side: ready in some cycles, rubbish on `read_data` in the others."""

    def __init__(self, dut, rng, room):
        self._dut, self._rng, self.room = dut, rng, room
        self.words, self.accesses = {}, []
        cocotb.start_soon(self._answer())

    async def _answer(self):
        dut = self._dut
        while True:
            await FallingEdge(dut.clk)
            ready = value(dut.host__valid) and self._rng.random() < self.room
            address = value(dut.host__address)
            word = self.words.get(address, 0) if ready else self._rng.getrandbits(32)
            await settled(dut, host__ready=ready, host__read_data=word)
            if ready:
                write = value(dut.host__write)
                self.accesses.append((write, address))
                if write:
                    self.words[address] = value(dut.host__write_data)
