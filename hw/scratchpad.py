"""The activation memory: wide words at any byte address."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2


def read_signature(address_bits: int, width: int) -> wiring.Signature:
    """Seen by the reader: `data` is the `width` bytes from `address` on, 2 cycles later."""
    return wiring.Signature({"address": Out(address_bits), "data": In(8 * width)})


def write_signature(address_bits: int, width: int) -> wiring.Signature:
    """Seen by the writer: each byte with a bit of `mask` is written, at `address` + its number."""
    return wiring.Signature(
        {"address": Out(address_bits), "data": Out(8 * width), "mask": Out(width)}
    )


class Scratchpad(wiring.Component):
    """`size` bytes; reads and writes `width` bytes at any byte address, both every cycle.

    Reads have a latency of 2 cycles. A read sees all writes of earlier cycles. Addresses wrap.
    Two banks hold the even and the odd words, so that two neighbours can be had at once.
    """

    def __init__(self, size: int, width: int):
        self.size, self.width = size, width
        bits = ceil_log2(size)
        super().__init__(
            {"read": In(read_signature(bits, width)), "write": In(write_signature(bits, width))}
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
        """(the even bank's word, the odd bank's word, whether the odd one is first, byte offset)"""
        offset_bits = ceil_log2(self.width)
        offset, odd, word = (
            address[:offset_bits],
            address[offset_bits],
            address[offset_bits + 1 :],
        )
        return word + odd, word, odd, offset

    def _read(self, m, readers):
        even, odd, odd_first, offset = self._split(self.read.address)
        odd_first_1 = Signal()
        offset_1 = Signal(offset.shape())
        words = Mux(
            odd_first_1,
            Cat(readers[1].data, readers[0].data),
            Cat(readers[0].data, readers[1].data),
        )
        m.d.comb += [readers[0].addr.eq(even), readers[1].addr.eq(odd)]
        m.d.sync += [
            odd_first_1.eq(odd_first),
            offset_1.eq(offset),
            self.read.data.eq(words >> (offset_1 << 3)),
        ]

    def _write(self, m, writers):
        even, odd, odd_first, offset = self._split(self.write.address)
        data = Signal(16 * self.width)
        mask = Signal(2 * self.width)
        m.d.comb += [
            data.eq(self.write.data << (offset << 3)),
            mask.eq(self.write.mask << offset),
        ]
        for writer, address, high in (
            (writers[0], even, odd_first),
            (writers[1], odd, ~odd_first),
        ):
            m.d.comb += [
                writer.addr.eq(address),
                writer.data.eq(data.word_select(high, 8 * self.width)),
                writer.en.eq(mask.word_select(high, self.width)),
            ]
