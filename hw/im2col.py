"""Walks a convolution's windows: which bytes meet which weights, in which order.

A job is a list of tiles. A tile is one pass over all output pixels with the weights that the array
holds: `rows` adjacent bytes of a kernel row's run (a *segment*, see `jobs`), for `columns`
output channels. Images are dense NHWC, so a segment of an output pixel is adjacent in memory; its
bytes outside the image row are padding. Bytes after a segment's end meet zero weights.
"""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .array import activations_layout
from .commands import ADDRESS_BITS, POSITION_BITS, ROW_BITS
from .layouts import JOB, tag_layout, tile_layout
from .machine import Machine
from .multiply import below
from .scratchpad import read_signature


class TileWalker(wiring.Component):
    """The job's tiles in order: output channels, kernel rows, segments, words of a segment.

    The first tile is valid in the cycle after `start`, the next one in the cycle after each
    transfer, so a tile may be taken every cycle. `job` holds still from `start` to the last tile.
    """

    def __init__(self, machine: Machine):
        self.machine = machine
        tiles = stream.Signature(tile_layout(machine))
        super().__init__({"job": In(JOB), "start": In(1), "tiles": Out(tiles)})

    def elaborate(self, platform):
        m = Module()
        job, tile = self.job, self.tiles.p
        row = Signal(tile.row.shape(), reset_less=True)
        row_address = Signal(ADDRESS_BITS, reset_less=True)
        position = Signal(tile.position.shape(), reset_less=True)
        parameters = Signal(tile.parameters.shape(), reset_less=True)
        # Still to be made, this tile's included.
        channels = Signal(job.output_c.shape(), reset_less=True)
        # Kernel rows still to come, this one included.
        taps = Signal(job.kernel_h.shape(), reset_less=True)
        segments = Signal(job.segments.shape(), reset_less=True)
        left = Signal(job.segment_bytes.shape(), reset_less=True)
        # Position of the segment's first byte.
        segment = Signal(signed(POSITION_BITS), reset_less=True)
        first = Signal(reset_less=True)

        segment_ends = left <= self.machine.rows
        tap_ends = segment_ends & (segments == 1)
        sums_end = tap_ends & (taps == 1)
        job_ends = sums_end & (channels <= self.machine.columns)
        m.d.comb += [
            tile.row.eq(row),
            tile.row_address.eq(row_address),
            tile.position.eq(position),
            tile.bytes.eq(Mux(segment_ends, left, self.machine.rows)),
            tile.parameters.eq(parameters),
            tile.first.eq(first),
            tile.last.eq(sums_end),
            tile.final.eq(job_ends),
        ]

        def enter_segment(start):
            return [left.eq(job.segment_bytes), segment.eq(start), position.eq(start)]

        def enter_tap(number, address):
            restart = [segments.eq(job.segments), row.eq(number), row_address.eq(address)]
            return restart + enter_segment(job.first_position)

        def enter_sums():
            restart = [taps.eq(job.kernel_h), first.eq(1)]
            return restart + enter_tap(-job.padding_top, job.first_row_address)

        with m.If(self.start):
            m.d.sync += enter_sums()
            m.d.sync += [
                self.tiles.valid.eq(1),
                channels.eq(job.output_c),
                parameters.eq(job.parameter_address),
            ]
        with m.Elif(self.tiles.valid & self.tiles.ready):
            m.d.sync += first.eq(0)
            with m.If(~segment_ends):
                m.d.sync += [
                    left.eq(left - self.machine.rows),
                    position.eq(position + self.machine.rows),
                ]
            with m.Elif(~tap_ends):
                m.d.sync += segments.eq(segments - 1)
                m.d.sync += enter_segment(segment + job.segment_step)
            with m.Elif(~sums_end):
                m.d.sync += taps.eq(taps - 1)
                m.d.sync += enter_tap(row + job.dilation_h, row_address + job.tap_step)
            with m.Elif(~job_ends):
                m.d.sync += enter_sums()
                m.d.sync += [
                    channels.eq(channels - self.machine.columns),
                    parameters.eq(parameters + 1),
                ]
            with m.Else():
                m.d.sync += self.tiles.valid.eq(0)
        return m


class PixelWalker(wiring.Component):
    """Reads one vector a cycle for each output pixel of each tile, and fills in the padding.

    A tile is taken when `loaded` says that its weights are on their way, with a pulse of `taken`;
    its first vector is read in the next cycle at the earliest, with a pulse of `more` if another
    tile follows: this vector swaps the weights, so that the next ones may be loaded. In a cycle
    without `grant` nothing is read. A vector leaves 2 cycles after its read. Tiles follow one
    another without a gap.
    """

    def __init__(self, machine: Machine):
        self.machine = machine
        vectors = activations_layout(machine.rows, tag_layout(machine))
        super().__init__(
            {
                "job": In(JOB),
                "tiles": In(stream.Signature(tile_layout(machine))),
                "loaded": In(1),
                "taken": Out(1),
                "more": Out(1),
                "grant": In(1),
                "read": Out(read_signature(ADDRESS_BITS, machine.word_bytes)),
                "vectors": Out(stream.Signature(vectors, always_ready=True)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        tile = Signal(tile_layout(self.machine), reset_less=True)
        active = Signal()
        fresh = Signal(reset_less=True)  # the tile's first vector is not yet read
        pixel = Signal(range(self.machine.accumulators), reset_less=True)
        row = Signal(signed(ROW_BITS), reset_less=True)
        # Position of the output row's first byte.
        line = Signal(signed(POSITION_BITS), reset_less=True)
        position = Signal(signed(POSITION_BITS))
        row_address = Signal(ADDRESS_BITS)
        step = Signal()
        row_ends = Signal()
        tile_ends = Signal()
        m.d.comb += [
            step.eq(active & self.grant),
            self.more.eq(step & fresh & ~tile.final),
            self.read.address.eq(row_address + position),
            self.tiles.ready.eq(self.loaded & (~active | (step & tile_ends))),
            self.taken.eq(self.tiles.ready & self.tiles.valid),
        ]
        self._count(m, step, row_ends, tile_ends)
        with m.If(step):
            m.d.sync += [
                fresh.eq(0),
                pixel.eq(pixel + 1),
                position.eq(position + self.job.column_step),
            ]
            with m.If(row_ends):
                m.d.sync += [
                    position.eq(line + self.job.line_step),
                    line.eq(line + self.job.line_step),
                    row.eq(row + self.job.stride_h),
                    row_address.eq(row_address + self.job.row_step),
                ]
            with m.If(tile_ends):
                m.d.sync += active.eq(0)
        with m.If(self.taken):
            m.d.sync += [
                active.eq(1),
                fresh.eq(1),
                tile.eq(self.tiles.p),
                pixel.eq(0),
                row.eq(self.tiles.p.row),
                position.eq(self.tiles.p.position),
                line.eq(self.tiles.p.position),
                row_address.eq(self.tiles.p.row_address),
            ]
        self._follow_read(m, step, tile, fresh, pixel, tile_ends)
        self._fill_padding(m, row, position, tile.bytes)
        return m

    def _count(self, m, step, row_ends, tile_ends):
        """Counts the pixels of a row and the rows; both counters start at each job's first."""
        columns = Signal(self.job.output_w.shape(), reset_less=True)
        rows = Signal(self.job.output_h.shape(), reset_less=True)
        m.d.comb += [
            row_ends.eq(columns == 1),
            tile_ends.eq(row_ends & (rows == 1)),
        ]
        with m.If(step):
            m.d.sync += columns.eq(Mux(row_ends, self.job.output_w, columns - 1))
            with m.If(row_ends):
                m.d.sync += rows.eq(rows - 1)
        with m.If(self.taken):
            m.d.sync += [columns.eq(self.job.output_w), rows.eq(self.job.output_h)]

    def _follow_read(self, m, step, tile, fresh, pixel, tile_ends):
        """Valid, swap and tag, as late as the scratchpad's data."""
        read = Signal(self.vectors.p.shape())
        read_1 = Signal(self.vectors.p.shape(), reset_less=True)
        valid_1 = Signal()
        m.d.comb += [
            read.swap.eq(fresh),
            read.tag.pixel.eq(pixel),
            read.tag.parameters.eq(tile.parameters),
            read.tag.first.eq(tile.first),
            read.tag.last.eq(tile.last),
            read.tag.end.eq(tile_ends),
            read.tag.final.eq(tile.final),
        ]
        late = Signal(self.vectors.p.shape(), reset_less=True)
        m.d.sync += [
            read_1.eq(read),
            late.eq(read_1),
            valid_1.eq(step),
            self.vectors.valid.eq(valid_1),
        ]
        m.d.comb += [self.vectors.p.swap.eq(late.swap), self.vectors.p.tag.eq(late.tag)]

    def _fill_padding(self, m, row, position, used):
        """Bytes before the row's first, after its last, or of no row get the zero point, and so do
        those that are not `used`, which in a convolution of bits no weight could undo."""
        count = range(self.machine.rows + 1)
        # Bytes of the vector that lie before the row's first byte.
        before = Signal(count, reset_less=True)
        inside = Signal(count, reset_less=True)  # bytes that lie before the row's end
        before_1 = Signal(count, reset_less=True)
        inside_1 = Signal(count, reset_less=True)
        used_1 = Signal(count, reset_less=True)
        to_end = self.job.row_bytes - position
        m.d.sync += [
            before.eq(_saturated_negative(position, self.machine.rows)),
            inside.eq(_saturate(to_end, self.machine.rows)),
            before_1.eq(before),
            used_1.eq(used),
            inside_1.eq(Mux(used_1 < inside, used_1, inside)),
        ]
        with m.If((row < 0) | (row >= self.job.input_h)):
            m.d.sync += inside.eq(0)
        is_data = below(inside_1, self.machine.rows) & ~below(before_1, self.machine.rows)
        for number, value in enumerate(self.vectors.p.values):
            byte = self.read.data.word_select(number, 8).as_signed()
            m.d.comb += value.eq(Mux(is_data[number], byte, self.job.input_zero_point))


def _saturate(value, limit: int):
    """The value, not less than 0 and not more than the limit."""
    return Mux(value < 0, 0, Mux(value > limit, limit, value))


def _saturated_negative(value, limit: int):
    """The same of -value, whose sign need not be waited for."""
    return Mux(value >= 0, 0, Mux(value < -limit, limit, (-value)[: limit.bit_length()]))
