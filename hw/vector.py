"""The vector engine: depthwise windows, pools and residual additions, `columns` channels at once.

It streams an image out of the scratchpad, a pixel (of one group of channels) a cycle, and hands
sums to the same lanes as the array does, which requantize them. What it makes of the stream depends
on the job's opcode (`commands.Opcode`):

- SUM: a line buffer of two rows makes each new pixel a new column of a 3x3 window; nine taps times
  their weights. Larger kernels are several passes that the lanes' accumulators add up.
- MAX: the greatest of a window's rows and columns whose first tap has a weight that is not 0.
- POOL: the sum of all pixels, times 2**`vector_lane.POOL_SHIFT`, after the last one.
- ADD: two operands in turn, so a result each two cycles. Each is rescaled as TFLite's ADD does:
  (x - zero point) * multiplier * 2**20, rounded to its high half, then shifted right with rounding.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .array import weights_layout
from .commands import Opcode
from .layouts import JOB, VECTOR_JOB, tag_layout
from .machine import TAPS, Machine
from .vector_lane import SUM_SHAPE, VectorLane, opcodes_are
from .vector_walker import vector_tag_layout


class VectorUnit(wiring.Component):
    """Makes sums of the pixels: `sums`, one for each column, all at once, with their tag.

    A sum comes `VectorLane.LATENCY[opcode]` cycles after its pixel, and ADD's after the second one.
    Pixels may come with idle cycles between them.
    """

    def __init__(self, machine: Machine, technology: str = "generic"):
        self.machine, self.technology = machine, technology
        words = stream.Signature(weights_layout(machine.rows, machine.columns), always_ready=True)
        pixels = stream.Signature(vector_tag_layout(machine), always_ready=True)
        sums = data.StructLayout(
            {
                "sums": data.ArrayLayout(SUM_SHAPE, machine.columns),
                "tag": tag_layout(machine),
            }
        )
        super().__init__(
            {
                "job": In(JOB),
                "words": In(words),
                "pixels": In(pixels),
                "data": In(8 * machine.columns),
                "sums": Out(stream.Signature(sums, always_ready=True)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        job = data.View(VECTOR_JOB, self.job.as_value())
        columns = self._window_columns(m, job)
        taps = self._keep_weights(m)
        used = self._keep_used(m)
        tag = self.pixels.p
        for number in range(self.machine.columns):
            m.submodules[f"lane_{number}"] = lane = VectorLane(self.technology)
            m.d.comb += [
                lane.job.eq(job),
                lane.valid.eq(self.pixels.valid),
                lane.tag.columns.eq(tag.columns),
                lane.tag.starts.eq(tag.starts),
                lane.tag.second.eq(tag.second),
                lane.pixel.eq(self.data.word_select(number, 8)),
                lane.rows_used.eq(Cat(used[::3])),
                lane.columns_used.eq(Cat(used[:3])),
                self.sums.p.sums[number].eq(lane.sum),
            ]
            m.d.comb += [a.eq(b[number]) for a, b in zip(lane.column, columns, strict=True)]
            m.d.comb += [a.eq(b[number]) for a, b in zip(lane.weights, taps, strict=True)]
        self._pass_tags(m, job)
        return m

    def _pass_tags(self, m, job):
        """As late as the sums of this opcode: chosen a cycle before, to be there at its start."""
        chosen = Signal(self.pixels.p.shape())
        valid = Signal()
        tags = self._delay_tags(m)
        opcodes = opcodes_are(m, job, list(VectorLane.LATENCY))
        for number, (opcode, stage) in enumerate(VectorLane.LATENCY.items()):
            tag, tag_valid = tags[stage - 1]
            is_result = tag.emit & (tag.second if opcode == Opcode.ADD else 1)
            with m.If(opcodes[number]):
                m.d.comb += [chosen.eq(tag), valid.eq(tag_valid & is_result)]
        tag = Signal(chosen.tag.shape(), reset_less=True)
        m.d.sync += [self.sums.valid.eq(valid), tag.eq(chosen.tag)]
        m.d.comb += self.sums.p.tag.eq(tag)

    def _keep_weights(self, m):
        """[tap][lane]; taps come in words of one tap a chain."""
        kept = []
        for tap in range(TAPS):
            comes, values = self._tap_of_word(tap)
            kept.append([])
            for lane, value in enumerate(values):
                weight = Signal(signed(8), name=f"weight_{tap}_{lane}", reset_less=True)
                with m.If(comes):
                    m.d.sync += weight.eq(value)
                kept[tap].append(weight)
        return kept

    def _keep_used(self, m):
        """[tap]: it has a weight that is not 0, in lane 0 as in all."""
        kept = [Signal(name=f"used_{tap}", reset_less=True) for tap in range(TAPS)]
        for tap, is_used in enumerate(kept):
            comes, values = self._tap_of_word(tap)
            with m.If(comes):
                m.d.sync += is_used.eq(values[0] != 0)
        return kept

    def _tap_of_word(self, tap):
        """Whether the word that comes holds this tap, and its weights, lane by lane."""
        columns = self.machine.columns
        word, chain = divmod(tap, self.machine.chains)
        first = chain * columns
        values = [self.words.p.values[lane] for lane in range(first, first + columns)]
        return self.words.valid & (self.words.p.row == word), values

    def _window_columns(self, m, job):
        """[row][lane]: the new column of the window, the zero point where there is no image."""
        lanes = self.machine.columns
        memory = Memory(
            shape=data.ArrayLayout(8, 2 * lanes), depth=self.machine.line_pixels, init=[]
        )
        m.submodules.lines = memory
        reader, writer = memory.read_port(domain="comb"), memory.write_port()
        tag = self.pixels.p
        rows = [[], [], []]
        for lane in range(lanes):
            for row, value, there in (
                (0, reader.data[lanes + lane], tag.has_above[1]),
                (1, reader.data[lane], tag.has_above[0]),
                (2, self.data.word_select(lane, 8), tag.inside),
            ):
                pixel = Signal(signed(8), name=f"column_{row}_{lane}")
                m.d.comb += pixel.eq(Mux(there, value, job.input_zero_point))
                rows[row].append(pixel)
            m.d.comb += [
                writer.data[lane].eq(rows[2][lane]),
                writer.data[lanes + lane].eq(rows[1][lane]),
            ]
        m.d.comb += [
            reader.addr.eq(tag.place),
            writer.addr.eq(tag.place),
            writer.en.eq(self.pixels.valid),
        ]
        return rows

    def _delay_tags(self, m):
        """(tag, valid) so many cycles after the pixel."""
        tags = [(self.pixels.p, self.pixels.valid)]
        for stage in range(1, max(VectorLane.LATENCY.values())):
            tag = Signal(self.pixels.p.shape(), name=f"tag_{stage}", reset_less=True)
            valid = Signal(name=f"valid_{stage}")
            m.d.sync += [tag.eq(tags[-1][0]), valid.eq(tags[-1][1])]
            tags.append((tag, valid))
        return tags
