"""The data path: from command words to results in the scratchpad."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from .array import SystolicArray
from .commands import ADDRESS_BITS
from .im2col import PixelWalker, TileWalker
from .lane import Lane
from .layouts import parameter_index, tag_layout
from .machine import Machine
from .scratchpad import Scratchpad, read_signature, write_signature
from .sequencer import PROGRESS, Sequencer
from .weights import WeightLoader, weight_write_signature
from .writer import OutputWriter


def parameter_write_signature(machine: Machine) -> wiring.Signature:
    """One 32-bit field of one output channel's parameters; never refused."""
    return wiring.Signature(
        {
            "tile": Out(parameter_index(machine)),
            "column": Out(ceil_log2(machine.columns)),
            "field": Out(2),
            "data": Out(32),
            "enable": Out(1),
        }
    )


class Engine(wiring.Component):
    """Runs jobs one after the other, and lets the host at the memories meanwhile.

    `read`: a cycle with `read_valid` is the host's, the engine waits; data come 2 cycles later.
    `write`: is done in a cycle with `write_ready`; the engine's own writes come first.
    """

    def __init__(self, machine: Machine):
        self.machine = machine
        super().__init__(
            {
                "commands": In(stream.Signature(32)),
                "progress": Out(PROGRESS),
                "read": In(read_signature(ADDRESS_BITS, machine.word_bytes)),
                "read_valid": In(1),
                "write": In(write_signature(ADDRESS_BITS, machine.word_bytes)),
                "write_ready": Out(1),
                "weights": In(weight_write_signature(machine)),
                "parameters": In(parameter_write_signature(machine)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        machine = self.machine
        m.submodules.sequencer = sequencer = Sequencer()
        m.submodules.tiles = tiles = TileWalker(machine)
        m.submodules.pixels = pixels = PixelWalker(machine)
        m.submodules.weights = weights = WeightLoader(machine)
        m.submodules.array = array = SystolicArray(
            machine.rows, machine.columns, tag_layout(machine)
        )
        m.submodules.writer = writer = OutputWriter(machine)
        lanes = [Lane(machine) for _ in range(machine.columns)]

        self._control(m, sequencer, tiles, pixels, weights, writer)
        connect(m, tiles.tiles, pixels.tiles)
        connect(m, pixels.vectors, array.activations)
        connect(m, weights.vectors, array.weights)
        connect(m, flipped(self.weights), weights.write)
        for column, lane in enumerate(lanes):
            m.submodules[f"lane_{column}"] = lane
            connect(m, array.sums[column], lane.sums)
            connect(m, lane.results, writer.results[column])
            self._configure_lane(m, lane, column, sequencer.job)
        self._share_scratchpad(m, pixels, writer)
        return m

    def _control(self, m, sequencer, tiles, pixels, weights, writer):
        connect(m, flipped(self.commands), sequencer.commands)
        connect(m, sequencer.progress, flipped(self.progress))
        for block in (tiles, pixels, writer):
            m.d.comb += block.job.eq(sequencer.job)
        for block in (tiles, weights, writer):
            m.d.comb += block.start.eq(sequencer.start)
        m.d.comb += [
            weights.address.eq(sequencer.job.weight_address),
            weights.more.eq(pixels.more),
            weights.taken.eq(pixels.taken),
            pixels.loaded.eq(weights.loaded),
            sequencer.done.eq(writer.done),
        ]

    def _configure_lane(self, m, lane, column, job):
        m.d.comb += [
            lane.settings.zero_point.eq(job.output_zero_point),
            lane.settings.minimum.eq(job.minimum),
            lane.settings.maximum.eq(job.maximum),
            lane.write_address.eq(self.parameters.tile),
            lane.write_field.eq(self.parameters.field),
            lane.write_data.eq(self.parameters.data),
            lane.write_enable.eq(self.parameters.enable & (self.parameters.column == column)),
        ]

    def _share_scratchpad(self, m, pixels, writer):
        m.submodules.scratchpad = scratchpad = Scratchpad(
            self.machine.activation_bytes, self.machine.word_bytes
        )
        m.d.comb += [
            pixels.grant.eq(~self.read_valid),
            scratchpad.read.address.eq(pixels.read.address),
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
