"""The top of an ULX3S (ECP5): PLL, reset, and the accelerator on the USB serial port."""

from amaranth.hdl import ClockDomain, ClockSignal, Const, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out

from .machine import Machine
from .uart import SerialAccelerator

CLOCK_HZ = 60_000_000  # the oscillator's 25 MHz, by 12 / 5
BAUD = 1_000_000  # of the USB bridge; a bit takes 60 cycles


class Ulx3s(wiring.Component):
    """Ports are named as the board's schematic names its nets, as seen by the USB bridge."""

    clk_25mhz: In(1)
    ftdi_txd: In(1)
    ftdi_rxd: Out(1)

    def __init__(self, machine: Machine):
        self.machine = machine
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        locked = Signal()
        feedback = Signal()
        m.domains.sync = ClockDomain("sync")
        # The loop runs at 600 MHz, which is divided by 24 to be compared with the oscillator.
        m.submodules.pll = Instance(
            "EHXPLLL",
            p_CLKI_DIV=1, p_CLKFB_DIV=1, p_CLKOP_DIV=24, p_CLKOP_CPHASE=23, p_CLKOP_FPHASE=0,
            p_CLKOS_DIV=10, p_CLKOS_CPHASE=9, p_CLKOS_FPHASE=0, p_CLKOS_ENABLE="ENABLED",
            p_CLKOP_ENABLE="ENABLED", p_FEEDBK_PATH="CLKOP", p_PLLRST_ENA="DISABLED",
            p_INTFB_WAKE="DISABLED", p_STDBY_ENABLE="DISABLED", p_DPHASE_SOURCE="DISABLED",
            a_FREQUENCY_PIN_CLKI="25", a_FREQUENCY_PIN_CLKOS="60", a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8", a_MFG_ENABLE_FILTEROPAMP="1", a_MFG_GMCREF_SEL="2",
            i_CLKI=self.clk_25mhz, i_CLKFB=feedback, i_RST=Const(0, 1), i_STDBY=Const(0, 1),
            i_PHASESEL0=Const(0, 1), i_PHASESEL1=Const(0, 1), i_PHASEDIR=Const(1, 1),
            i_PHASESTEP=Const(1, 1), i_PHASELOADREG=Const(1, 1), i_PLLWAKESYNC=Const(0, 1),
            i_ENCLKOP=Const(0, 1), o_CLKOP=feedback, o_CLKOS=ClockSignal(), o_LOCK=locked,
        )  # fmt: skip
        m.submodules.reset = ResetSynchronizer(~locked)
        m.submodules.accelerator = accelerator = SerialAccelerator(
            self.machine, CLOCK_HZ // BAUD, "ecp5"
        )
        m.d.comb += [accelerator.rx.eq(self.ftdi_txd), self.ftdi_rxd.eq(accelerator.tx)]
        return m
