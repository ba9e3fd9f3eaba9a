"""What follows a column of the array: accumulators, parameters and the requantizer."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .layouts import PARAMETERS, parameter_index, tag_layout
from .machine import Machine
from .requantize import Requantize

RESULT = data.StructLayout({"value": signed(8), "end": 1, "final": 1})
SETTINGS = wiring.Signature(
    {"zero_point": Out(signed(8)), "minimum": Out(signed(8)), "maximum": Out(signed(8))}
)


class Lane(wiring.Component):
    """Adds up one output channel's partial sums, pixel by pixel, and requantizes the complete ones.

    A sum with `first` starts from the channel's bias, one with `last` leaves as int8 10 cycles
    later (2 to add up, 8 to requantize). Sums of one pixel are at least 4 cycles apart: reading an
    accumulator, adding and writing it takes 3. `settings` hold still while sums are inside.
    """

    LATENCY = 2 + Requantize.LATENCY

    def __init__(self, machine: Machine, technology: str = "generic"):
        self.machine, self.technology = machine, technology
        sums = data.StructLayout({"sum": signed(32), "tag": tag_layout(machine)})
        super().__init__(
            {
                "settings": In(SETTINGS),
                "sums": In(stream.Signature(sums, always_ready=True)),
                "results": Out(stream.Signature(RESULT, always_ready=True)),
                "write_address": In(parameter_index(machine)),
                "write_data": In(PARAMETERS),
                "write_enable": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters = self._read_parameters(m)
        total, tag, valid = self._accumulate(m, parameters)
        late = Signal(PARAMETERS, reset_less=True)
        m.d.sync += late.eq(parameters)

        m.submodules.requantize = requantize = Requantize(self.technology)
        operands = requantize.operands
        m.d.comb += [
            operands.valid.eq(valid & tag.last),
            operands.p.value.eq(total),
            operands.p.multiplier.eq(late.multiplier),
            operands.p.shift.eq(late.shift),
            requantize.zero_point.eq(self.settings.zero_point),
            requantize.minimum.eq(self.settings.minimum),
            requantize.maximum.eq(self.settings.maximum),
            requantize.out.ready.eq(1),
            self.results.valid.eq(requantize.out.valid),
            self.results.p.value.eq(requantize.out.payload),
        ]
        end, final = tag.end, tag.final
        for stage in range(Requantize.LATENCY):
            end_later = Signal(name=f"end_{stage}", reset_less=True)
            final_later = Signal(name=f"final_{stage}", reset_less=True)
            m.d.sync += [end_later.eq(end), final_later.eq(final)]
            end, final = end_later, final_later
        m.d.comb += [self.results.p.end.eq(end), self.results.p.final.eq(final)]
        return m

    def _read_parameters(self, m):
        """The channel's parameters, 1 cycle after its sum."""
        memory = Memory(shape=PARAMETERS, depth=self.machine.parameter_tiles, init=[])
        m.submodules.parameters = memory
        reader, writer = memory.read_port(), memory.write_port()
        m.d.comb += [
            reader.addr.eq(self.sums.p.tag.parameters),
            writer.addr.eq(self.write_address),
            writer.data.eq(self.write_data),
            writer.en.eq(self.write_enable),
        ]
        return reader.data

    def _accumulate(self, m, parameters):
        """(total, tag, valid), 2 cycles after a sum; totals that are not the last are kept."""
        memory = Memory(shape=signed(32), depth=self.machine.accumulators, init=[])
        m.submodules.accumulators = memory
        reader, writer = memory.read_port(), memory.write_port()
        sums_1 = Signal(self.sums.p.shape(), reset_less=True)
        valid_1 = Signal()
        valid_2 = Signal()
        total = Signal(signed(32), reset_less=True)
        tag = Signal(tag_layout(self.machine), reset_less=True)
        m.d.comb += [
            reader.addr.eq(self.sums.p.tag.pixel),
            writer.addr.eq(tag.pixel),
            writer.data.eq(total),
            writer.en.eq(valid_2 & ~tag.last),
        ]
        m.d.sync += [
            sums_1.eq(self.sums.p),
            valid_1.eq(self.sums.valid),
            total.eq(Mux(sums_1.tag.first, parameters.bias, reader.data) + sums_1.sum),
            tag.eq(sums_1.tag),
            valid_2.eq(valid_1),
        ]
        return total, tag, valid_2
