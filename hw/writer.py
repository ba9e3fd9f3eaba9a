"""From the lanes back to the scratchpad."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .array import column_delay, delay
from .commands import ADDRESS_BITS, Opcode
from .lane import RESULT
from .layouts import JOB
from .machine import Machine
from .multiply import below
from .scratchpad import write_signature


class OutputWriter(wiring.Component):
    """Collects the results of one pixel, one lane a cycle, and writes them as one vector.

    Lane c works `column_delay(c)` cycles after lane 0. The vector is written in the cycle of the
    last lane's result, which is never refused. `done` is pulsed with the job's last write.
    """

    def __init__(self, machine: Machine):
        self.machine = machine
        results = stream.Signature(RESULT, always_ready=True)
        super().__init__(
            {
                "job": In(JOB),
                "start": In(1),
                "results": In(results).array(machine.columns),
                "write": Out(write_signature(ADDRESS_BITS, machine.write_bytes)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        last = self.results[-1]
        address = Signal(ADDRESS_BITS, reset_less=True)
        tile_address = Signal(ADDRESS_BITS, reset_less=True)
        columns = self.machine.columns
        # Channels that are still to be written, these included.
        channels = Signal(self.job.output_c.shape(), reset_less=True)
        m.d.comb += [
            self.write.address.eq(address),
            self.done.eq(last.valid & last.p.end & last.p.final),
        ]
        values = list(self._values(m))
        there = below(_at_most(channels, columns), columns)
        step = Signal(range(columns + 1))
        mask = Signal(columns)
        m.d.comb += [
            step.eq(columns),
            self.write.data.eq(Cat(values)),
            mask.eq(there),
            self.write.mask.eq(Mux(last.valid, mask, 0)),
        ]
        if columns % 8 == 0:
            makes_bits = Signal()  # a cycle after the job
            m.d.sync += makes_bits.eq(self.job.opcode == Opcode.BCONV2D_BITS)
            with m.If(makes_bits):
                m.d.comb += [
                    step.eq(columns // 8),
                    self.write.data.eq(Cat(value[-1] for value in values) & there),
                    mask.eq((1 << columns // 8) - 1),
                ]
        next_tile = tile_address + step
        with m.If(self.start):
            m.d.sync += [
                address.eq(self.job.output_address),
                tile_address.eq(self.job.output_address),
                channels.eq(self.job.output_c),
            ]
        with m.Elif(last.valid):
            m.d.sync += address.eq(Mux(last.p.end, next_tile, address + self.job.output_pitch))
            with m.If(last.p.end):
                m.d.sync += [
                    tile_address.eq(next_tile),
                    channels.eq(channels - self.machine.columns),
                ]
        return m

    def _values(self, m):
        """One pixel's results at once: the early lanes' wait for the last's."""
        for column, result in enumerate(self.results):
            value = result.p.value
            wait = column_delay(self.machine.columns - 1) - column_delay(column)
            yield delay(m, value, wait, f"value_{column}")


def _at_most(value, limit: int):
    return Mux(value > limit, limit, value[: limit.bit_length()])
