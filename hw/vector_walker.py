"""Reads the pixels of a job of the vector engine, and says what is to be made of each."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .array import weights_layout
from .commands import ADDRESS_BITS, Opcode
from .layouts import JOB, VECTOR_JOB, tag_layout
from .machine import Machine
from .scratchpad import Scratchpad


def vector_tag_layout(machine: Machine) -> data.StructLayout:
    """What goes with a pixel through the pipeline."""
    return data.StructLayout(
        {
            "place": range(machine.line_pixels),  # in the line buffer
            "inside": 1,  # the pixel's row is a row of the image
            "has_above": 2,  # the rows one and two above were streamed
            "columns": 3,  # the window's columns that lie inside the image
            "starts": 1,  # first pixel of a group
            "second": 1,  # of ADD's operands
            "emit": 1,  # an output is to be made
            "tag": tag_layout(machine),
        }
    )


class VectorWalker(wiring.Component):
    """Reads the job's pixels, group of channels after group.

    A pixel is read in each cycle with `grant`; its tag leaves with its data, `Scratchpad.LATENCY`
    cycles later.
    Before each group it asks for the weights with `more` (but for the first group, whose weights
    come with the job's start), and begins when they are so far along that they are there in time.
    """

    def __init__(self, machine: Machine):
        self.machine = machine
        words = stream.Signature(weights_layout(machine.rows, machine.columns), always_ready=True)
        pixels = stream.Signature(vector_tag_layout(machine), always_ready=True)
        super().__init__(
            {
                "job": In(JOB),
                "start": In(1),
                "words": In(words),
                "more": Out(1),
                "grant": In(1),
                "address": Out(ADDRESS_BITS),
                "pixels": Out(pixels),
            }
        )

    def elaborate(self, platform):
        m = Module()
        job = data.View(VECTOR_JOB, self.job.as_value())
        self._needs_weights = (job.opcode == Opcode.SUM) | (job.opcode == Opcode.MAX)
        self._is_add = Signal()  # from the start on
        self._asks = Signal()
        m.d.sync += [self._is_add.eq(job.opcode == Opcode.ADD), self._asks.eq(self._needs_weights)]
        running = Signal()
        step = Signal()
        row_ends = Signal()
        group_ends = Signal()
        tag = Signal(vector_tag_layout(self.machine))
        self._sequence(m, job, running, step & group_ends, tag)
        self._walk(m, job, running, step, row_ends, tag)
        self._emit(m, job, step, group_ends, tag)

        valid = running & self.grant
        for stage in range(Scratchpad.LATENCY):  # as late as the scratchpad's data
            later = Signal(tag.shape(), name=f"tag_{stage}", reset_less=True)
            later_valid = Signal(name=f"valid_{stage}")
            m.d.sync += [later.eq(tag), later_valid.eq(valid)]
            tag, valid = later, later_valid
        m.d.comb += [self.pixels.p.eq(tag), self.pixels.valid.eq(valid)]
        return m

    def _sequence(self, m, job, running, ends, tag):
        """Groups of channels: weights, pixels, and a pause until the weights are used no more."""
        channels = Signal(job.output_c.shape())  # still to be made, this group's included
        parameters = Signal(tag.tag.parameters.shape())
        self._offset = offset = Signal(ADDRESS_BITS)  # of the group in its pixel
        enough = self.words.valid & (self.words.p.row == max(0, self.machine.tap_words - 4))
        m.d.comb += [
            tag.tag.parameters.eq(parameters),
            tag.tag.final.eq(channels <= self.machine.columns),
            tag.tag.first.eq(job.first),
            tag.tag.last.eq(job.last),
        ]
        with m.FSM():
            with m.State("idle"):
                m.d.sync += [
                    channels.eq(job.output_c),
                    parameters.eq(job.parameter_address),
                    offset.eq(0),
                ]
                with m.If(self.start & self._needs_weights):
                    m.next = "weights"
                with m.Elif(self.start):
                    m.next = "run"
            with m.State("weights"):
                with m.If(enough):
                    m.next = "run"
            with m.State("run"):
                m.d.comb += running.eq(1)
                with m.If(ends):
                    m.d.sync += [
                        channels.eq(channels - self.machine.columns),
                        parameters.eq(parameters + 1),
                        offset.eq(offset + self.machine.columns),
                    ]
                    m.next = "ask"
                    with m.If(tag.tag.final):
                        m.next = "idle"
            with m.State("ask"):
                m.d.comb += self.more.eq(self._asks)
                m.next = "run"
                with m.If(self._asks):
                    m.next = "weights"

    def _walk(self, m, job, running, step, row_ends, tag):
        """Rows of pixels; ADD reads the second operand's before it goes on."""
        address = Signal(ADDRESS_BITS)
        line = Signal(ADDRESS_BITS)
        second = Signal()
        second_address = Signal(ADDRESS_BITS)
        place = Signal(job.row_pixels.shape())
        row = Signal(signed(18))
        has_above = Signal(2)
        fresh = Signal()
        is_add = self._is_add
        m.d.comb += [
            step.eq(running & self.grant & (~is_add | second)),
            row_ends.eq(place == job.row_pixels - 1),
            self.address.eq(Mux(second, second_address, address + self._offset)),
            tag.place.eq(place),
            tag.inside.eq((row >= 0) & (row < job.input_h)),
            tag.has_above.eq(has_above),
            tag.starts.eq(fresh),
            tag.second.eq(second),
        ]
        with m.If(~running):
            m.d.sync += [
                address.eq(job.first_address),
                line.eq(job.first_address),
                second.eq(0),
                second_address.eq(job.second_address),
                place.eq(0),
                row.eq(job.first_row),
                has_above.eq(0),
                fresh.eq(1),
            ]
        with m.Elif(self.grant):
            m.d.sync += second.eq(is_add & ~second)
        with m.If(step):
            m.d.sync += [
                fresh.eq(0),
                place.eq(place + 1),
                address.eq(address + job.input_c),
                second_address.eq(second_address + job.input_c),
            ]
            with m.If(row_ends):
                m.d.sync += [
                    place.eq(0),
                    row.eq(row + 1),
                    has_above.eq((has_above << 1) | 1),
                    address.eq(line + job.row_bytes),
                    line.eq(line + job.row_bytes),
                ]

    def _emit(self, m, job, step, group_ends, tag):
        """Output pixels: from the `delay`th pixel on, each `stride` of a row of `row_pixels`."""
        waiting = Signal(job.delay.shape())
        place = Signal(job.row_pixels.shape())
        skip = Signal(8)
        skip_rows = Signal(8)
        columns = Signal(16)  # of outputs, still to come
        rows = Signal(16)
        position = Signal(signed(18))  # of the window's first tap in its row
        pixel = Signal(tag.tag.pixel.shape())
        emit = Signal()
        row_done = Signal()
        m.d.comb += [
            emit.eq((waiting == 0) & (skip == 0) & (skip_rows == 0) & (columns != 0)),
            group_ends.eq(emit & (columns == 1) & (rows == 1)),
            row_done.eq(place == job.row_pixels - 1),
            tag.emit.eq(emit),
            tag.tag.pixel.eq(pixel),
            tag.tag.end.eq(group_ends),
        ]
        for tap in range(3):
            tapped = position + tap
            m.d.comb += tag.columns[tap].eq((tapped >= 0) & (tapped < job.input_w))

        def start_row():
            return [
                place.eq(0),
                skip.eq(0),
                columns.eq(job.output_w),
                position.eq(job.first_position),
            ]

        with m.If(step & (waiting != 0)):
            m.d.sync += waiting.eq(waiting - 1)
        with m.Elif(step):
            m.d.sync += [place.eq(place + 1), skip.eq(Mux(skip == job.stride_w - 1, 0, skip + 1))]
            with m.If(emit):
                m.d.sync += [
                    columns.eq(columns - 1),
                    pixel.eq(pixel + 1),
                    position.eq(position + job.stride_w),
                ]
            with m.If(row_done):
                m.d.sync += start_row()
                m.d.sync += skip_rows.eq(Mux(skip_rows == job.stride_h - 1, 0, skip_rows + 1))
                with m.If(skip_rows == 0):
                    m.d.sync += rows.eq(rows - 1)
        with m.If(self.start | (step & group_ends)):
            m.d.sync += start_row()
            m.d.sync += [
                waiting.eq(job.delay),
                skip_rows.eq(0),
                rows.eq(job.output_h),
                pixel.eq(0),
            ]
