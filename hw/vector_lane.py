"""What a lane of the vector engine makes of its pixels: the arithmetic of each opcode."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .commands import Opcode
from .layouts import VECTOR_JOB
from .machine import TAPS
from .multiply import Multiplier, half_of_last

POOL_SHIFT = 12  # bits below the sum, so that its rounding to a mean is exact
SUM_SHAPE = signed(32)
_ADD_FRACTION = 11  # bits of the product below the doubled high half: 31 - 20

# What goes with a pixel: `columns` of its window lie inside the image, it `starts` a group of
# channels, it is the `second` of ADD's operands.
LANE_TAG = data.StructLayout({"columns": 3, "starts": 1, "second": 1})


class VectorLane(wiring.Component):
    """One channel's sums: `LATENCY[opcode]` cycles after a pixel, ADD's after the second one.

    `column` is what the pixel adds to the window, its three rows' values, and comes with it. For
    MAX `rows_used` says which of these are compared, and `columns_used` which columns.
    """

    LATENCY = {Opcode.SUM: 4, Opcode.MAX: 4, Opcode.POOL: 2, Opcode.ADD: 6}

    def __init__(self, technology: str = "generic"):
        self.technology = technology
        super().__init__(
            {
                "job": In(VECTOR_JOB),
                "valid": In(1),
                "tag": In(LANE_TAG),
                "pixel": In(signed(8)),
                "column": In(signed(8)).array(3),
                "weights": In(signed(8)).array(TAPS),
                "rows_used": In(3),
                "columns_used": In(3),
                "sum": Out(SUM_SHAPE),
            }
        )

    def elaborate(self, platform):
        m = Module()
        tags = [(self.tag, self.valid)]
        for stage in range(1, 6):
            tag = Signal(LANE_TAG, name=f"tag_{stage}", reset_less=True)
            valid = Signal(name=f"valid_{stage}")
            m.d.sync += [tag.eq(tags[-1][0]), valid.eq(tags[-1][1])]
            tags.append((tag, valid))
        window = self._window(m)
        products = self._products(m, window, tags[1][0])
        greatest = self._greatest(m, [row[-1] for row in window], tags)
        pooled = self._pool(m)
        rescaled = self._rescale(m, tags)
        others = ((Opcode.POOL, pooled), (Opcode.ADD, rescaled), (Opcode.MAX, greatest))
        chosen = opcodes_are(m, self.job, [opcode for opcode, _ in others])
        with m.Switch(chosen):
            for number, (_, value) in enumerate(others):
                with m.Case(1 << number):
                    m.d.comb += self.sum.eq(value)
            with m.Default():
                m.d.comb += self.sum.eq(products)
        return m

    def _window(self, m):
        """[row][column] of the 3x3 window, 1 cycle after its last pixel."""
        rows = enumerate(self.column)
        return [_last_three(m, value, self.valid, f"window_{row}") for row, value in rows]

    def _products(self, m, window, tag):
        """All nine taps times their weights, added up, 4 cycles after the pixel.

        In an ECP5 the products are made of adders, as the array's are (`ProcessingElement`), with
        the register in their middle.
        """
        rows = []
        of_adders = self.technology == "ecp5"
        technology = "fabric" if of_adders else self.technology
        for row in range(3):
            products = []
            for column in range(3):
                tap = Mux(tag.columns[column], window[row][column], self.job.input_zero_point)
                multiplier = Multiplier(signed(8), signed(8), technology, registered=of_adders)
                m.submodules[f"multiplier_{row}_{column}"] = multiplier
                m.d.comb += [multiplier.a.eq(tap), multiplier.b.eq(self.weights[3 * row + column])]
                product = Signal(signed(16), name=f"product_{row}_{column}", reset_less=True)
                later = m.d.comb if of_adders else m.d.sync
                later += product.eq(multiplier.product)
                products.append(product)
            part = Signal(signed(18), name=f"row_sum_{row}", reset_less=True)
            m.d.sync += part.eq(sum(products[1:], products[0]))
            rows.append(part)
        total = Signal(signed(20), reset_less=True)
        m.d.sync += total.eq(sum(rows[1:], rows[0]))
        return total

    def _greatest(self, m, column, tags):
        """The greatest value used, as late as the sum: of a window's column first, then of three.

        A cycle holds one comparison; the last has the rest of the way to the lane.
        """
        used = [Mux(self.rows_used[row], value, -128) for row, value in enumerate(column)]
        of_column = _greatest_of(m, used, "column")
        columns = _last_three(m, of_column, tags[2][1], "greatest")
        # The next group's weights come while the last pixels of this one are under way.
        columns_used = self.columns_used
        for stage in (2, 3):
            late = Signal(3, name=f"columns_used_{stage}", reset_less=True)
            m.d.sync += late.eq(columns_used)
            columns_used = late
        there = tags[3][0].columns & columns_used
        used = [Mux(there[number], value, -128) for number, value in enumerate(columns)]
        return _greatest_of(m, used, "window")

    def _pool(self, m):
        """The sum of a group's pixels, 2 cycles after the last."""
        total = Signal(signed(SUM_SHAPE.width - POOL_SHIFT), reset_less=True)
        late = Signal(total.shape(), reset_less=True)
        with m.If(self.valid):
            m.d.sync += total.eq(Mux(self.tag.starts, 0, total) + self.pixel)
        m.d.sync += late.eq(total)
        return late << POOL_SHIFT

    def _rescale(self, m, tags):
        """Both operands rescaled and added, 6 cycles after the second pixel."""
        job = self.job
        centred = Signal(signed(9), reset_less=True)
        multiplier = Multiplier(
            signed(32), signed(9), self.technology, 1 << _ADD_FRACTION - 1, registered=True
        )
        m.submodules.rescale = multiplier
        factor = Mux(tags[1][0].second, job.b_multiplier, job.a_multiplier)
        scaled = Signal(signed(41 - _ADD_FRACTION), reset_less=True)
        m.d.comb += [multiplier.a.eq(factor), multiplier.b.eq(centred)]
        m.d.sync += [
            centred.eq(self.pixel + Mux(self.tag.second, job.b_offset, job.a_offset)),
            scaled.eq(multiplier.product[_ADD_FRACTION:]),
        ]
        right = Mux(tags[3][0].second, job.b_right, job.a_right)
        nudged = Signal(signed(32), reset_less=True)
        right_4 = Signal(5, reset_less=True)
        shifted = Signal(signed(31), reset_less=True)
        m.d.sync += [
            nudged.eq(scaled + half_of_last(scaled[-1], right)),
            right_4.eq(right),
            shifted.eq(nudged >> right_4),
        ]
        first = Signal(signed(31), reset_less=True)
        both = Signal(SUM_SHAPE, reset_less=True)
        with m.If(tags[5][1] & ~tags[5][0].second):
            m.d.sync += first.eq(shifted)
        m.d.sync += both.eq(first + shifted)
        return both


def opcodes_are(m, job, opcodes):
    """A bit for each opcode: it is the job's. Known a cycle late, and then not to be waited for."""
    known = Signal(len(opcodes), name="opcode_is", reset_less=True)
    m.d.sync += known.eq(Cat(job.opcode == opcode for opcode in opcodes))
    return known


def _last_three(m, value, valid, name):
    values = [Signal(signed(8), name=f"{name}_{age}", reset_less=True) for age in range(3)]
    with m.If(valid):
        m.d.sync += [
            late.eq(early) for late, early in zip(values, [*values[1:], value], strict=True)
        ]
    return values


def _greatest_of(m, values, name):
    """Of three; the first two are compared a cycle before the third."""
    two = Signal(signed(8), name=f"two_of_{name}", reset_less=True)
    third = Signal(signed(8), name=f"third_of_{name}", reset_less=True)
    three = Signal(signed(8), name=f"three_of_{name}")
    m.d.sync += [two.eq(Mux(values[0] > values[1], values[0], values[1])), third.eq(values[2])]
    m.d.comb += three.eq(Mux(two > third, two, third))
    return three
