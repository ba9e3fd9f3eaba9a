"""The activation memory: wide words at any byte address."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .multiply import below


def read_signature(address_bits: int, width: int) -> wiring.Signature:
    """Seen by the reader: `data` is the `width` bytes from `address` on, 2 cycles later."""
    return wiring.Signature({"address": Out(address_bits), "data": In(8 * width)})


def write_signature(address_bits: int, width: int) -> wiring.Signature:
    """Seen by the writer: each byte with a bit of `mask` is written, at `address` + its number."""
    return wiring.Signature(
        {"address": Out(address_bits), "data": Out(8 * width), "mask": Out(width)}
    )


class Scratchpad(wiring.Component):
    """`size` bytes; reads `width` and writes `write_width` bytes at any byte address, every cycle.

    Reads have a latency of `LATENCY` cycles, writes are done a cycle later. A read sees all writes
    but those of the cycle before it, whose bytes it must not use. Addresses wrap. Two banks hold
    the even and the odd words, so that two neighbours can be had at once; of the two a byte lane
    takes the one that it needs, and then the lanes are rotated.
    """

    LATENCY = 2

    def __init__(self, size: int, width: int, write_width: int | None = None):
        self.size, self.width, self.write_width = size, width, write_width or width
        bits = ceil_log2(size)
        super().__init__(
            {
                "read": In(read_signature(bits, width)),
                "write": In(write_signature(bits, self.write_width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        depth = self.size // self.width // 2
        readers, writers = [], []
        for name in ("even", "odd"):
            bank = Memory(shape=unsigned(8 * self.width), depth=depth, init=[])
            m.submodules[name] = bank
            readers.append(bank.read_port())
            writers.append(bank.write_port(granularity=8))
        self._read(m, readers)
        self._write(m, writers)
        return m

    def _split(self, address):
        """(the even bank's word, the odd bank's word, lanes that the odd bank serves, byte offset).

        Lanes below the offset serve the second word.
        """
        offset_bits = ceil_log2(self.width)
        offset, odd, word = (
            address[:offset_bits],
            address[offset_bits],
            address[offset_bits + 1 :],
        )
        lanes = below(offset, self.width) ^ odd.replicate(self.width)
        return word + odd, word, lanes, offset

    def _read(self, m, readers):
        even, odd, lanes, offset = self._split(self.read.address)
        lanes_1 = Signal(self.width, reset_less=True)
        offset_1 = Signal(offset.shape(), reset_less=True)
        chosen = Cat(
            Mux(lanes_1[lane], *(reader.data.word_select(lane, 8) for reader in reversed(readers)))
            for lane in range(self.width)
        )
        data = Signal(8 * self.width, name="read_data", reset_less=True)
        m.d.comb += [
            readers[0].addr.eq(even),
            readers[1].addr.eq(odd),
            self.read.data.eq(data),
        ]
        m.d.sync += [
            lanes_1.eq(lanes),
            offset_1.eq(offset),
            data.eq(_rotated(chosen, offset_1, 8, self.width)),
        ]

    def _write(self, m, writers):
        late = {}
        for name in ("address", "data", "mask"):
            asked = getattr(self.write, name)
            late[name] = Signal(len(asked), name=f"late_{name}", reset_less=True)
            m.d.sync += late[name].eq(asked)
        address, data, mask = late.values()
        even, odd, lanes, offset = self._split(address)
        # Bytes that are not written may be anything: the data go round a ring of their own width.
        ring = ceil_log2(self.write_width)
        data = _rotated(data, -offset[:ring], 8, self.write_width)
        rest = Const(0, self.width - self.write_width)
        mask = _rotated(Cat(mask, rest), -offset, 1, self.width)
        for writer, address, serves in ((writers[0], even, ~lanes), (writers[1], odd, lanes)):
            m.d.comb += [
                writer.addr.eq(address),
                writer.data.eq(data.replicate(self.width // self.write_width)),
                writer.en.eq(mask & serves),
            ]


def _rotated(value, count, unit: int, width: int):
    """`width` units of some bits, from number `count` on."""
    for step in range(ceil_log2(width)):
        first = unit << step
        value = Mux(count[step], Cat(value[first:], value[:first]), value)
    return value
