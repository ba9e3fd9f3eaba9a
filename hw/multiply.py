"""Arithmetic that tools would make larger than it is."""

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

TECHNOLOGIES = ("generic", "fabric", "xc7", "ecp5")


class Multiplier(wiring.Component):
    """product = a * b + constant of two signed values, in the same cycle; `registered`: the next.

    `generic` leaves the choice to the synthesis tool (and simulates fastest). Otherwise it is
    made of adders: where every DSP block is wanted for the array, tools must not take more. The
    constant must be a multiple of a power of two above all bits of b, and positive.
    """

    def __init__(
        self, a: Shape, b: Shape, technology: str = "generic", constant: int = 0,
        registered: bool = False,
    ):  # fmt: skip
        self.technology, self.constant, self.registered = technology, constant, registered
        a, b = Shape.cast(a), Shape.cast(b)
        super().__init__({"a": In(a), "b": In(b), "product": Out(signed(a.width + b.width))})

    def elaborate(self, platform):
        m = Module()
        if self.technology != "generic":
            product = _booth(m, self.a, self.b, self.constant, self.registered)
        else:
            product = self.a * self.b + self.constant
            if self.registered:
                product = _later(m, product)
        m.d.comb += self.product.eq(product)
        return m


def _booth(m, a, b, constant, registered):
    """a * b by radix-4 recoding of b (Booth, 1951; MacSorley, 1961).

    Two bits of b choose 0, a or 2 * a, added or subtracted. A row of the 7-series' adders has room
    for the choice in front of it (five inputs beside the sum), so that a row costs what an adder
    does. What a subtraction adds at its lowest bit is gathered in the number where the sum begins.
    Registers, if any, are behind the first half of the rows.
    """
    digits = -(-len(b) // 2)
    bits = Cat(Const(0, 1), b, b[-1].replicate(2))
    signs = Cat(*(Cat(bits[2 * place + 2], Const(0, 1)) for place in range(digits)))
    total = Cat(signs, Const(constant >> 2 * digits, max(constant.bit_length() - 2 * digits, 0)))
    low = []
    for place in range(digits):
        if registered and place == digits // 2:
            a, bits, total = (_later(m, value) for value in (a, bits, total))
            low = [_later(m, Cat(*low))]
        before, first, sign = bits[2 * place], bits[2 * place + 1], bits[2 * place + 2]
        multiple = Mux(before ^ first, a, Mux(first ^ sign, a << 1, 0))
        chosen = Signal(signed(len(a) + 1), name=f"chosen_{place}")
        m.d.comb += chosen.eq(multiple ^ sign.replicate(len(chosen)).as_signed())
        value = total + chosen
        row = Signal(value.shape(), name=f"row_{place}")
        m.d.comb += row.eq(value)
        low.append(row[:2])
        total = row[2:].as_signed()
    return Cat(*low, total).as_signed()


def _later(m, value):
    """The value a cycle later."""
    later = Signal(value.shape(), name="later", reset_less=True)
    m.d.sync += later.eq(value)
    return later


def below(value, count: int):
    """`count` bits, of which those with a number less than the value are 1.

    A constant that is shifted costs a table a bit, as many comparisons would cost an adder each.
    """
    return ~(Const((1 << count) - 1, count) << value)[:count]


def half_of_last(negative, right):
    """What is added before a shift to the right: half a unit of the last place, less 1 if the
    value is negative, so that halves are rounded away from zero; 0 if nothing is shifted out.
    """
    return Mux(negative, below(right, 31) >> 1, (Const(1, 32) << right)[:32] >> 1)
