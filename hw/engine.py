"""The data path: from command words to results in the scratchpad."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from .array import SystolicArray, column_delay, delay
from .commands import ADDRESS_BITS, ARRAY, Opcode
from .im2col import PixelWalker, TileWalker
from .lane import Lane
from .layouts import PARAMETERS, parameter_index, tag_layout
from .machine import Machine
from .scratchpad import Scratchpad, read_signature, write_signature
from .sequencer import PROGRESS, Sequencer
from .vector import VectorUnit
from .vector_walker import VectorWalker
from .weights import WeightLoader, weight_write_signature
from .writer import OutputWriter


def parameter_write_signature(machine: Machine) -> wiring.Signature:
    """One output channel's parameters; never refused."""
    return wiring.Signature(
        {
            "tile": Out(parameter_index(machine)),
            "column": Out(ceil_log2(machine.columns)),
            "data": Out(PARAMETERS),
            "enable": Out(1),
        }
    )


class Engine(wiring.Component):
    """Runs jobs one after the other, and lets the host at the memories meanwhile.

    `read`: a cycle with `read_valid` is the host's, the engine waits; data come 2 cycles later.
    `write`: is done in a cycle with `write_ready`; the engine's own writes come first.
    """

    def __init__(self, machine: Machine, technology: str = "generic"):
        self.machine, self.technology = machine, technology
        super().__init__(
            {
                "commands": In(stream.Signature(32)),
                "progress": Out(PROGRESS),
                "read": In(read_signature(ADDRESS_BITS, machine.word_bytes)),
                "read_valid": In(1),
                "write": In(write_signature(ADDRESS_BITS, machine.write_bytes)),
                "write_ready": Out(1),
                "weights": In(weight_write_signature(machine)),
                "parameters": In(parameter_write_signature(machine)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        machine = self.machine
        self._is_conv = Signal()  # this and the next are known a cycle after the job
        self._is_binary = Signal()
        m.submodules.sequencer = sequencer = Sequencer()
        m.submodules.tiles = tiles = TileWalker(machine)
        m.submodules.pixels = pixels = PixelWalker(machine)
        m.submodules.weights = weights = WeightLoader(machine, self.technology)
        m.submodules.array = array = SystolicArray(
            machine.rows, machine.columns, tag_layout(machine),
            packed=bool(machine.packed) and self.technology == "xc7",
            binary=bool(machine.binary), technology=self.technology,
        )  # fmt: skip
        m.submodules.walker = walker = VectorWalker(machine)
        m.submodules.vector = vector = VectorUnit(machine, self.technology)
        m.submodules.writer = writer = OutputWriter(machine)

        self._control(m, sequencer, tiles, pixels, walker, weights, writer)
        connect(m, tiles.tiles, pixels.tiles)
        connect(m, pixels.vectors, array.activations)
        connect(m, flipped(self.weights), weights.write)
        connect(m, walker.pixels, vector.pixels)
        for words in (array.weights, walker.words, vector.words):
            m.d.comb += [words.p.eq(weights.words.p), words.valid.eq(weights.words.valid)]
        m.d.comb += vector.job.eq(sequencer.job)
        m.d.comb += array.binary.eq(self._is_binary)
        self._connect_lanes(m, array, vector, writer, sequencer.job)
        self._share_scratchpad(m, pixels, walker, vector, writer)

        partial = vector.sums.valid & vector.sums.p.tag.end & vector.sums.p.tag.final
        m.d.comb += sequencer.done.eq(writer.done | (partial & ~vector.sums.p.tag.last))
        return m

    def _control(self, m, sequencer, tiles, pixels, walker, weights, writer):
        connect(m, flipped(self.commands), sequencer.commands)
        connect(m, sequencer.progress, flipped(self.progress))
        job = sequencer.job
        is_conv = sum(job.opcode == opcode for opcode in ARRAY) != 0
        m.d.sync += [
            self._is_conv.eq(is_conv),
            self._is_binary.eq(is_conv & (job.opcode != Opcode.CONV2D)),
        ]
        for block in (tiles, pixels, walker, writer):
            m.d.comb += block.job.eq(job)
        m.d.comb += [
            tiles.start.eq(sequencer.start & is_conv),
            walker.start.eq(sequencer.start & ~is_conv),
            weights.start.eq(sequencer.start & (is_conv | (job.opcode <= Opcode.MAX))),
            writer.start.eq(sequencer.start),
            weights.address.eq(job.weight_address),
            weights.taps.eq(~self._is_conv),
            weights.more.eq(pixels.more | walker.more),
            weights.taken.eq(pixels.taken),
            pixels.loaded.eq(weights.loaded & self._is_conv),
        ]

    def _connect_lanes(self, m, array, vector, writer, job):
        """A lane takes its column's sums, or the vector engine's as late as a column's."""
        for column in range(self.machine.columns):
            m.submodules[f"lane_{column}"] = lane = Lane(self.machine, self.technology)
            wait = column_delay(column)
            if wait == 0 or column % 2 == 0:
                valid = delay(m, vector.sums.valid, wait, f"vector_valid_{column}", reset=True)
                tag = delay(m, vector.sums.p.tag, wait, f"vector_tag_{column}")
            value = delay(m, vector.sums.p.sums[column], wait, f"vector_sum_{column}")
            sums = array.sums[column]
            m.d.comb += [
                lane.sums.valid.eq(sums.valid | valid),
                lane.sums.p.tag.eq(Mux(valid, tag, sums.p.tag)),
                lane.sums.p.sum.eq(Mux(valid, value, sums.p.sum)),
            ]
            connect(m, lane.results, writer.results[column])
            self._configure_lane(m, lane, column, job)

    def _configure_lane(self, m, lane, column, job):
        m.d.comb += [
            lane.settings.zero_point.eq(job.output_zero_point),
            lane.settings.minimum.eq(job.minimum),
            lane.settings.maximum.eq(job.maximum),
            lane.write_address.eq(self.parameters.tile),
            lane.write_data.eq(self.parameters.data),
            lane.write_enable.eq(self.parameters.enable & (self.parameters.column == column)),
        ]

    def _share_scratchpad(self, m, pixels, walker, vector, writer):
        m.submodules.scratchpad = scratchpad = Scratchpad(
            self.machine.activation_bytes, self.machine.word_bytes, self.machine.write_bytes
        )
        m.d.comb += [
            pixels.grant.eq(~self.read_valid),
            walker.grant.eq(~self.read_valid),
            scratchpad.read.address.eq(Mux(self._is_conv, pixels.read.address, walker.address)),
            vector.data.eq(scratchpad.read.data),
            pixels.read.data.eq(scratchpad.read.data),
            self.read.data.eq(scratchpad.read.data),
            self.write_ready.eq(~writer.write.mask.any()),
        ]
        with m.If(self.read_valid):
            m.d.comb += scratchpad.read.address.eq(self.read.address)
        for name in ("address", "data", "mask"):
            m.d.comb += getattr(scratchpad.write, name).eq(getattr(writer.write, name))
        with m.If(self.write_ready):
            for name in ("address", "data", "mask"):
                m.d.comb += getattr(scratchpad.write, name).eq(getattr(self.write, name))
