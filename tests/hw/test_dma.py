"""The DMA: random commands between a model of memory and one of the chip."""

import pytest
from hw_blocks import with_ids


def test_commands(run_cocotb):
    pytest.importorskip("cocotbext.axi")
    pytest.importorskip("amaranth")
    from midge.hw.dma import Dma

    run_cocotb(with_ids(Dma()), "cocotb_dma", {"patterns": ("streaming", "both")})
