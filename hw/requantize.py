"""From int32 accumulators to int8, with the bits of TFLite's reference kernels."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

OPERANDS = data.StructLayout({"value": signed(32), "multiplier": unsigned(31), "shift": signed(6)})


class Requantize(wiring.Component):
    """int8 = clamp(MultiplyByQuantizedMultiplier(value, multiplier, shift) + zero_point).

    Exact to TFLite's double rounding, `kernels.fixedpoint.multiply_by_quantized_multiplier`, for
    multiplier 0 or 2**30 to 2**31 - 1, shift -31 to 30 (positive: left), value << shift modulo
    2**32. One result a cycle, latency 6 cycles. `zero_point` and the clamp hold still while values
    are inside. While `out` is not ready, the whole pipeline stands.

    With such multipliers SaturatingRoundingDoublingHighMul never saturates and is
    floor((a * b + 2**30) / 2**31) for both signs; RoundingDivideByPOT by 2**e, e > 0, is
    floor((a + 2**(e - 1) - (a < 0)) / 2**e).
    """

    LATENCY = 6

    operands: In(stream.Signature(OPERANDS))
    out: Out(stream.Signature(signed(8)))
    zero_point: In(signed(8))
    minimum: In(signed(8))
    maximum: In(signed(8))

    def elaborate(self, platform):
        m = Module()
        advance = Signal()
        valid = Signal(self.LATENCY)
        m.d.comb += [
            advance.eq(~self.out.valid | self.out.ready),
            self.operands.ready.eq(advance),
            self.out.valid.eq(valid[-1]),
        ]
        with m.If(advance):
            m.d.sync += valid.eq((valid << 1) | self.operands.valid)
            high, right = self._multiply(m)
            self._round_and_clamp(m, high, right)
        return m

    def _multiply(self, m):
        """Stages 1 to 3: shift left, multiply, keep the rounded high half."""
        value, multiplier, shift = (self.operands.p[name] for name in OPERANDS.members)
        left = Mux(shift < 0, 0, shift[:5])
        right = Mux(shift < 0, -shift, 0)[:5]
        rights = [Signal(5, name=f"right_{stage}") for stage in (1, 2, 3)]
        shifted = Signal(signed(32))
        factor = Signal(unsigned(31))
        product = Signal(signed(63))
        high = Signal(signed(32))
        m.d.sync += [
            shifted.eq(value << left),
            factor.eq(multiplier),
            product.eq(shifted * factor),
            high.eq((product + (1 << 30)) >> 31),
        ]
        m.d.sync += [late.eq(early) for late, early in zip(rights, [right, *rights], strict=False)]
        return high, rights[-1]

    def _round_and_clamp(self, m, high, right):
        """Stages 4 to 6: add the rounding constant, shift right, add the zero point and clamp."""
        nudged = Signal(signed(33))
        right_4 = Signal(5)
        rounded = Signal(signed(32))
        half = Signal(31)
        m.d.comb += half.eq((1 << right) >> 1)
        result = Signal(signed(33))
        m.d.comb += result.eq(rounded + self.zero_point)
        clamped = Mux(
            result < self.minimum,
            self.minimum,
            Mux(result > self.maximum, self.maximum, result[:8].as_signed()),
        )
        m.d.sync += [
            nudged.eq(high + half - ((high < 0) & (right != 0))),
            right_4.eq(right),
            rounded.eq(nudged >> right_4),
            self.out.payload.eq(clamped),
        ]
