"""The weight memory and the engine that keeps the array's spare weights filled."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .array import weights_layout
from .machine import CHAIN, Machine


def weight_write_signature(machine: Machine) -> wiring.Signature:
    """One 32-bit piece of the weight memory, never refused. `address` counts such pieces.

    A word's pieces come in order, and its last one writes it.
    """
    pieces = machine.weight_words * machine.weight_word_bytes // 4
    return wiring.Signature({"address": Out(range(pieces)), "data": Out(32), "enable": Out(1)})


class WeightLoader(wiring.Component):
    """Streams tiles of weights from a memory that the host fills.

    A tile is `CHAIN` words, or with `taps` the `tap_words` of a depthwise pass. `start` sends the
    tile at word `address`; each `more` sends the one after it, as soon as the one before is sent.
    A word leaves 1 cycle after its read; tiles follow without a gap. `loaded` rises with the first
    word and falls with `taken`.
    """

    def __init__(self, machine: Machine, technology: str = "generic"):
        self.machine, self.technology = machine, technology
        words = stream.Signature(weights_layout(machine.rows, machine.columns), always_ready=True)
        super().__init__(
            {
                "start": In(1),
                "address": In(range(machine.weight_words)),
                "taps": In(1),
                "more": In(1),
                "loaded": Out(1),
                "taken": In(1),
                "words": Out(words),
                "write": In(weight_write_signature(machine)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        readers, writers = [], []
        for number, width in enumerate(self._widths()):
            memory = Memory(shape=unsigned(width), depth=self.machine.weight_words, init=[])
            m.submodules[f"memory_{number}"] = memory
            readers.append(memory.read_port())
            writers.append(memory.write_port())
        self._fill(m, writers)
        self._send(m, readers)
        return m

    def _widths(self):
        """Of the memories that make up a word.

        One is smallest, but for an ECP5 Yosys would make it of shallow block RAMs and choose
        between them, when their data are late already; it makes pieces of 32 bits of deep ones.
        """
        width = 8 * self.machine.weight_word_values
        if self.technology != "ecp5":
            return [width]
        return [min(32, width - first) for first in range(0, width, 32)]

    def _fill(self, m, ports):
        """Gathers a word: block RAM is widest without parts that are written alone."""
        spacing = self.machine.weight_word_bytes // 4
        used = -(-self.machine.weight_word_values // 4)
        piece = self.write.address[: ceil_log2(spacing)]
        gathered = [
            Signal(32, name=f"piece_{number}", reset_less=True) for number in range(used - 1)
        ]
        for number, kept in enumerate(gathered):
            with m.If(self.write.enable & (piece == number)):
                m.d.sync += kept.eq(self.write.data)
        m.d.comb += Cat(port.data for port in ports).eq(Cat(gathered, self.write.data))
        for port in ports:
            m.d.comb += [
                port.addr.eq(self.write.address[ceil_log2(spacing) :]),
                port.en.eq(self.write.enable & (piece == used - 1)),
            ]

    def _send(self, m, ports):
        row = Signal(range(16))
        last_row = Signal(range(16))
        word = Signal(range(self.machine.weight_words))
        sending = Signal()
        wanted = Signal()
        ends = Signal()
        m.d.comb += [
            last_row.eq(Mux(self.taps, self.machine.tap_words - 1, CHAIN - 1)),
            ends.eq(row == last_row),
        ]
        m.d.sync += [self.words.valid.eq(sending), self.words.p.row.eq(row)]
        m.d.comb += [port.addr.eq(word) for port in ports]
        m.d.comb += self.words.p.values.as_value().eq(Cat(port.data for port in ports))
        with m.If(self.taken):
            m.d.sync += self.loaded.eq(0)
        with m.If(sending):
            m.d.sync += [word.eq(word + 1), row.eq(row + 1)]
            with m.If(row == 0):
                m.d.sync += self.loaded.eq(1)
        with m.If(~sending | ends):
            m.d.sync += [row.eq(0), sending.eq(wanted | self.more), wanted.eq(0)]
        with m.Elif(self.more):
            m.d.sync += wanted.eq(1)
        with m.If(self.start):
            m.d.sync += [word.eq(self.address), row.eq(0), sending.eq(1)]
            m.d.sync += [wanted.eq(0), self.loaded.eq(0)]
