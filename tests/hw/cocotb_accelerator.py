"""Runs the real driver on the accelerator under Icarus, alone and disturbed by other transfers."""

import os
import pickle
import random
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import bridge, resume
from cocotb.triggers import FallingEdge, ReadOnly

from midge.hw.driver import Driver
from midge.hw.machine import Region

CASES = pickle.loads(Path(os.environ["TEST_DATA"]).read_bytes())


class CocotbPort:
    """`hw.driver.Port`, with idle cycles and foreign requests between its own.

    The foreign ones read activations and write beyond the job's data, also while a job runs.
    """

    def __init__(self, dut, disturbed: bool) -> None:
        self._dut, self._disturbed = dut, disturbed
        self.write = resume(self._write)
        self.read = resume(self._read)
        self.step = resume(self._step)

    async def _write(self, address, words):
        for number, word in enumerate(words):
            await self._request(int(address) + 4 * number, int(word), write=1)

    async def _read(self, address, count):
        words = [await self._request(int(address) + 4 * number) for number in range(count)]
        return np.array(words, np.uint32)

    async def _step(self, cycles):
        for _ in range(cycles):
            await self._disturb()
            await FallingEdge(self._dut.clk)

    async def _request(self, address, word=0, write=0):
        await self._disturb()
        return await self._transfer(address, word, write)

    async def _transfer(self, address, word, write):
        dut = self._dut
        dut.host__address.value = address
        dut.host__write_data.value = word
        dut.host__write.value = write
        dut.host__valid.value = 1
        for _ in range(2000):
            await ReadOnly()
            ready, data = bool(dut.host__ready.value), dut.host__read_data.value
            await FallingEdge(dut.clk)
            if ready:
                dut.host__valid.value = 0
                return int(data)
        raise AssertionError(f"no answer at address {address:#x}")

    async def _disturb(self):
        while self._disturbed and random.random() < 0.4:
            kind = random.random()
            if kind < 0.4:
                await FallingEdge(self._dut.clk)
            elif kind < 0.8:
                await self._transfer(Region.ACTIVATIONS + random.randrange(2040), 0, 0)
            else:
                await self._transfer(Region.ACTIVATIONS + 2044, random.getrandbits(32), 1)


async def start(dut):
    Clock(dut.clk, 10, "ns").start()
    for name in ("valid", "write", "address", "write_data"):
        getattr(dut, f"host__{name}").value = 0
    dut.clear.value = 0
    dut.rst.value = 1
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    await FallingEdge(dut.clk)


@bridge
def run_all(port):
    """The driver's calls block; each transfer comes back into the simulation."""
    driver = Driver(port)
    for tiles, x, expected in CASES:
        for _ in range(2):
            output, _ = driver.run(tiles, x)
            np.testing.assert_array_equal(output, expected)


@cocotb.test()
@cocotb.parametrize(disturbed=[False, True])
async def same_outputs(dut, disturbed):
    random.seed(1)
    await start(dut)
    await run_all(CocotbPort(dut, disturbed))
