"""What is made of DSP48E1s of the 7-series: chains of the array, and the requantizer's product."""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .array import ACTIVATION
from .machine import CHAIN

PLACE = 17  # of the second product above the first


class PackedChain(wiring.Component):
    """A chain's rows for two columns: `array.ProcessingElement`s, cycle for cycle.

    A DSP multiplies an activation by weight 0 + 2**17 * weight 1. The sum of up to four products
    of an int8 and a weight of -127 to 127 is less than 2**16 in amount, so that four rows add up
    in the cascade, and the low field's sign says what it borrowed from the high one. A1 holds the
    spare weights and A2 the active ones, so that weights take no register of the fabric.
    """

    weights: In(signed(8)).array(2)
    west: In(ACTIVATION).array(CHAIN)
    east: Out(ACTIVATION).array(CHAIN)
    load: In(1).array(CHAIN)
    load_east: Out(1).array(CHAIN)
    sums: Out(signed(18)).array(2)

    def elaborate(self, platform):
        m = Module()
        packed = Signal(signed(25))
        m.d.comb += packed.eq((self.weights[1] << PLACE) + self.weights[0])
        cascade, total = None, Signal(48)
        for row in range(CHAIN):
            m.d.sync += [
                self.east[row].eq(self.west[row]),
                self.load_east[row].eq(self.load[row]),
            ]
            total, out = Signal(48, name=f"total_{row}"), Signal(48, name=f"cascade_{row}")
            m.submodules[f"row_{row}"] = self._dsp(row, packed, cascade, total, out)
            cascade = out
        m.d.comb += [
            self.sums[0].eq(total[:PLACE].as_signed()),
            self.sums[1].eq(total[PLACE : 2 * PLACE + 1].as_signed() + total[PLACE - 1]),
        ]
        return m

    def _dsp(self, row, packed, cascade, total, out):
        """P = A2 * B1 + the cascade; M and P are registered."""
        west = self.west[row]
        value = west.value
        return _dsp48e1(
            {"A": 2, "ACASC": 1},
            A=Cat(packed, packed[24].replicate(5)),
            B=Cat(value, value[7].replicate(10)),
            PCIN=Const(0, 48) if cascade is None else cascade,
            OPMODE=Const(0b0000101 if cascade is None else 0b0010101, 7),
            CEA1=self.load[row],
            CEA2=west.swap,
            outputs={"P": total, "PCOUT": out},
        )


class MultiplyAdd(wiring.Component):
    """total = a * b + c in one DSP48E1: a and b go in 3 cycles before the total, c 2."""

    a: In(signed(25))
    b: In(signed(18))
    c: In(signed(48))
    enable: In(1)
    total: Out(signed(48))

    def elaborate(self, platform):
        m = Module()
        enables = {f"CE{name}": self.enable for name in ("A2", "B2", "C", "M", "P")}
        m.submodules.dsp = _dsp48e1(
            {"A": 1, "ACASC": 1},
            A=Cat(self.a, self.a[24].replicate(5)),
            B=self.b,
            C=self.c,
            OPMODE=Const(0b0110101, 7),
            **enables,
            outputs={"P": self.total},
        )
        return m


def _dsp48e1(registers, outputs, **inputs):
    """A DSP48E1 that multiplies; what is not given is 0, and clocks are enabled."""
    widths = {
        "A": 30, "B": 18, "C": 48, "PCIN": 48, "ACIN": 30, "BCIN": 18, "D": 25, "OPMODE": 7,
        "ALUMODE": 4, "INMODE": 5, "CARRYINSEL": 3, "CARRYIN": 1, "CARRYCASCIN": 1,
        "MULTSIGNIN": 1,
    }  # fmt: skip
    zero = ("CEA1", "CEAD", "CEALUMODE", "CEB1", "CEC", "CECARRYIN", "CECTRL", "CED", "CEINMODE")
    resets = ("A", "ALLCARRYIN", "ALUMODE", "B", "C", "CTRL", "D", "INMODE", "M", "P")
    given = {name: Const(0, width) for name, width in widths.items()}
    given |= {name: Const(0, 1) for name in (*zero, *(f"RST{name}" for name in resets))}
    given |= {f"CE{name}": Const(1, 1) for name in ("A2", "B2", "M", "P")} | inputs
    counts = {"A": 1, "ACASC": 1, "B": 1, "BCASC": 1, "C": 1, "M": 1, "P": 1} | registers
    none = ("AD", "D", "ALUMODE", "OPMODE", "INMODE", "CARRYIN", "CARRYINSEL")
    return Instance(
        "DSP48E1",
        **{f"p_{name}REG": count for name, count in counts.items()},
        **{f"p_{name}REG": 0 for name in none},
        p_A_INPUT="DIRECT", p_B_INPUT="DIRECT", p_USE_DPORT="FALSE", p_USE_MULT="MULTIPLY",
        i_CLK=ClockSignal(),
        **{f"i_{name}": value for name, value in given.items()},
        **{f"o_{name}": value for name, value in outputs.items()},
    )  # fmt: skip
