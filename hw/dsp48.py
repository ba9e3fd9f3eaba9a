"""Two int8 multipliers in one DSP48E1 of the 7-series, four of them cascaded to a chain."""

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
        unused = {
            f"i_{name}": Const(0, width)
            for name, width in (
                ("ACIN", 30), ("BCIN", 18), ("C", 48), ("CARRYCASCIN", 1), ("CARRYIN", 1),
                ("CARRYINSEL", 3), ("CEAD", 1), ("CEALUMODE", 1), ("CEB1", 1), ("CEC", 1),
                ("CECARRYIN", 1), ("CECTRL", 1), ("CED", 1), ("CEINMODE", 1), ("D", 25),
                ("INMODE", 5), ("MULTSIGNIN", 1), ("ALUMODE", 4), ("RSTA", 1),
                ("RSTALLCARRYIN", 1), ("RSTALUMODE", 1), ("RSTB", 1), ("RSTC", 1),
                ("RSTCTRL", 1), ("RSTD", 1), ("RSTINMODE", 1), ("RSTM", 1), ("RSTP", 1),
            )
        }  # fmt: skip
        registers = {"A": 2, "ACASC": 1, "B": 1, "BCASC": 1, "C": 1, "M": 1, "P": 1}
        none = ("AD", "D", "ALUMODE", "OPMODE", "INMODE", "CARRYIN", "CARRYINSEL")
        return Instance(
            "DSP48E1",
            **{f"p_{name}REG": count for name, count in registers.items()},
            **{f"p_{name}REG": 0 for name in none},
            p_A_INPUT="DIRECT", p_B_INPUT="DIRECT", p_USE_DPORT="FALSE", p_USE_MULT="MULTIPLY",
            i_CLK=ClockSignal(),
            i_A=Cat(packed, packed[24].replicate(5)),
            i_B=Cat(value, value[7].replicate(10)),
            i_PCIN=Const(0, 48) if cascade is None else cascade,
            i_OPMODE=Const(0b0000101 if cascade is None else 0b0010101, 7),
            i_CEA1=self.load[row],
            i_CEA2=west.swap,
            i_CEB2=Const(1, 1), i_CEM=Const(1, 1), i_CEP=Const(1, 1),
            **unused,
            o_P=total, o_PCOUT=out,
        )  # fmt: skip
