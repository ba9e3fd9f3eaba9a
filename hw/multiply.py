"""A multiplier whose fabric the builder chooses."""

from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

TECHNOLOGIES = ("generic", "fabric", "xc7")


class Multiplier(wiring.Component):
    """product = a * b, in the same cycle.

    `generic` leaves the choice to the synthesis tool (and simulates fastest). Otherwise it is a
    tree of adders: where every DSP block is wanted for the array, tools must not take more.
    """

    def __init__(self, a: Shape, b: Shape, technology: str = "generic"):
        self.technology = technology
        a, b = Shape.cast(a), Shape.cast(b)
        shape = Shape(a.width + b.width, a.signed or b.signed)
        super().__init__({"a": In(a), "b": In(b), "product": Out(shape)})

    def elaborate(self, platform):
        m = Module()
        if self.technology == "generic":
            m.d.comb += self.product.eq(self.a * self.b)
        else:
            m.d.comb += self.product.eq(_add_rows(m, self.a, self.b, self.b.shape().signed))
        return m


def _add_rows(m, a, b, is_signed):
    """The rows of a long multiplication; the sign bit's counts negative."""
    rows = [Mux(b[place], a, 0) << place for place in range(len(b))]
    if is_signed:
        rows[-1] = -rows[-1]
    while len(rows) > 1:
        pairs = [rows[place : place + 2] for place in range(0, len(rows), 2)]
        rows = []
        for pair in pairs:
            value = sum(pair[1:], pair[0])
            total = Signal(value.shape(), name=f"row_{len(pairs)}_{len(rows)}")
            m.d.comb += total.eq(value)
            rows.append(total)
    return rows[0]
