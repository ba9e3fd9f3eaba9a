"""The accelerator on a bus: one AXI4-Lite slave, one AXI4 master, one interrupt."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .accelerator import HOST_PORT, Accelerator
from .dma import AXI, Dma
from .machine import REGION_BYTES, Machine, Region, Register

MAP_BITS = ceil_log2(len(Region) * REGION_BYTES)

AXI_LITE = wiring.Signature(
    {
        "awaddr": Out(MAP_BITS), "awprot": Out(3), "awvalid": Out(1), "awready": In(1),
        "wdata": Out(32), "wstrb": Out(4), "wvalid": Out(1), "wready": In(1),
        "bresp": In(2), "bvalid": In(1), "bready": Out(1),
        "araddr": Out(MAP_BITS), "arprot": Out(3), "arvalid": Out(1), "arready": In(1),
        "rdata": In(32), "rresp": In(2), "rvalid": In(1), "rready": Out(1),
    }
)  # fmt: skip


class LiteSlave(wiring.Component):
    """AXI4-Lite to a host port, one access at a time; a read goes before a write.

    Whole words: `wstrb` other than 15 answers SLVERR and writes nothing. While the host port is
    ready, a read answers `READ_CYCLES` after its address, a write `WRITE_CYCLES` after the later of
    its address and its word.
    """

    READ_CYCLES = 2
    WRITE_CYCLES = 3

    s_axi: In(AXI_LITE)
    host: Out(HOST_PORT)

    def elaborate(self, platform):
        m = Module()
        bus, host = self.s_axi, self.host
        address = Signal(MAP_BITS)
        data = Signal(32)
        error = Signal()
        has_address = Signal()
        has_data = Signal()
        with m.FSM():
            with m.State("idle"):
                m.d.comb += [
                    bus.arready.eq(~has_address & ~has_data),
                    bus.awready.eq(~has_address & ~(bus.arvalid & bus.arready)),
                    bus.wready.eq(~has_data & ~(bus.arvalid & bus.arready)),
                ]
                with m.If(bus.arvalid & bus.arready):
                    m.d.sync += address.eq(bus.araddr)
                    m.next = "read"
                with m.Else():
                    with m.If(bus.awvalid & bus.awready):
                        m.d.sync += [address.eq(bus.awaddr), has_address.eq(1)]
                    with m.If(bus.wvalid & bus.wready):
                        m.d.sync += [data.eq(bus.wdata), has_data.eq(1), error.eq(bus.wstrb != 15)]
                    with m.If(has_address & has_data):
                        m.next = "write"
            with m.State("read"):
                m.d.comb += host.valid.eq(1)
                with m.If(host.ready):
                    m.d.sync += [bus.rdata.eq(host.read_data), bus.rvalid.eq(1)]
                    m.next = "read answer"
            with m.State("read answer"):
                with m.If(bus.rready):
                    m.d.sync += bus.rvalid.eq(0)
                    m.next = "idle"
            with m.State("write"):
                m.d.comb += [host.valid.eq(~error), host.write.eq(1)]
                with m.If(host.ready | error):
                    m.d.sync += [bus.bvalid.eq(1), bus.bresp.eq(Mux(error, 2, 0))]
                    m.next = "write answer"
            with m.State("write answer"):
                with m.If(bus.bready):
                    m.d.sync += [bus.bvalid.eq(0), has_address.eq(0), has_data.eq(0)]
                    m.next = "idle"
        m.d.comb += [host.address.eq(address), host.write_data.eq(data), bus.rresp.eq(0)]
        return m


class AxiAccelerator(wiring.Component):
    """`Accelerator` with its host port on AXI4-Lite, and a DMA that runs a queue of commands.

    A write of `Register.QUEUE_TAIL` is the start: commands are fetched from memory from
    `QUEUE_HEAD` on until the head meets the tail. `irq` is level-sensitive: high while a bit of
    `INTERRUPT` is set that `INTERRUPT_ENABLE` lets through. The memories are in the map too, for
    drivers without DMA and for looking inside.
    """

    def __init__(self, machine: Machine, technology: str = "generic"):
        self.machine, self.technology = machine, technology
        super().__init__(
            {
                "s_axi": In(AXI_LITE),
                "m_axi": Out(AXI),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.lite = lite = LiteSlave()
        m.submodules.dma = dma = Dma()
        m.submodules.accelerator = accelerator = Accelerator(self.machine, self.technology)
        wiring.connect(m, wiring.flipped(self.s_axi), lite.s_axi)
        wiring.connect(m, dma.m_axi, wiring.flipped(self.m_axi))
        to_queue = Signal()
        m.d.comb += [
            to_queue.eq(
                lite.host.valid
                & (lite.host.address >= Register.QUEUE_HEAD)
                & (lite.host.address <= Register.QUEUE_LAST)
            ),
            dma.busy.eq(accelerator.busy),
            dma.control.address.eq(lite.host.address),
            dma.control.write_data.eq(lite.host.write_data),
            dma.control.write.eq(to_queue & lite.host.write),
            dma.reset.eq(accelerator.clearing),
            accelerator.clear.eq(dma.starting),
            self.irq.eq(dma.irq),
        ]
        self._share_port(m, lite.host, dma, accelerator.host, to_queue)
        return m

    def _share_port(self, m, lite, dma, port, to_queue):
        """The processor's accesses go first; one that has begun is finished."""
        held = Signal()
        held_by_lite = Signal()
        by_lite = Signal()
        m.d.comb += by_lite.eq(Mux(held, held_by_lite, lite.valid & ~to_queue))
        m.d.sync += [held.eq(port.valid & ~port.ready), held_by_lite.eq(by_lite)]
        for name in ("write", "address", "write_data"):
            m.d.comb += getattr(port, name).eq(
                Mux(by_lite, getattr(lite, name), getattr(dma.host, name))
            )
        m.d.comb += [
            port.valid.eq(Mux(by_lite, lite.valid & ~to_queue, dma.host.valid)),
            lite.ready.eq((by_lite & port.ready) | to_queue),
            lite.read_data.eq(Mux(to_queue, dma.control.read_data, port.read_data)),
            dma.host.ready.eq(~by_lite & port.ready),
            dma.host.read_data.eq(port.read_data),
        ]
