"""Plays vectors and weights into `SystolicArray` and checks each column's sums and their cycle."""

import os
import pickle
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

DATA = pickle.loads(Path(os.environ["TEST_DATA"]).read_bytes())


def to_int(words):
    return sum(int(word) << 32 * place for place, word in enumerate(words.reshape(-1)))


async def watch(dut, column, length, results):
    """Notes (cycle, tag, sum) of a column."""
    valid = getattr(dut, f"sums__{column}__valid")
    payload = getattr(dut, f"sums__{column}__payload")
    sum_bits = 16 + (DATA["rows"] - 1).bit_length()
    for cycle in range(length):
        if valid.value.is_resolvable and valid.value:
            value = int(payload.value)
            total = value & (1 << sum_bits) - 1
            results.append((cycle, value >> sum_bits, total - (total >> sum_bits - 1 << sum_bits)))
        await FallingEdge(dut.clk)


@cocotb.test()
async def same_sums(dut):
    Clock(dut.clk, 10, "ns").start()
    for name in DATA["inputs"]:
        getattr(dut, name).value = 0
    dut.rst.value = 1
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    length = len(DATA["inputs"]["weights__valid"])
    results = [[] for _ in range(DATA["columns"])]
    for column, found in enumerate(results):
        cocotb.start_soon(watch(dut, column, length, found))
    for cycle in range(length):
        for name, values in DATA["inputs"].items():
            getattr(dut, name).value = to_int(values[cycle])
        await FallingEdge(dut.clk)
    for column, found in enumerate(results):
        latency = 6 + (DATA["rows"] // 4 - 1).bit_length() + column // 2
        assert found == [
            (cycle + latency, tag, int(sums[column])) for cycle, tag, sums in DATA["wanted"]
        ]
