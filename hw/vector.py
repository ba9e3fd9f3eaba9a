"""The vector engine: depthwise windows, pools and residual additions, `columns` channels at once.

It streams an image out of the scratchpad, a pixel (of one group of channels) a cycle, and hands
sums to the same lanes as the array does, which requantize them. What it makes of the stream depends
on the job's opcode (`commands.Opcode`):

- SUM: a line buffer of two rows makes each new pixel a new column of a 3x3 window; nine taps times
  their weights. Larger kernels are several passes that the lanes' accumulators add up.
- MAX: the greatest tap of the window; taps with weight 0 are left out.
- POOL: the sum of all pixels, times 2**`POOL_SHIFT`, after the last one.
- ADD: two operands in turn, so a result each two cycles. Each is rescaled as TFLite's ADD does:
  (x - zero point) * multiplier * 2**20, rounded to its high half, then shifted right with rounding.
"""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .array import weights_layout
from .commands import ADDRESS_BITS, Opcode
from .layouts import JOB, VECTOR_JOB, tag_layout
from .machine import TAPS, Machine
from .multiply import Multiplier

POOL_SHIFT = 12  # bits below the sum, so that its rounding to a mean is exact
SUM_SHAPE = signed(32)
_ADD_FRACTION = 11  # bits of the product below the doubled high half: 31 - 20


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

    A pixel is read in each cycle with `grant`; its tag leaves with its data, 2 cycles later.
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
        running, step = Signal(), Signal()
        row_ends, group_ends = Signal(), Signal()
        tag = Signal(vector_tag_layout(self.machine))
        self._sequence(m, job, running, step & group_ends, tag)
        self._walk(m, job, running, step, row_ends, tag)
        self._emit(m, job, step, group_ends, tag)

        valid = running & self.grant
        for stage in range(2):  # as late as the scratchpad's data
            later = Signal(tag.shape(), name=f"tag_{stage}")
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
                m.d.comb += self.more.eq(self._needs_weights)
                m.next = "run"
                with m.If(self._needs_weights):
                    m.next = "weights"

    def _walk(self, m, job, running, step, row_ends, tag):
        """Rows of pixels; ADD reads the second operand's before it goes on."""
        address, line = Signal(ADDRESS_BITS), Signal(ADDRESS_BITS)
        second, second_address = Signal(), Signal(ADDRESS_BITS)
        place = Signal(job.row_pixels.shape())
        row = Signal(signed(18))
        has_above = Signal(2)
        fresh = Signal()
        is_add = job.opcode == Opcode.ADD
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
        skip, skip_rows = Signal(8), Signal(8)
        columns, rows = Signal(16), Signal(16)  # outputs still to come
        position = Signal(signed(18))  # of the window's first tap in its row
        pixel = Signal(tag.tag.pixel.shape())
        emit, row_done = Signal(), Signal()
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


class VectorUnit(wiring.Component):
    """Makes sums of the pixels: `sums`, one for each column, all at once, with their tag.

    A sum comes 4 cycles after its pixel (SUM, MAX), 2 (POOL) or 5 (ADD).
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
        weights = self._keep_weights(m)
        columns = self._window_columns(m, job)
        lanes = range(self.machine.columns)
        windows = [self._window(m, [row[lane] for row in columns], lane) for lane in lanes]
        tags = self._delay_tags(m)
        totals = [
            self._lane(m, job, tags, windows[lane], [w[lane] for w in weights], lane)
            for lane in lanes
        ]
        chosen = Signal(self.pixels.p.shape())
        valid = Signal()
        for opcodes, stage in (
            ((Opcode.SUM, Opcode.MAX), 4), ((Opcode.POOL,), 2), ((Opcode.ADD,), 5)
        ):  # fmt: skip
            with m.If(sum((job.opcode == code) for code in opcodes) != 0):
                m.d.comb += [chosen.eq(tags[stage][0]), valid.eq(tags[stage][1])]
        m.d.comb += [
            self.sums.valid.eq(valid & chosen.emit & ((job.opcode != Opcode.ADD) | chosen.second)),
            self.sums.p.tag.eq(chosen.tag),
        ]
        m.d.comb += [self.sums.p.sums[lane].eq(total) for lane, total in enumerate(totals)]
        return m

    def _keep_weights(self, m):
        """[tap][lane]; taps come in words of one tap a chain."""
        kept = []
        for tap in range(TAPS):
            word, chain = divmod(tap, self.machine.chains)
            kept.append([])
            for lane in range(self.machine.columns):
                weight = Signal(signed(8), name=f"weight_{tap}_{lane}", reset_less=True)
                value = self.words.p.values[chain * self.machine.columns + lane]
                with m.If(self.words.valid & (self.words.p.row == word)):
                    m.d.sync += weight.eq(value)
                kept[tap].append(weight)
        return kept

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

    def _window(self, m, column, lane):
        """[row][column] of the 3x3 window, 1 cycle after its last pixel."""
        window = []
        for row, entering in enumerate(column):
            values = [
                Signal(signed(8), name=f"window_{row}_{number}_{lane}", reset_less=True)
                for number in range(3)
            ]
            with m.If(self.pixels.valid):
                m.d.sync += [
                    late.eq(early)
                    for late, early in zip(values, [*values[1:], entering], strict=True)
                ]
            window.append(values)
        return window

    def _delay_tags(self, m):
        """(tag, valid) so many cycles after the pixel."""
        tags = [(self.pixels.p, self.pixels.valid)]
        for stage in range(1, 6):
            tag = Signal(self.pixels.p.shape(), name=f"tag_{stage}", reset_less=True)
            valid = Signal(name=f"valid_{stage}")
            m.d.sync += [tag.eq(tags[-1][0]), valid.eq(tags[-1][1])]
            tags.append((tag, valid))
        return tags

    def _lane(self, m, job, tags, window, weights, lane):
        """The sum that this opcode makes."""
        tag = tags[1][0]
        is_add, is_max = job.opcode == Opcode.ADD, job.opcode == Opcode.MAX
        pixel = window[2][2]
        taps = [
            Mux(tag.columns[tap % 3], window[tap // 3][tap % 3], job.input_zero_point)
            for tap in range(TAPS)
        ]
        digits = Mux(tag.second, job.b_digits, job.a_digits)
        products = []
        for tap in range(TAPS):
            multiplier = Multiplier(signed(8), signed(8), self.technology)
            m.submodules[f"multiplier_{tap}_{lane}"] = multiplier
            factor, weight = taps[tap], weights[tap]
            if tap < 4:
                factor = Mux(is_add, pixel, factor)
                weight = Mux(is_add, digits.word_select(tap, 8).as_signed(), weight)
            product = Signal(signed(16), name=f"product_{tap}_{lane}", reset_less=True)
            m.d.comb += [multiplier.a.eq(factor), multiplier.b.eq(weight)]
            m.d.sync += product.eq(multiplier.product)
            products.append(product)
        total = Signal(SUM_SHAPE, name=f"total_{lane}")
        added = self._add_up(m, products, lane)
        greatest = self._greatest(m, taps, weights, lane)
        pooled = self._pool(m, lane)
        rescaled = self._rescale(m, job, tags, products, pixel, lane)
        m.d.comb += total.eq(Mux(is_max, greatest, added))
        with m.If(job.opcode == Opcode.POOL):
            m.d.comb += total.eq(pooled)
        with m.If(is_add):
            m.d.comb += total.eq(rescaled)
        return total

    def _add_up(self, m, products, lane):
        """All nine products, 2 cycles later."""
        parts = []
        for row in range(3):
            part = Signal(signed(18), name=f"row_sum_{row}_{lane}", reset_less=True)
            m.d.sync += part.eq(sum(products[3 * row + 1 : 3 * row + 3], products[3 * row]))
            parts.append(part)
        total = Signal(signed(20), name=f"sum_{lane}", reset_less=True)
        m.d.sync += total.eq(parts[0] + parts[1] + parts[2])
        return total

    def _greatest(self, m, taps, weights, lane):
        """The greatest tap with a weight, 3 cycles after the window."""
        values = [Mux(weight != 0, tap, -128) for tap, weight in zip(taps, weights, strict=True)]
        for stage, count in enumerate((3, 1)):
            greater = []
            for number in range(count):
                group = values[3 * number : 3 * number + 3]
                value = Signal(signed(8), name=f"max_{stage}_{number}_{lane}", reset_less=True)
                two = Signal(signed(8), name=f"two_{stage}_{number}_{lane}")
                m.d.comb += two.eq(Mux(group[0] > group[1], group[0], group[1]))
                m.d.sync += value.eq(Mux(two > group[2], two, group[2]))
                greater.append(value)
            values = greater
        late = Signal(signed(8), name=f"max_{lane}", reset_less=True)
        m.d.sync += late.eq(values[0])
        return late

    def _pool(self, m, lane):
        """The sum of a group's pixels, 2 cycles after the last."""
        pixel = self.data.word_select(lane, 8).as_signed()
        total = Signal(SUM_SHAPE.width - POOL_SHIFT, name=f"pool_{lane}", reset_less=True)
        shifted = Signal(SUM_SHAPE, name=f"pooled_{lane}", reset_less=True)
        with m.If(self.pixels.valid):
            m.d.sync += total.eq(Mux(self.pixels.p.starts, pixel, total.as_signed() + pixel))
        m.d.sync += shifted.eq(total.as_signed() << POOL_SHIFT)
        return shifted

    def _rescale(self, m, job, tags, products, pixel, lane):
        """Both operands rescaled and added, 5 cycles after the second pixel."""
        second = tags[2][0].second
        late = Signal(signed(8), name=f"operand_{lane}", reset_less=True)
        scaled = Signal(signed(41), name=f"scaled_{lane}", reset_less=True)
        constant = Mux(
            second,
            (job.b_constant | job.b_constant_high << 32).as_unsigned()[:40].as_signed(),
            (job.a_constant | job.a_constant_high << 32).as_unsigned()[:40].as_signed(),
        )
        carry = Mux(Mux(second, job.b_carry, job.a_carry), late, 0)
        digits = sum((products[k] << 8 * k for k in range(1, 4)), products[0])
        m.d.sync += [late.eq(pixel), scaled.eq(digits + (carry << 32) + constant)]

        high = scaled >> _ADD_FRACTION
        right = Mux(tags[3][0].second, job.b_right, job.a_right)
        half = ((1 << right) >> 1)[:31]
        nudged = Signal(signed(32), name=f"nudged_{lane}", reset_less=True)
        right_4 = Signal(5, name=f"right_{lane}", reset_less=True)
        m.d.sync += [nudged.eq(high + half - ((high < 0) & (right != 0))), right_4.eq(right)]

        first = Signal(signed(32), name=f"first_{lane}", reset_less=True)
        both = Signal(SUM_SHAPE, name=f"both_{lane}", reset_less=True)
        shifted = nudged >> right_4
        with m.If(tags[4][1] & ~tags[4][0].second):
            m.d.sync += first.eq(shifted)
        m.d.sync += both.eq(first + shifted)
        return both
