"""The array's binary mode: bits that differ are counted, eight products in the place of one."""

from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .array import ACTIVATION
from .machine import CHAIN

FRACTION_BITS = 12  # below a count, so that a bias may be a fraction of one


class XnorColumn(wiring.Component):
    """sum = -popcount(activations xor weights) * 2**FRACTION_BITS, in time with column 0's chains.

    Row r of all chains enters r cycles late and is added 3 cycles after it came, so that the sum is
    there when the chains' own sums are, `LATENCY` cycles after the vector. Weights are loaded and
    swapped row by row, as in `array.ProcessingElement`. While `mode` is 0 it stands still.
    """

    LATENCY = CHAIN + 2

    def __init__(self, chains: int, technology: str = "generic"):
        self.chains, self.technology = chains, technology
        super().__init__(
            {
                "mode": In(1),
                "west": In(ACTIVATION).array(chains).array(CHAIN),
                "load": In(1).array(CHAIN),
                "weights": In(signed(8)).array(chains),
                "sum": Out(signed(FRACTION_BITS + (8 * chains * CHAIN).bit_length() + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width = 8 * self.chains
        count = popcount if self.technology == "generic" else compressed_count
        total = Const(0, 1)
        for row in range(CHAIN):
            values = Cat(entry.value for entry in self.west[row])
            spare, active, came = (
                Signal(width, name=f"{name}_{row}", reset_less=True)
                for name in ("spare", "active", "came")
            )
            with m.If(self.load[row] & self.mode):
                m.d.sync += spare.eq(Cat(*self.weights))
            with m.If(self.west[row][0].swap & self.mode):
                m.d.sync += active.eq(spare)
            with m.If(self.mode):
                m.d.sync += came.eq(values)
            differ = Signal(range(width + 1), name=f"differ_{row}", reset_less=True)
            later = Signal(range(width * (row + 1) + 1), name=f"total_{row}", reset_less=True)
            m.d.sync += [differ.eq(count(m, came ^ active)), later.eq(total + differ)]
            total = later
        m.d.comb += self.sum.eq(-(total << FRACTION_BITS))
        return m


def popcount(m, bits):
    """By sums of neighbouring fields, ever wider: few operations on wide words."""
    width = 1 << (len(bits) - 1).bit_length()
    value = bits
    for step in range(width.bit_length() - 1):
        field = 1 << step
        low = Const(sum(((1 << field) - 1) << at for at in range(0, width, 2 * field)), width)
        value = _named(m, ((value & low) + ((value >> field) & low))[:width])
    return value


def compressed_count(m, bits):
    """By threes, and then by sixes: each bit of a count is a table of six inputs, xors included."""
    columns = _compress(m, [list(bits)], 3)  # bits of each weight
    while any(len(column) > 1 for column in columns):
        columns = _compress(m, columns, 6)
    return Cat(*(column[0] if column else Const(0, 1) for column in columns))


def _compress(m, columns, most):
    """Each column's bits by groups of `most`, as counts."""
    made = [[] for _ in range(len(columns) + 2)]
    for weight, column in enumerate(columns):
        for first in range(0, len(column), most):
            for place, bit in enumerate(_counted(m, column[first : first + most])):
                made[weight + place].append(bit)
    while not made[-1]:
        made.pop()
    return made


def _counted(m, bits):
    """The count of up to six bits, low bit first."""
    if len(bits) == 1:
        return bits
    low, carry = _full_adder(m, [*bits[:3], Const(0, 1)][:3])
    if len(bits) <= 3:
        return [low, carry]
    high, other = _full_adder(m, [*bits[3:], Const(0, 1), Const(0, 1)][:3])
    low, third = _full_adder(m, [low, high, Const(0, 1)])
    return [low, *_full_adder(m, [carry, other, third])]


def _full_adder(m, bits):
    a, b, c = bits
    return _named(m, a ^ b ^ c), _named(m, (a & b) | (c & (a | b)))


def _named(m, value):
    """A signal for it, so that it is written once, however often it is used."""
    signal = Signal(len(value), name="count")
    m.d.comb += signal.eq(value)
    return signal
