"""The weight memory and the engine that keeps the array's spare weights filled."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .array import weights_layout
from .machine import Machine


def weight_write_signature(machine: Machine) -> wiring.Signature:
    """One 32-bit word of the weight memory, never refused. `address` counts such words."""
    words = machine.weight_vectors * machine.weight_vector_bytes // 4
    return wiring.Signature({"address": Out(range(words)), "data": Out(32), "enable": Out(1)})


class WeightLoader(wiring.Component):
    """Streams tiles of weights, `rows` vectors each, from a memory that the host fills.

    `start` sends the tile at vector `address`; each `more` sends the one after it, as soon as the
    one before is sent. A vector leaves 1 cycle after its read; tiles follow without a gap.
    `loaded` rises with the first vector and falls with `taken`.
    """

    def __init__(self, machine: Machine):
        self.machine = machine
        vectors = stream.Signature(weights_layout(machine.rows, machine.columns), always_ready=True)
        super().__init__(
            {
                "start": In(1),
                "address": In(range(machine.weight_vectors)),
                "more": In(1),
                "loaded": Out(1),
                "taken": In(1),
                "vectors": Out(vectors),
                "write": In(weight_write_signature(machine)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        memory = Memory(
            shape=unsigned(8 * self.machine.weight_vector_bytes),
            depth=self.machine.weight_vectors,
            init=[],
        )
        m.submodules.memory = memory
        self._fill(m, memory.write_port(granularity=32))
        self._send(m, memory.read_port())
        return m

    def _fill(self, m, port):
        lanes = self.machine.weight_vector_bytes // 4
        lane = self.write.address[: ceil_log2(lanes)]
        m.d.comb += [
            port.addr.eq(self.write.address[ceil_log2(lanes) :]),
            port.data.eq(self.write.data.replicate(lanes)),
            port.en.eq(self.write.enable << lane),
        ]

    def _send(self, m, port):
        row = Signal(range(self.machine.rows))
        vector = Signal(range(self.machine.weight_vectors))
        sending, wanted, ends = Signal(), Signal(), Signal()
        m.d.comb += [port.addr.eq(vector), ends.eq(row == self.machine.rows - 1)]
        m.d.sync += [self.vectors.valid.eq(sending), self.vectors.p.row.eq(row)]
        m.d.comb += [
            weight.eq(port.data.word_select(column, 8))
            for column, weight in enumerate(self.vectors.p.values)
        ]
        with m.If(self.taken):
            m.d.sync += self.loaded.eq(0)
        with m.If(sending):
            m.d.sync += [vector.eq(vector + 1), row.eq(row + 1)]
            with m.If(row == 0):
                m.d.sync += self.loaded.eq(1)
        with m.If(~sending | ends):
            m.d.sync += [row.eq(0), sending.eq(wanted | self.more), wanted.eq(0)]
        with m.Elif(self.more):
            m.d.sync += wanted.eq(1)
        with m.If(self.start):
            m.d.sync += [vector.eq(self.address), row.eq(0), sending.eq(1)]
            m.d.sync += [wanted.eq(0), self.loaded.eq(0)]
