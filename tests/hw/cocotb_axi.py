"""The whole accelerator between `cocotbext-axi`'s models of a processor and of a memory.

The real queue driver runs stretches of networks; each channel pauses by a pattern of its own.
"""

import random

import cocotb
import numpy as np
from axi_ends import BASE, Memory, pause
from bench import DATA
from cocotb.clock import Clock
from cocotb.task import bridge, resume
from cocotb.triggers import ClockCycles, FallingEdge, First, RisingEdge
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiResp, AxiSlave
from contracts import ContractWatch, axi_offers, stream_offers

from midge.hw.driver import Driver
from midge.hw.machine import Register
from midge.hw.queue import QueueDriver, QueuePort
from midge.runtime.errors import ExecutionError


class Buffer:
    def __init__(self, memory, words):
        first, octets = memory.allocate(4 * words)
        self.array, self.address = octets.view(np.uint32), BASE + first

    def flush(self):
        pass

    def invalidate(self):
        pass


class CocotbBus:
    """`hw.queue.Bus`; `interrupts` counts the waits that the interrupt ended."""

    def __init__(self, dut, master, memory):
        self._dut, self._master, self._memory = dut, master, memory
        self.interrupts = 0
        self.write, self.read = resume(self._write), resume(self._read)
        self.wait = resume(self._wait)

    def allocate(self, words):
        return Buffer(self._memory, words)

    async def _write(self, register, value):
        answer = await self._master.write(int(register), int(value).to_bytes(4, "little"))
        assert answer.resp == AxiResp.OKAY

    async def _read(self, register):
        answer = await self._master.read(int(register), 4)
        assert answer.resp == AxiResp.OKAY
        return int.from_bytes(answer.data, "little")

    async def _wait(self, cycles):
        if not self._dut.irq.value:
            await First(RisingEdge(self._dut.irq), ClockCycles(self._dut.clk, cycles))
        self.interrupts += int(self._dut.irq.value)


async def start(dut, pattern):
    """(bus, memory, watch) round the design after its reset."""
    Clock(dut.clk, 10, "ns").start()
    dut.rst.value = 1
    memory = Memory(4 << 20)
    # The second underscore of the ports' names.
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi_"), dut.clk, dut.rst)
    slave = AxiSlave(AxiBus.from_prefix(dut, "m_axi_"), dut.clk, dut.rst, target=memory)
    pause(
        pattern,
        (master.write_if.aw_channel, master.write_if.w_channel, master.read_if.ar_channel,
         slave.write_if.b_channel, slave.read_if.r_channel),
        (master.write_if.b_channel, master.read_if.r_channel, slave.write_if.aw_channel,
         slave.write_if.w_channel, slave.read_if.ar_channel),
    )  # fmt: skip
    for _ in range(2):
        await FallingEdge(dut.clk)
    dut.rst.value = 0
    await FallingEdge(dut.clk)
    offers = axi_offers(dut, "m_axi", False) + axi_offers(dut, "s_axi", True)
    offers += [offer for part in dut if part._type == "GPI_MODULE"
               for offer in stream_offers(part, f"{part._name}.")]  # fmt: skip
    return CocotbBus(dut, master, memory), memory, ContractWatch(dut.clk, offers)


@bridge
def run_all(bus):
    """Each stretch and each layer alone twice; the driver's calls block."""
    queue = QueueDriver(bus)
    driver = Driver(QueuePort(queue, bus))
    assert queue.machine == DATA["machine"]
    before = queue.counters
    for stretch, inputs, expected in DATA["stretches"]:
        for _ in range(2):
            for answer, wanted in zip(queue.run(stretch, inputs), expected, strict=True):
                np.testing.assert_array_equal(answer, wanted)
        assert queue.counters.cycles >= queue.counters.busy > before.busy == 0
    for tiles, images, wanted in DATA["layers"]:
        for _ in range(2):
            np.testing.assert_array_equal(driver.run(tiles, *images)[0], wanted)


@cocotb.test()
@cocotb.parametrize(pattern=DATA["patterns"])
async def same_bits(dut, pattern):
    random.seed(pattern)
    bus, memory, watch = await start(dut, pattern)
    await run_all(bus)
    memory.check_guards()
    assert bus.interrupts >= 2 * len(DATA["stretches"])
    idle = [name for name, count in watch.taken.items() if not count]
    assert not idle, f"nothing went through {idle}"


@cocotb.test()
async def errors_are_told(dut):
    """A bus error and a half written register; afterwards a run is right."""
    bus, _, _ = await start(dut, "both")

    @bridge
    def run():
        queue = QueueDriver(bus)
        stretch, inputs, expected = DATA["stretches"][0]
        for answer, wanted in zip(queue.run(stretch, inputs), expected, strict=True):
            np.testing.assert_array_equal(answer, wanted)
        words = queue._prepare(stretch).commands.array
        good, words[1] = words[1], 0x4000_0000
        try:
            queue.run(stretch, inputs)
        except ExecutionError as error:
            assert "got an error from memory" in str(error)
        else:
            raise AssertionError("an error of the memory was not told")
        words[1] = good
        for answer, wanted in zip(queue.run(stretch, inputs), expected, strict=True):
            np.testing.assert_array_equal(answer, wanted)

    await run()
    answer = await bus._master.write(int(Register.INTERRUPT_ENABLE) + 1, b"\0")
    assert answer.resp == AxiResp.SLVERR
