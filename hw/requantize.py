"""From int32 accumulators to int8, with the bits of TFLite's reference kernels."""

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .dsp48 import MultiplyAdd
from .multiply import Multiplier, below, half_of_last

LEFT_BITS = 2  # of a shift to the left
OPERANDS = data.StructLayout({"value": signed(32), "multiplier": unsigned(31), "shift": signed(6)})


class Requantize(wiring.Component):
    """int8 = clamp(MultiplyByQuantizedMultiplier(value, multiplier, shift) + zero_point).

    Exact to TFLite's double rounding, `kernels.fixedpoint.multiply_by_quantized_multiplier`, for
    multiplier 0 or 2**30 to 2**31 - 1, shift -31 to 3 (positive: left), value << shift modulo
    2**32. One result a cycle, latency 8 cycles. `zero_point` and the clamp hold still while values
    are inside. While `out` is not ready, the whole pipeline stands.

    With such multipliers SaturatingRoundingDoublingHighMul never saturates and is
    floor((a * b + 2**30) / 2**31) for both signs; RoundingDivideByPOT by 2**e, e > 0, is
    floor((a + 2**(e - 1) - (a < 0)) / 2**e).
    """

    LATENCY = 8

    operands: In(stream.Signature(OPERANDS))
    out: Out(stream.Signature(signed(8)))
    zero_point: In(signed(8))
    minimum: In(signed(8))
    maximum: In(signed(8))

    def __init__(self, technology: str = "generic"):
        self.technology = technology
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        advance = Signal()
        valid = Signal(self.LATENCY)
        m.d.comb += [
            advance.eq(~self.out.valid | self.out.ready),
            self.operands.ready.eq(advance),
            self.out.valid.eq(valid[-1]),
        ]
        m.submodules.pipeline = EnableInserter(advance)(pipeline := Module())
        pipeline.d.sync += valid.eq((valid << 1) | self.operands.valid)
        high, right = self._multiply(pipeline, advance)
        self._round_and_clamp(pipeline, high, right)
        return m

    def _multiply(self, m, advance):
        """Stages 1 to 4: shift left, multiply, keep the rounded high half."""
        value, multiplier, shift = (self.operands.p[name] for name in OPERANDS.members)
        left = Mux(shift < 0, 0, shift[:LEFT_BITS])
        right = Mux(shift < 0, -shift, 0)[:5]
        rights = [Signal(5, name=f"right_{stage}", reset_less=True) for stage in (1, 2, 3, 4)]
        shifted = Signal(signed(32), reset_less=True)
        factor = Signal(unsigned(31), reset_less=True)
        m.d.sync += [shifted.eq(value << left), factor.eq(multiplier)]
        m.d.sync += [late.eq(early) for late, early in zip(rights, [right, *rights], strict=False)]
        halves = {"generic": self._product, "ecp5": self._three_products}.get(
            self.technology, self._split_product
        )
        return halves(m, shifted, factor, advance), rights[-1]

    def _product(self, m, shifted, factor, advance):
        products = [
            Signal(signed(63), name=f"product_{stage}", reset_less=True) for stage in (2, 3)
        ]
        high = Signal(signed(32), reset_less=True)
        m.d.sync += [
            products[0].eq(shifted * factor),
            products[1].eq(products[0]),
            high.eq((products[1] + (1 << 30)) >> 31),
        ]
        return high

    def _three_products(self, m, shifted, factor, advance):
        """The same by three 18x18 multipliers of an ECP5 (Karatsuba and Ofman, 1962)."""
        top, bottom, upper, lower = (
            shifted[16:].as_signed(), shifted[:16], factor[16:], factor[:16]
        )  # fmt: skip
        sums = [
            Signal(signed(18), name=f"sum_of_{name}", reset_less=True)
            for name in ("value", "factor")
        ]
        tops = Signal(signed(31), reset_less=True)
        bottoms = Signal(unsigned(32), reset_less=True)
        crossed = Signal(signed(35), reset_less=True)
        outer = Signal(signed(34), reset_less=True)
        both = Signal(signed(63), reset_less=True)
        high = Signal(signed(32), reset_less=True)
        m.d.sync += [
            sums[0].eq(top + bottom),
            sums[1].eq(upper + lower),
            tops.eq(top * upper),
            bottoms.eq(bottom * lower),
            crossed.eq(sums[0] * sums[1]),
            outer.eq(tops + bottoms),
            both.eq((tops << 32) + bottoms + (1 << 30)),
            high.eq((both + ((crossed - outer) << 16)) >> 31),
        ]
        return high

    def _split_product(self, m, shifted, factor, advance):
        """The same by one 25x18 multiplier with an adder behind it, as a DSP48E1 is, and fabric.

        shifted = top * 2**7 + bottom, factor = upper * 2**14 + middle * 2**7 + lower; top * upper
        is the DSP's, whose adder takes the rest of the product from 2**21 on.
        """
        top, upper = shifted[7:].as_signed(), factor[14:]
        parts = []
        for name, a, b, constant in (
            ("lower", top, factor[:7], 0),
            ("middle", top, factor[7:14], 0),
            ("bottom", factor, shifted[:7], 1 << 30),
        ):
            a, b = (x if x.shape().signed else Cat(x, Const(0, 1)).as_signed() for x in (a, b))
            multiplier = Multiplier(a.shape(), b.shape(), self.technology, constant)
            m.submodules[f"times_{name}"] = multiplier
            part = Signal(multiplier.product.shape(), name=f"part_{name}", reset_less=True)
            m.d.comb += [multiplier.a.eq(a), multiplier.b.eq(b)]
            m.d.sync += part.eq(multiplier.product)
            parts.append(part)
        lower, middle, bottom = parts
        rest = (((lower + (bottom >> 7)) >> 7) + middle) >> 7
        if self.technology == "xc7":
            m.submodules.upper = dsp = MultiplyAdd()
            m.d.comb += [dsp.a.eq(top), dsp.b.eq(upper), dsp.c.eq(rest), dsp.enable.eq(advance)]
            return dsp.total[10:42].as_signed()
        top_2 = Signal(signed(25), reset_less=True)
        upper_2 = Signal(signed(18), reset_less=True)
        product = Signal(signed(43), reset_less=True)
        total = Signal(signed(43), reset_less=True)
        rest_3 = Signal(signed(28), reset_less=True)
        m.d.sync += [
            top_2.eq(top),
            upper_2.eq(upper),
            product.eq(top_2 * upper_2),
            rest_3.eq(rest),
            total.eq(product + rest_3),
        ]
        return total[10:42].as_signed()

    def _round_and_clamp(self, m, high, right):
        """Stages 5 to 8: add the rounding constant, shift right, add the zero point and clamp."""
        nudged = Signal(signed(33), reset_less=True)
        right_5 = Signal(5, reset_less=True)
        m.d.sync += [nudged.eq(high + half_of_last(high[-1], right)), right_5.eq(right)]
        sign = nudged[-1]
        coarse = _shifted(Cat(nudged, sign.replicate(7)), right_5, (16, 8))
        shifted = Signal(len(coarse), reset_less=True)
        right_6 = Signal(3, reset_less=True)
        sign_6 = Signal(reset_less=True)
        far = Signal(reset_less=True)
        m.d.sync += [
            shifted.eq(coarse),
            right_6.eq(right_5),
            sign_6.eq(sign),
            # A result of more than 10 bits is outside int8 with any zero point.
            far.eq(((nudged[9:32] ^ sign.replicate(23)) & ~below(right_5, 23)).any()),
        ]
        value = _shifted(shifted, right_6, (4, 2, 1))
        rounded = Signal(signed(10), reset_less=True)
        m.d.sync += rounded.eq(Cat(Mux(far, (~sign_6).replicate(9), value[:9]), sign_6))
        result = Signal(signed(11))
        clamped = Signal(signed(8), reset_less=True)
        m.d.comb += [result.eq(rounded + self.zero_point), self.out.payload.eq(clamped)]
        m.d.sync += clamped.eq(
            Mux(
                result < self.minimum,
                self.minimum,
                Mux(result > self.maximum, self.maximum, result[:8].as_signed()),
            )
        )


def _shifted(value, right, steps):
    """The bits that a shift to the right by those `steps` leaves, of which 9 matter at the end."""
    for bits in steps:
        value = Mux(right[bits.bit_length() - 1], value >> bits, value)[: 9 + bits]
    return value
