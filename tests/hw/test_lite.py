"""The AXI4-Lite slave between `cocotbext-axi`'s master and a model of the host port."""

import pytest
from hw_blocks import PATTERNS


def test_words_through_the_slave(run_cocotb):
    pytest.importorskip("cocotbext.axi")
    pytest.importorskip("amaranth")
    from midge.hw.axi import LiteSlave

    cycles = {"read_cycles": LiteSlave.READ_CYCLES, "write_cycles": LiteSlave.WRITE_CYCLES}
    run_cocotb(LiteSlave(), "cocotb_lite", {"patterns": PATTERNS} | cycles)
