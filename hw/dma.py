"""The master side: fetches commands, and moves data between memory and the host port."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from .accelerator import HOST_PORT
from .commands import JOB_WORDS, Opcode, Transfer
from .machine import Interrupt, Register

BURST = 16  # beats, the most that AXI3 (the Zynq-7000's ports) and 64-byte alignment allow
AHEAD = 4  # read bursts under way at once

AXI = wiring.Signature(
    {
        "araddr": Out(32), "arlen": Out(8), "arsize": Out(3), "arburst": Out(2), "arcache": Out(4),
        "arprot": Out(3), "arvalid": Out(1), "arready": In(1),
        "rdata": In(32), "rresp": In(2), "rlast": In(1), "rvalid": In(1), "rready": Out(1),
        "awaddr": Out(32), "awlen": Out(8), "awsize": Out(3), "awburst": Out(2), "awcache": Out(4),
        "awprot": Out(3), "awvalid": Out(1), "awready": In(1),
        "wdata": Out(32), "wstrb": Out(4), "wlast": Out(1), "wvalid": Out(1), "wready": In(1),
        "bresp": In(2), "bvalid": In(1), "bready": Out(1),
    }
)  # fmt: skip

QUEUE_CONTROL = wiring.Signature(
    {"address": Out(22), "write": Out(1), "write_data": Out(32), "read_data": In(32)}
)


class Dma(wiring.Component):
    """Runs the commands of `commands.Transfer`, and passes jobs on to the engine's queue.

    Commands run in order; a job is done with when it is in the queue, so that the engine works
    while the next ones are fetched, and `WAIT` waits for it. Addresses in memory must be multiples
    of 64, so that no burst crosses 4 KB. A reset drops the commands, and lets the bus finish what
    it has begun. An answer other than OKAY, or an unknown command, stops the queue with an
    interrupt.

    A copied word is offered to the host port in the cycle in which memory brings it; on its way to
    memory it is offered in the cycle after the host port gave it.
    """

    m_axi: Out(AXI)
    host: Out(HOST_PORT)
    control: In(QUEUE_CONTROL)
    busy: In(1)  # the engine has jobs
    reset: In(1)
    starting: Out(1)  # the queue was idle and begins
    irq: Out(1)

    def elaborate(self, platform):
        m = Module()
        self._active = active = Signal()  # from a start to the interrupt
        self._head = Signal(32)  # of the next word to be asked for
        self._tail = Signal(32)
        self._cause = Signal(3)
        self._enable = Signal(3)
        self._aborting = Signal()
        self._copying = Signal()  # reads on the bus are a copy's
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=32, depth=4 * BURST)
        wanted = Signal(32)  # words not yet asked for
        expected = Signal(32)  # words that have not come
        under_way = Signal(range(AHEAD + 1))
        address = Signal(32)
        fail = Signal()
        self._registers(m, fifo)
        self._read_bus(m, fifo, address, wanted, expected, under_way)
        self._commands(m, fifo, address, wanted, expected, under_way, fail)
        bad = (self.m_axi.rvalid & self.m_axi.rready & (self.m_axi.rresp != 0)) | (
            self.m_axi.bvalid & self.m_axi.bready & (self.m_axi.bresp != 0)
        )
        with m.If(bad & active):
            m.d.sync += [self._cause[Interrupt.BUS_ERROR].eq(1), self._aborting.eq(1)]
        with m.If(fail):
            m.d.sync += [self._cause[Interrupt.BAD_COMMAND].eq(1), self._aborting.eq(1)]
        with m.If(self.reset):
            m.d.sync += [self._aborting.eq(active), self._cause.eq(0)]
        # What is left of the commands and of the bus's answers must be gone before the next start.
        quiet = (under_way == 0) & (wanted == 0) & (expected == 0) & ~fifo.r_rdy & self._between
        with m.If(self._aborting & quiet):
            m.d.sync += [self._aborting.eq(0), active.eq(0)]
        return m

    def _registers(self, m, fifo):
        control = self.control
        cycles = Signal(32)
        memory_stalls = Signal(32)
        engine_stalls = Signal(32)
        self._waits_for_memory = Signal()
        self._waits_for_engine = Signal()
        written = control.write
        m.d.comb += [
            self.starting.eq(written & (control.address == Register.QUEUE_TAIL) & ~self._active),
            self.irq.eq((self._cause & self._enable).any()),
        ]
        with m.If(self.starting):
            m.d.sync += [cycles.eq(0), memory_stalls.eq(0), engine_stalls.eq(0)]
            m.d.sync += [self._active.eq(1), self._cause.eq(0)]
        with m.Elif(self._active):
            m.d.sync += [
                cycles.eq(cycles + 1),
                memory_stalls.eq(memory_stalls + self._waits_for_memory),
                engine_stalls.eq(engine_stalls + self._waits_for_engine),
            ]
        with m.If(written):
            with m.Switch(control.address):
                with m.Case(Register.QUEUE_HEAD):
                    m.d.sync += self._head.eq(control.write_data)
                with m.Case(Register.QUEUE_TAIL):
                    m.d.sync += self._tail.eq(control.write_data)
                with m.Case(Register.INTERRUPT):
                    m.d.sync += self._cause.eq(self._cause & ~control.write_data[:3])
                with m.Case(Register.INTERRUPT_ENABLE):
                    m.d.sync += self._enable.eq(control.write_data)
        state = Signal(4)
        self._state = state
        with m.Switch(control.address):
            for register, value in (
                (Register.QUEUE_HEAD, self._head),
                (Register.QUEUE_TAIL, self._tail),
                (Register.QUEUE_STATUS, Cat(self._active, self._aborting, state)),
                (Register.INTERRUPT, self._cause),
                (Register.INTERRUPT_ENABLE, self._enable),
                (Register.RUN_CYCLES, cycles),
                (Register.MEMORY_STALLS, memory_stalls),
                (Register.ENGINE_STALLS, engine_stalls),
            ):
                with m.Case(register):
                    m.d.comb += control.read_data.eq(value)

    def _read_bus(self, m, fifo, address, wanted, expected, under_way):
        """Bursts of the words that are `wanted`; they come in order."""
        bus = self.m_axi
        beats = Mux(wanted >= BURST, BURST, wanted[:5])
        asks = Signal()
        ends = Signal()
        m.d.comb += [
            bus.arvalid.eq((wanted != 0) & (under_way != AHEAD)),
            bus.araddr.eq(address),
            bus.arlen.eq(beats - 1),
            bus.arsize.eq(2),
            bus.arburst.eq(1),
            bus.arcache.eq(3),
            asks.eq(bus.arvalid & bus.arready),
            ends.eq(bus.rvalid & bus.rready & bus.rlast),
        ]
        m.d.sync += under_way.eq(under_way + asks - ends)
        with m.If(asks):
            m.d.sync += [wanted.eq(wanted - beats), address.eq(address + 4 * BURST)]
        with m.If(bus.rvalid & bus.rready):
            m.d.sync += expected.eq(expected - 1)
        m.d.comb += [
            fifo.w_data.eq(bus.rdata),
            fifo.w_en.eq(bus.rvalid & ~self._copying & ~self._aborting),
        ]

    def _commands(self, m, fifo, address, wanted, expected, under_way, fail):
        bus, host = self.m_axi, self.host
        left = Signal(range(JOB_WORDS + 1))  # words of a job to pass on
        place = Signal(32)  # on the chip
        count = Signal(32)  # words still to be moved
        memory = Signal(32)
        beats = Signal(range(BURST + 1))  # of the write burst
        ready_data = Signal()
        self._between = Signal()  # no command is half done
        kind = fifo.r_data[:8]
        idle_bus = (wanted == 0) & (expected == 0)
        fetches = (
            self._active & ~self._aborting & ~self._copying & idle_bus
            & (self._head != self._tail) & (fifo.w_level <= fifo.depth - BURST)
        )  # fmt: skip
        # While commands are fetched the bus may not begin a copy: its words would be mixed up.
        words_left = (self._tail - self._head)[2:]
        fetch_now = Signal()
        with m.If(fetch_now):
            size = Mux(words_left >= BURST, BURST, words_left)
            m.d.sync += [
                address.eq(self._head),
                wanted.eq(size),
                expected.eq(size),
                self._head.eq(self._head + (size << 2)),
            ]
        m.d.comb += bus.rready.eq(Mux(self._copying & ~self._aborting, 0, 1))
        m.d.comb += host.address.eq(place)
        with m.FSM() as fsm:
            with m.State("fetch"):
                m.d.comb += self._between.eq(1)
                with m.If(self._aborting):
                    m.d.sync += left.eq(0)
                m.d.comb += fetch_now.eq(fetches)
                m.d.comb += self._waits_for_memory.eq(self._active & ~fifo.r_rdy)
                with m.If(fifo.r_rdy & ~self._aborting):
                    with m.Switch(kind):
                        with m.Case(*Opcode):
                            m.d.sync += [left.eq(JOB_WORDS), place.eq(Register.COMMAND)]
                            m.next = "job"
                        with m.Case(Transfer.READ, Transfer.WRITE):
                            m.next = "memory address"
                        with m.Case(Transfer.WAIT):
                            m.next = "wait"
                        with m.Case(Transfer.INTERRUPT):
                            m.d.comb += fifo.r_en.eq(1)
                            m.d.sync += [self._cause[Interrupt.DONE].eq(1), self._active.eq(0)]
                        with m.Default():
                            m.d.comb += [fail.eq(1), fifo.r_en.eq(1)]
            with m.State("job"):
                m.d.comb += [
                    fetch_now.eq(fetches),
                    host.valid.eq(fifo.r_rdy & ~self._aborting),
                    host.write.eq(1),
                    host.write_data.eq(fifo.r_data),
                    fifo.r_en.eq(host.ready),
                    self._waits_for_engine.eq(fifo.r_rdy & ~host.ready),
                    self._waits_for_memory.eq(~fifo.r_rdy),
                ]
                with m.If(host.valid & host.ready):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 1):
                        m.next = "fetch"
                with m.Elif(self._aborting):
                    m.next = "fetch"
            # A copy's command has four words: kind, address in memory, on the chip, words.
            with m.State("memory address"):
                direction = Signal()
                m.d.comb += [fetch_now.eq(fetches), fifo.r_en.eq(fifo.r_rdy)]
                with m.If(fifo.r_rdy):
                    m.d.sync += [
                        left.eq(left + 1),
                        memory.eq(place),
                        place.eq(count),
                        count.eq(fifo.r_data),
                    ]
                    with m.If(left == 0):
                        m.d.sync += direction.eq(kind == Transfer.WRITE)
                    with m.If(left == 3):
                        m.d.sync += left.eq(0)
                        m.next = "begin"
                with m.Elif(self._aborting):
                    m.d.sync += left.eq(0)
                    m.next = "fetch"
            with m.State("begin"):
                with m.If(self._aborting | (count == 0)):
                    m.next = "fetch"
                with m.Elif(direction):
                    m.next = "write address"
                with m.Elif(idle_bus):
                    m.d.sync += [
                        self._copying.eq(1), address.eq(memory), wanted.eq(count),
                        expected.eq(count),
                    ]  # fmt: skip
                    m.next = "read"
            with m.State("read"):
                m.d.comb += [
                    host.valid.eq(bus.rvalid & ~self._aborting),
                    host.write.eq(1),
                    host.write_data.eq(bus.rdata),
                    bus.rready.eq(host.ready | self._aborting),
                    self._waits_for_memory.eq(~bus.rvalid),
                    self._waits_for_engine.eq(bus.rvalid & ~host.ready),
                ]
                with m.If(bus.rvalid & bus.rready):
                    m.d.sync += place.eq(place + 4)
                with m.If(idle_bus | (self._aborting & (under_way == 0) & (wanted == 0))):
                    m.d.sync += [self._copying.eq(0), expected.eq(0)]
                    m.next = "fetch"
            with m.State("write address"):
                m.d.comb += bus.awvalid.eq(1)
                m.d.sync += [beats.eq(Mux(count >= BURST, BURST, count)), ready_data.eq(0)]
                with m.If(bus.awready):
                    m.next = "write"
            with m.State("write"):
                m.d.comb += [
                    host.valid.eq(~ready_data),
                    bus.wvalid.eq(ready_data),
                    bus.wlast.eq(beats == 1),
                    self._waits_for_memory.eq(bus.wvalid & ~bus.wready),
                ]
                with m.If(host.valid & host.ready):
                    m.d.sync += [bus.wdata.eq(host.read_data), ready_data.eq(1)]
                with m.If(bus.wvalid & bus.wready):
                    m.d.sync += [
                        ready_data.eq(0), place.eq(place + 4), count.eq(count - 1),
                        beats.eq(beats - 1), memory.eq(memory + 4),
                    ]  # fmt: skip
                    with m.If(bus.wlast):
                        m.next = "write answer"
            with m.State("write answer"):
                m.d.comb += bus.bready.eq(1)
                m.d.comb += self._waits_for_memory.eq(1)
                with m.If(bus.bvalid):
                    m.next = "begin"
            with m.State("wait"):
                m.d.comb += [fetch_now.eq(fetches), self._waits_for_engine.eq(1)]
                with m.If(~self.busy | self._aborting):
                    m.d.comb += fifo.r_en.eq(fifo.r_rdy)
                    m.next = "fetch"
        m.d.comb += self._state.eq(fsm.state)
        with m.If(self._aborting):
            m.d.comb += fifo.r_en.eq(1)
            with m.If((under_way == 0) & (wanted == 0)):
                m.d.sync += expected.eq(0)
        m.d.comb += [
            bus.awaddr.eq(memory),
            bus.awlen.eq(Mux(count >= BURST, BURST, count[:5]) - 1),
            bus.awsize.eq(2),
            bus.awburst.eq(1),
            bus.awcache.eq(3),
            bus.wstrb.eq(15),
        ]
