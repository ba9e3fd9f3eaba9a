"""The DMA between `cocotbext-axi`'s memory and a model of the host port, with random commands."""

import random
from dataclasses import dataclass, field

import cocotb
import numpy as np
from axi_ends import BASE, Memory, pause
from bench import DATA, settled, start, value
from cocotb.triggers import FallingEdge
from cocotbext.axi import AxiBus, AxiSlave
from contracts import ContractWatch, axi_offers

from midge.hw.commands import JOB_WORDS, Opcode, Transfer
from midge.hw.machine import Interrupt, Region, Register

INPUTS = (
    "host__ready", "host__read_data", "control__address", "control__write", "control__write_data",
    "busy", "reset",
)  # fmt: skip


@dataclass
class Plan:
    """Random commands, and what they do: accesses to the chip in order, and words in memory."""

    words: list = field(default_factory=list)
    accesses: list = field(default_factory=list)  # (write, address, word)
    after_wait: set = field(default_factory=set)  # numbers of accesses before which jobs ended
    written: list = field(default_factory=list)  # (buffer, words)


def draw(rng, memory, chip):
    """A plan; `chip` becomes what the chip holds after it."""
    plan, waits = Plan(), False
    kinds = [Transfer.READ, Transfer.WRITE, Transfer.WAIT, Opcode.CONV2D, Opcode.ADD]
    for kind in [*kinds, *rng.choices(kinds, k=7)]:
        before = len(plan.accesses)
        if kind in (Transfer.READ, Transfer.WRITE):
            count, place = rng.choice([1, 2, 15, 16, 17, 40]), 4 * rng.randrange(64)
            at, buffer = memory.allocate(4 * count)
            buffer = buffer.view(np.uint32)
            addresses = [int(Region.ACTIVATIONS) + place + 4 * word for word in range(count)]
            plan.words += [int(kind), BASE + at, addresses[0], count]
            if kind == Transfer.READ:
                buffer[:] = [rng.getrandbits(32) for _ in range(count)]
                chip |= dict(zip(addresses, buffer.tolist(), strict=True))
            else:
                plan.written.append((buffer, [chip.get(address, 0) for address in addresses]))
            plan.accesses += [
                (kind == Transfer.READ, address, chip.get(address, 0)) for address in addresses
            ]
        elif kind == Transfer.WAIT:
            plan.words.append(int(kind))
            waits = True
            continue
        else:
            words = [rng.getrandbits(32) & ~255 | kind, *(rng.getrandbits(32) for _ in range(99))]
            plan.words += words[:JOB_WORDS]
            plan.accesses += [(True, int(Register.COMMAND), word) for word in words[:JOB_WORDS]]
        if waits:
            plan.after_wait.add(before)
        waits = False
    plan.words.append(int(Transfer.INTERRUPT))
    return plan


class Far:
    """The host port's other side, and the engine: `busy` for some time after a job's last word."""

    def __init__(self, dut, rng, room):
        self.dut, self.rng, self.room = dut, rng, room
        self.seen, self.held, self.cycle, self.chip = [], [], 0, {}
        self._busy_until, self._words, self._read = 0, 0, False
        cocotb.start_soon(self._answer())

    async def _answer(self):
        dut = self.dut
        while True:
            await FallingEdge(dut.clk)
            self.cycle += 1
            busy = self._words % JOB_WORDS != 0 or self.cycle < self._busy_until
            ready = value(dut.host__valid) and self.rng.random() < self.room
            word = self.chip.get(value(dut.host__address), 0)
            await settled(dut, busy=busy, host__ready=ready,
                          host__read_data=word if ready else self.rng.getrandbits(32))  # fmt: skip
            assert not self._read or value(dut.m_axi__wvalid), "a word waits before it is written"
            self._read = False
            if ready:
                self._take(bool(value(dut.host__write)), value(dut.host__address), word, busy)
            for channel in ("ar", "aw"):
                self._check_burst(channel)

    def _take(self, write, address, word, busy):
        data = value(self.dut.host__write_data) if write else word
        self.seen.append((write, address, data))
        self.held.append(busy)
        self._read = not write
        if address == Register.COMMAND:
            self._words += 1
            self._busy_until = self.cycle + self.rng.randrange(1, 60)
        elif write:
            self.chip[address] = data
            assert value(self.dut.m_axi__rvalid), "a word comes later than from memory"

    def _check_burst(self, channel):
        if value(getattr(self.dut, f"m_axi__{channel}valid")):
            address = value(getattr(self.dut, f"m_axi__{channel}addr"))
            beats = value(getattr(self.dut, f"m_axi__{channel}len")) + 1
            assert beats <= 16 and address % 64 == 0, "bursts of at most 16 beats, aligned"


async def write(dut, register, word):
    await FallingEdge(dut.clk)
    await settled(dut, control__address=register, control__write=1, control__write_data=word)
    await FallingEdge(dut.clk)
    dut.control__write.value = 0


async def read(dut, register):
    await FallingEdge(dut.clk)
    await settled(dut, control__address=register)
    return value(dut.control__read_data)


async def run(dut, far, plan, memory, limit=20_000):
    """Start the plan's commands; the cause of the interrupt."""
    at, buffer = memory.allocate(4 * len(plan.words))
    buffer.view(np.uint32)[:] = plan.words
    await write(dut, Register.INTERRUPT, 7)
    await write(dut, Register.QUEUE_HEAD, BASE + at)
    far.seen, far.held = [], []
    await write(dut, Register.QUEUE_TAIL, BASE + at + 4 * len(plan.words))
    began = far.cycle
    for _ in range(limit):
        await FallingEdge(dut.clk)
        if value(dut.irq):
            break
    passed = far.cycle - began
    cause, counted = await read(dut, Register.INTERRUPT), await read(dut, Register.RUN_CYCLES)
    if cause == 1 << Interrupt.DONE:  # after an error it goes on until memory has answered
        assert counted == passed, "cycles from the start to the interrupt"
    stalls = [await read(dut, at) for at in (Register.MEMORY_STALLS, Register.ENGINE_STALLS)]
    assert 0 < sum(stalls) <= counted
    return cause


async def begin(dut, pattern):
    """(the host port's far end, memory, watch, a generator) after a reset."""
    rng = random.Random(pattern)
    watch = await start(dut, *INPUTS)
    memory = Memory(1 << 20)
    slave = AxiSlave(AxiBus.from_prefix(dut, "m_axi_"), dut.clk, dut.rst, target=memory)
    pause(
        pattern,
        (slave.write_if.b_channel, slave.read_if.r_channel),
        (slave.write_if.aw_channel, slave.write_if.w_channel, slave.read_if.ar_channel),
    )
    ContractWatch(dut.clk, axi_offers(dut, "m_axi", False))
    far = Far(dut, rng, 1.0 if pattern == "streaming" else 0.5)
    await write(dut, Register.INTERRUPT_ENABLE, 7)
    return far, memory, watch, rng


@cocotb.test()
@cocotb.parametrize(pattern=list(DATA["patterns"]))
async def commands_run_in_order(dut, pattern):
    """A list of commands twice: the same accesses, in their order, and the same memory."""
    far, memory, _, rng = await begin(dut, pattern)
    chip = {}
    plan = draw(rng, memory, chip)
    for _ in range(2):
        far.chip = {}
        for buffer, _ in plan.written:
            buffer[:] = 0
        assert await run(dut, far, plan, memory) == 1 << Interrupt.DONE
        assert far.seen == plan.accesses
        assert not any(far.held[at] for at in plan.after_wait), "WAIT did not wait"
        for buffer, words in plan.written:
            assert buffer.tolist() == words
        assert far.chip == chip
    memory.check_guards()


@cocotb.test()
async def what_stops_it(dut):
    """An unknown command, an error from memory, a reset in the middle: told, and then all right."""
    far, memory, watch, rng = await begin(dut, "both")
    good = draw(rng, memory, {})
    bad = Plan(words=[*good.words[:-1], 255, int(Transfer.INTERRUPT)])
    assert await run(dut, far, bad, memory) == 1 << Interrupt.BAD_COMMAND
    outside = Plan(words=[int(Transfer.READ), 0x4000_0000, int(Region.ACTIVATIONS), 20])
    assert await run(dut, far, outside, memory) == 1 << Interrupt.BUS_ERROR
    for cycles in (30, 90, 200):
        await write(dut, Register.QUEUE_TAIL, BASE + len(memory.bytes) // 2)
        watch.paused = True
        for _ in range(cycles):
            await FallingEdge(dut.clk)
        await settled(dut, reset=1)
        await FallingEdge(dut.clk)
        dut.reset.value = 0
        while await read(dut, Register.QUEUE_STATUS) & 3:
            pass
        watch.paused = False
        far._words = 0
        far.chip = {}
        assert await run(dut, far, good, memory) == 1 << Interrupt.DONE
        assert far.seen == good.accesses
