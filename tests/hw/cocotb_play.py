"""Plays rows of inputs into a block, a row a cycle, and checks what comes out.

`valid` names the output that says when; with `cycles` each result must come in its own cycle, and
none in others, else all of them in their order. A result is {port: (value, bits that count)}.
"""

import os
import pickle
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly
from contracts import ContractWatch, stream_offers

DATA = pickle.loads(Path(os.environ["TEST_DATA"]).read_bytes())


@cocotb.test()
async def same_results(dut):
    Clock(dut.clk, 10, "ns").start()
    for name, values in DATA["inputs"].items():
        getattr(dut, name).value = int(values[0])
    dut.rst.value = 1
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    watch = ContractWatch(dut.clk, stream_offers(dut))
    found = []
    for cycle in range(len(next(iter(DATA["inputs"].values())))):
        for name, values in DATA["inputs"].items():
            getattr(dut, name).value = int(values[cycle])
        await ReadOnly()
        if came(dut):
            wanted = DATA["results"][len(found)]
            for name, (value, bits) in wanted.items():
                there = int(getattr(dut, name).value) & bits if bits else 0
                assert there == value & bits, (cycle, name, there, wanted)
            found.append(cycle)
        await FallingEdge(dut.clk)
    assert len(found) == len(DATA["results"])
    assert DATA["cycles"] in (None, found)
    assert not DATA["waits"] or any(watch.waited.values())


def came(dut):
    """A result: an output is not 0, and a stream's is taken."""
    if DATA["valid"] is None:
        return True
    ready = DATA["waits"] and not getattr(dut, DATA["waits"]).value
    return int(getattr(dut, DATA["valid"]).value) != 0 and not ready
