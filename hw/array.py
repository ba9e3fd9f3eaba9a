"""The weight-stationary systolic array: activations move right, partial sums move down."""

from amaranth.hdl import Module, Mux, Shape, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .machine import CHAIN
from .multiply import Multiplier

ACTIVATION = data.StructLayout({"value": signed(8), "swap": 1})


class ProcessingElement(wiring.Component):
    """One multiplier with an active weight and a spare one that is loaded meanwhile.

    An activation moves `east` after 1 cycle, its product joins the sum from `north` 2 cycles after
    it came and leaves `south` after 3. With `swap` the spare weight becomes active for this
    activation and those after it. `load` makes `weight` the spare one and moves on as activations
    do. These are the registers of a DSP48E1: A1 spare, A2 active, B, M and P.

    The multiplier of an ECP5 is made of adders: its DSP blocks lie in rows across the chip, and
    the way there and back took longer than the product. M is then in the multiplier's middle.
    """

    def __init__(self, sum_shape: Shape, technology: str = "generic"):
        self.of_adders = technology == "ecp5"
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
        passed = Signal(signed(8), reset_less=True)
        product = self._product(m, passed, active)
        total = Signal(self.south.shape(), reset_less=True)
        with m.If(self.load):
            m.d.sync += spare.eq(self.weight)
        with m.If(self.west.swap):
            m.d.sync += active.eq(spare)
        m.d.sync += [
            passed.eq(self.west.value),
            self.east.swap.eq(self.west.swap),
            self.load_east.eq(self.load),
            total.eq(self.north + product),
        ]
        m.d.comb += [self.east.value.eq(passed), self.south.eq(total)]
        return m

    def _product(self, m, a, b):
        """a * b, with one register on the way."""
        if not self.of_adders:
            product = Signal(signed(16), reset_less=True)
            m.d.sync += product.eq(a * b)
            return product
        m.submodules.multiplier = multiplier = Multiplier(
            a.shape(), b.shape(), "fabric", registered=True
        )
        m.d.comb += [multiplier.a.eq(a), multiplier.b.eq(b)]
        return multiplier.product


def sum_shape(rows: int) -> Shape:
    """Holds a column's sum of `rows` products of two int8, each of which may be 2**14."""
    return signed(16 + ceil_log2(rows))


def activations_layout(rows: int, tag) -> data.StructLayout:
    """A vector of activations; `swap`: the first that uses the weights loaded last."""
    values = data.ArrayLayout(signed(8), rows)
    return data.StructLayout({"values": values, "swap": 1, "tag": tag})


def weights_layout(rows: int, columns: int) -> data.StructLayout:
    """A weight word: the weights of row number `row` of each chain, chain after chain."""
    values = data.ArrayLayout(signed(8), rows // CHAIN * columns)
    return data.StructLayout({"values": values, "row": range(16)})


def sums_layout(rows: int, tag) -> data.StructLayout:
    """What one column makes of a vector of activations."""
    return data.StructLayout({"sum": sum_shape(rows), "tag": tag})


def column_delay(column: int) -> int:
    """Cycles by which a column works later than column 0: columns go in pairs."""
    return column // 2


class SystolicArray(wiring.Component):
    """`rows` x `columns` int8 multipliers: sums[c] = sum over r of activations[r] * weight[r][c].

    Takes a vector every cycle, with idle cycles anywhere. The sum of column c comes `latency(c)`
    cycles after its vector, with the vector's tag. `CHAIN` rows add up one below the other, one
    cycle apart; a tree adds up the chains. Two columns share their activations.

    Weights are double-buffered, and a row of every chain is loaded at once, so that a load takes
    `CHAIN` cycles. Row r of a chain may enter from r cycles after the vector that swapped the
    present weights in, and must enter at least one cycle before row r of the vector that swaps
    them in, which means: a load, row 0 first and a row a cycle, may start with the last swap, and
    the next swap may follow one cycle after the start of the load.

    With `packed` a pair of columns shares a DSP48E1 in each row (`hw.dsp48`). If it was built for
    it, and while `binary` is 1, sums are those of `hw.xnor`: bits are multiplied, 8 a byte.
    """

    def __init__(
        self, rows: int, columns: int, tag, packed: bool = False, binary: bool = False,
        technology: str = "generic",
    ):  # fmt: skip
        self.rows, self.columns, self.tag = rows, columns, tag
        self.packed, self.has_binary, self.technology = packed, binary, technology
        sums = stream.Signature(sums_layout(rows, tag), always_ready=True)
        super().__init__(
            {
                "activations": In(
                    stream.Signature(activations_layout(rows, tag), always_ready=True)
                ),
                "weights": In(stream.Signature(weights_layout(rows, columns), always_ready=True)),
                "binary": In(1),
                "sums": Out(sums).array(columns),
            }
        )

    @property
    def chains(self) -> int:
        """Chains of rows."""
        return self.rows // CHAIN

    def latency(self, column: int) -> int:
        """Cycles from a vector to its sum in a column."""
        return CHAIN + 2 + ceil_log2(self.chains) + column_delay(column)

    def elaborate(self, platform):
        m = Module()
        self._connect_chains(m)
        self._delay_tags(m)
        return m

    def _connect_chains(self, m):
        loads = [self.weights.valid & (self.weights.p.row == row) for row in range(CHAIN)]
        partials = [[] for _ in range(self.columns)]
        entries = []
        for chain in range(self.chains):
            from_west = [self._row_input(m, chain, row) for row in range(CHAIN)]
            entries.append(list(from_west))
            to_load = list(loads)  # of the pair in hand; each element hands it on
            for first in range(0, self.columns, 2):
                columns = range(first, min(first + 2, self.columns))
                weights = [self._weight(m, chain, column) for column in columns]
                name = f"chain_{chain}_{first}"
                connect_pair = self._packed_chain if self.packed else self._plain_chain
                sums = connect_pair(m, name, from_west, to_load, weights)
                for column, partial in zip(columns, sums, strict=True):
                    partials[column].append(partial)
        for column, parts in enumerate(partials):
            total = _add_up(m, parts, f"column_{column}")
            if self.has_binary:
                total = Mux(self.binary, self._count_bits(m, column, entries, loads), total)
            m.d.comb += self.sums[column].p.sum.eq(total)

    def _count_bits(self, m, column, entries, loads):
        from .xnor import XnorColumn

        m.submodules[f"xnor_{column}"] = counter = XnorColumn(self.chains, self.technology)
        m.d.comb += counter.mode.eq(self.binary)
        for row in range(CHAIN):
            m.d.comb += counter.load[row].eq(loads[row])
        for chain, rows in enumerate(entries):
            weight = self.weights.p.values[chain * self.columns + column]
            m.d.comb += counter.weights[chain].eq(weight)
            m.d.comb += [counter.west[row][chain].eq(entry) for row, entry in enumerate(rows)]
        later = ceil_log2(self.chains) + column_delay(column)
        return delay(m, counter.sum, later, f"differences_{column}")

    def _plain_chain(self, m, name, from_west, to_load, weights):
        """A pair of columns of multipliers; moves activations and loads on to the next pair."""
        sums = [0 for _ in weights]
        for row in range(CHAIN):
            element = None
            for number, weight in enumerate(weights):
                element = ProcessingElement(signed(16 + ceil_log2(CHAIN)), self.technology)
                m.submodules[f"{name}_{row}_{number}"] = element
                m.d.comb += [
                    element.west.eq(from_west[row]),
                    element.load.eq(to_load[row]),
                    element.weight.eq(weight),
                    element.north.eq(sums[number]),
                ]
                sums[number] = element.south
            from_west[row], to_load[row] = element.east, element.load_east
        return sums

    def _packed_chain(self, m, name, from_west, to_load, weights):
        from .dsp48 import PackedChain

        m.submodules[name] = chain = PackedChain()
        m.d.comb += [chain.weights[number].eq(weight) for number, weight in enumerate(weights)]
        for row in range(CHAIN):
            m.d.comb += [chain.west[row].eq(from_west[row]), chain.load[row].eq(to_load[row])]
            from_west[row], to_load[row] = chain.east[row], chain.load_east[row]
        return [chain.sums[0], chain.sums[1]]

    def _weight(self, m, chain, column):
        weight = self.weights.p.values[chain * self.columns + column]
        return delay(m, weight, column_delay(column), f"weight_{chain}_{column}")

    def _row_input(self, m, chain, row):
        """Row r of a chain works r cycles late, when the partial sums of those above arrive."""
        number = chain * CHAIN + row
        entry = Signal(ACTIVATION, name=f"entry_{number}")
        m.d.comb += [
            entry.value.eq(self.activations.p.values[number]),
            entry.swap.eq(self.activations.p.swap & self.activations.valid),
        ]
        return delay(m, entry, row, f"entry_{number}")

    def _delay_tags(self, m):
        valid = delay(m, self.activations.valid, self.latency(0), "valid", reset=True)
        tag = delay(m, self.activations.p.tag, self.latency(0), "tag")
        for column in range(self.columns):
            m.d.comb += [self.sums[column].valid.eq(valid), self.sums[column].p.tag.eq(tag)]
            if column % 2:
                valid = delay(m, valid, 1, f"valid_column_{column}", reset=True)
                tag = delay(m, tag, 1, f"tag_column_{column}")


def _add_up(m, parts, name: str):
    """The sum of some signals by a tree of registered adders."""
    level = 0
    while len(parts) > 1:
        pairs = [parts[place : place + 2] for place in range(0, len(parts), 2)]
        parts = []
        for number, pair in enumerate(pairs):
            value = sum(pair[1:], pair[0])
            total = Signal(Shape.cast(value.shape()), name=f"{name}_sum_{level}_{number}",
                           reset_less=True)  # fmt: skip
            m.d.sync += total.eq(value)
            parts.append(total)
        level += 1
    return parts[0]


def delay(m, value, cycles: int, name: str, reset: bool = False):
    """The value some cycles later, from a chain of registers, which a reset clears on request."""
    for cycle in range(cycles):
        later = Signal(value.shape(), name=f"{name}_later_{cycle}", reset_less=not reset)
        m.d.sync += later.eq(value)
        value = later
    return value
