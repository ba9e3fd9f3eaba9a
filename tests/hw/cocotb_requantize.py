"""Drives `Requantize` with idle cycles before it and back-pressure behind it."""

import os
import pickle
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

DATA = pickle.loads(Path(os.environ["TEST_DATA"]).read_bytes())
PATTERNS = {  # chance of (a value, room for a result) in a cycle
    "streaming": (1.0, 1.0),
    "idle": (0.3, 1.0),
    "back-pressure": (1.0, 0.3),
    "both": (0.5, 0.5),
}


async def start(dut):
    Clock(dut.clk, 10, "ns").start()
    dut.operands__valid.value = 0
    dut.operands__payload.value = 0
    dut.out__ready.value = 0
    for name, value in zip(("zero_point", "minimum", "maximum"), DATA["settings"], strict=True):
        getattr(dut, name).value = value & 0xFF
    dut.rst.value = 1
    await FallingEdge(dut.clk)
    dut.rst.value = 0


async def send(dut, chance):
    for payload in DATA["payloads"]:
        while random.random() >= chance:
            await FallingEdge(dut.clk)
        dut.operands__payload.value = payload
        dut.operands__valid.value = 1
        await ReadOnly()
        while not dut.operands__ready.value:
            await FallingEdge(dut.clk)
            await ReadOnly()
        await FallingEdge(dut.clk)
        dut.operands__valid.value = 0


async def receive(dut, chance, count):
    """The results; one that waits must stay as it is."""
    results, waiting = [], None
    for _ in range(100 * count):
        dut.out__ready.value = int(random.random() < chance)
        await ReadOnly()
        value = int(dut.out__payload.value) if dut.out__valid.value else None
        assert waiting is None or value == waiting
        taken = value is not None and dut.out__ready.value
        waiting = None if taken else value
        if taken:
            results.append(value - 256 if value > 127 else value)
        if len(results) == count:
            return results
        await FallingEdge(dut.clk)
    raise AssertionError(f"{count} results expected, {len(results)} came")


@cocotb.test()
@cocotb.parametrize(pattern=list(PATTERNS))
async def same_results(dut, pattern):
    random.seed(pattern)
    values, room = PATTERNS[pattern]
    await start(dut)
    cocotb.start_soon(send(dut, values))
    assert await receive(dut, room, len(DATA["expected"])) == DATA["expected"]
