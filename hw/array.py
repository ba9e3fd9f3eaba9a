"""The weight-stationary systolic array: activations move right, partial sums move down."""

from amaranth.hdl import Module, Shape, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

ACTIVATION = data.StructLayout({"value": signed(8), "swap": 1})


class ProcessingElement(wiring.Component):
    """One multiplier with an active weight and a spare one that is loaded meanwhile.

    An activation moves `east` after 1 cycle, its product joins the sum from `north` 2 cycles after
    it came and leaves `south` after 3. With `swap` the spare weight becomes active for this
    activation and those after it. `load` makes `weight` the spare one and moves on as activations
    do. These are the registers of a DSP48E1: A1 spare, A2 active, B, M and P.
    """

    def __init__(self, sum_shape: Shape):
        super().__init__(
            {
                "west": In(ACTIVATION),
                "east": Out(ACTIVATION),
                "load": In(1),
                "load_east": Out(1),
                "weight": In(signed(8)),
                "north": In(sum_shape),
                "south": Out(sum_shape),
            }
        )

    def elaborate(self, platform):
        m = Module()
        spare = Signal(signed(8), reset_less=True)
        active = Signal(signed(8), reset_less=True)
        product = Signal(signed(16), reset_less=True)
        with m.If(self.load):
            m.d.sync += spare.eq(self.weight)
        with m.If(self.west.swap):
            m.d.sync += active.eq(spare)
        m.d.sync += [
            self.east.eq(self.west),
            self.load_east.eq(self.load),
            product.eq(self.east.value * active),
            self.south.eq(self.north + product),
        ]
        return m


def sum_shape(rows: int) -> Shape:
    """Holds a column's sum of `rows` products of two int8, each of which may be 2**14."""
    return signed(16 + ceil_log2(rows))


def activations_layout(rows: int, tag) -> data.StructLayout:
    """A vector of activations; `swap`: the first that uses the weights loaded last."""
    values = data.ArrayLayout(signed(8), rows)
    return data.StructLayout({"values": values, "swap": 1, "tag": tag})


def weights_layout(rows: int, columns: int) -> data.StructLayout:
    """The weights of one row of the array."""
    return data.StructLayout({"values": data.ArrayLayout(signed(8), columns), "row": range(rows)})


def sums_layout(rows: int, tag) -> data.StructLayout:
    """What one column makes of a vector of activations."""
    return data.StructLayout({"sum": sum_shape(rows), "tag": tag})


class SystolicArray(wiring.Component):
    """`rows` x `columns` int8 multipliers: sums[c] = sum over r of activations[r] * weight[r][c].

    Takes a vector every cycle, with idle cycles anywhere. The sum of column c comes
    `latency(c)` = rows + 2 + c cycles after its vector, with the vector's tag.

    Weights are double-buffered. Row r of the next weights may enter from r cycles after the vector
    that swapped the present ones in, and must enter at least one cycle before row r of the vector
    that swaps them in, which means: a load, row 0 first and a row a cycle, may start with the last
    swap, and the next swap may follow one cycle after the start of the load.
    """

    def __init__(self, rows: int, columns: int, tag):
        self.rows, self.columns, self.tag = rows, columns, tag
        sums = stream.Signature(sums_layout(rows, tag), always_ready=True)
        super().__init__(
            {
                "activations": In(
                    stream.Signature(activations_layout(rows, tag), always_ready=True)
                ),
                "weights": In(stream.Signature(weights_layout(rows, columns), always_ready=True)),
                "sums": Out(sums).array(columns),
            }
        )

    def latency(self, column: int) -> int:
        """Cycles from a vector to its sum in a column."""
        return self.rows + 2 + column

    def elaborate(self, platform):
        m = Module()
        self._connect_elements(m)
        self._delay_tags(m)
        return m

    def _connect_elements(self, m):
        from_west = [self._row_input(m, row) for row in range(self.rows)]
        loads = [
            self.weights.valid & (self.weights.p.row == row) for row in range(self.rows)
        ]  # of the column in hand; each element hands it on
        for column in range(self.columns):
            weight = _delay(m, self.weights.p.values[column], column, f"weight_{column}")
            partial = 0
            for row in range(self.rows):
                element = ProcessingElement(sum_shape(self.rows))
                m.submodules[f"element_{row}_{column}"] = element
                m.d.comb += [
                    element.west.eq(from_west[row]),
                    element.load.eq(loads[row]),
                    element.weight.eq(weight),
                    element.north.eq(partial),
                ]
                from_west[row], loads[row] = element.east, element.load_east
                partial = element.south
            m.d.comb += self.sums[column].p.sum.eq(partial)

    def _row_input(self, m, row):
        """Row r works r cycles late, when the partial sums of the rows above arrive."""
        entry = Signal(ACTIVATION, name=f"entry_{row}")
        m.d.comb += [
            entry.value.eq(self.activations.p.values[row]),
            entry.swap.eq(self.activations.p.swap & self.activations.valid),
        ]
        return _delay(m, entry, row, f"entry_{row}")

    def _delay_tags(self, m):
        valid = _delay(m, self.activations.valid, self.latency(0), "valid")
        tag = _delay(m, self.activations.p.tag, self.latency(0), "tag")
        for column in range(self.columns):
            m.d.comb += [self.sums[column].valid.eq(valid), self.sums[column].p.tag.eq(tag)]
            valid = _delay(m, valid, 1, f"valid_column_{column}")
            tag = _delay(m, tag, 1, f"tag_column_{column}")


def _delay(m, value, cycles: int, name: str):
    """The value some cycles later, from a chain of registers."""
    for cycle in range(cycles):
        later = Signal(value.shape(), name=f"{name}_later_{cycle}")
        m.d.sync += later.eq(value)
        value = later
    return value
