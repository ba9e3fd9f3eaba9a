"""An ELF object file to a flat image that runs wherever it is put.

All relocations within the object are applied here, at build time. What it needs from libc or libm
is called through a thunk at the image's end, whose address slot the loader fills in. x86-64 and
AArch64, little-endian, without writable data: all that a kernel is made of. Formats: System V ABI
(ELF-64 object file), and the processors' ELF supplements for the relocation types.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

X86_64, AARCH64 = 62, 183
_SYMBOLS, _RELOCATIONS, _NO_BITS = 2, 4, 8  # section types
_WRITABLE, _ALLOCATED = 1, 2  # section flags
_UNWIND = ".eh_frame"  # nothing is ever thrown through a kernel

# A jump through the 8-byte address slot that follows it.
_THUNKS = {
    X86_64: bytes.fromhex("ff2502000000 9090"),  # jmp [rip + 2]; nop; nop
    AARCH64: bytes.fromhex("50000058 00021fd6"),  # ldr x16, #8; br x16
}


@dataclass(frozen=True)
class Image:
    """`code` is to be mapped at a page; `entry` is the function's offset; `imports` gives, for each
    outside function, the offset of the slot that its address goes to."""

    code: bytes
    entry: int
    imports: Mapping[str, int]

    def to_bytes(self) -> bytes:
        head = json.dumps({"entry": self.entry, "imports": dict(self.imports)}).encode()
        return struct.pack("<I", len(head)) + head + self.code

    @staticmethod
    def from_bytes(data: bytes) -> Image:
        (size,) = struct.unpack_from("<I", data)
        head = json.loads(data[4 : 4 + size])
        return Image(data[4 + size :], head["entry"], head["imports"])


def link(data: bytes, symbol: str) -> Image:
    """The image of an object file that defines `symbol`."""
    return _Linker(data, {}).image(symbol)


def link_among(
    data: bytes, symbols: Sequence[str], known: Mapping[str, int]
) -> tuple[bytes, dict[str, int]]:
    """Code of an object file, and the offset of each of `symbols` in it.

    What the object needs from outside must be `known`: offsets from the code's beginning, which is
    to lie at a page.
    """
    linker = _Linker(data, known)
    offsets = {name: linker.image(name).entry for name in symbols[:1]}
    offsets |= {name: linker.offset(name) for name in symbols[1:]}
    if linker.imports:
        raise ValueError(f"nothing defines {', '.join(linker.imports)}")
    return bytes(linker.code), offsets


def joined(image: Image, machine: int, place: int, known: Mapping[str, int]) -> bytes:
    """An image's code for an address, where its outside functions are `known`: thunks jump."""
    code = bytearray(image.code)
    for name, slot in image.imports.items():
        thunk = slot - len(_THUNKS[machine])
        distance = known[name] - (place + thunk)
        if machine == X86_64:
            code[thunk : thunk + 5] = b"\xe9" + struct.pack("<i", distance - 5)
        else:
            struct.pack_into("<I", code, thunk, 0x14000000 | distance >> 2 & 0x3FFFFFF)
    return bytes(code)


@dataclass(frozen=True)
class _Section:
    name: str
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int


@dataclass(frozen=True)
class _Symbol:
    name: str
    section: int
    value: int


class _Linker:
    def __init__(self, data: bytes, known: Mapping[str, int]) -> None:
        if data[:6] != b"\x7fELF\x02\x01":
            raise ValueError("not a little-endian 64-bit ELF object")
        self.data, self.known = data, known
        (self.machine,) = struct.unpack_from("<H", data, 18)
        self.sections = list(self._sections())
        self.symbols = list(self._symbols())
        self.places: dict[int, int] = {}  # section -> offset in the image
        self.code = bytearray()
        self.imports: dict[str, int] = {}

    def image(self, symbol: str) -> Image:
        self._place_sections()
        for section in self.sections:
            if section.kind == _RELOCATIONS and section.info in self.places:
                self._relocate(section)
        return Image(bytes(self.code), self.offset(symbol), self.imports)

    def offset(self, symbol: str) -> int:
        return next(self._address(s) for s in self.symbols if s.name == symbol)

    # ---- reading ----

    def _sections(self) -> Iterator[_Section]:
        (table,) = struct.unpack_from("<Q", self.data, 0x28)
        size, count, names = struct.unpack_from("<HHH", self.data, 0x3A)
        rows = [
            struct.unpack_from("<IIQQQQIIQQ", self.data, table + i * size) for i in range(count)
        ]
        for name, kind, flags, _, offset, length, linked, info, alignment, _ in rows:
            text = self._text(rows[names][4] + name)
            yield _Section(text, kind, flags, offset, length, linked, info, max(alignment, 1))

    def _symbols(self) -> Iterator[_Symbol]:
        for section in self.sections:
            if section.kind == _SYMBOLS:
                names = self.sections[section.link].offset
                for at in range(section.offset, section.offset + section.size, 24):
                    name, _, _, home, value, _ = struct.unpack_from("<IBBHQQ", self.data, at)
                    yield _Symbol(self._text(names + name), home, value)

    def _text(self, at: int) -> str:
        return self.data[at : self.data.index(b"\0", at)].decode()

    # ---- placing ----

    def _place_sections(self) -> None:
        for number, section in enumerate(self.sections):
            if not section.flags & _ALLOCATED or not section.size or section.name == _UNWIND:
                continue
            if section.flags & _WRITABLE or section.kind == _NO_BITS:
                raise ValueError(f"section {section.name} is writable: a kernel has no such data")
            self.code += bytes(-len(self.code) % section.alignment)
            self.places[number] = len(self.code)
            self.code += self.data[section.offset : section.offset + section.size]

    def _address(self, symbol: _Symbol) -> int:
        if symbol.section in self.places:
            return self.places[symbol.section] + symbol.value
        if symbol.section or not symbol.name:
            raise ValueError(f"symbol {symbol.name!r} is in a section that is not kept")
        if symbol.name in self.known:
            return self.known[symbol.name]
        return self._thunk(symbol.name)

    def _thunk(self, name: str) -> int:
        thunk = _THUNKS[self.machine]
        if name not in self.imports:
            self.code += bytes(-len(self.code) % 16) + thunk + bytes(8)
            self.imports[name] = len(self.code) - 8
        return self.imports[name] - len(thunk)

    # ---- relocating ----

    def _relocate(self, section: _Section) -> None:
        base = self.places[section.info]
        for at in range(section.offset, section.offset + section.size, 24):
            offset, info, addend = struct.unpack_from("<QQq", self.data, at)
            target = self._address(self.symbols[info >> 32]) + addend
            self._apply(info & 0xFFFFFFFF, base + offset, target)

    def _apply(self, kind: int, place: int, target: int) -> None:
        (word,) = struct.unpack_from("<I", self.code, place)
        if self.machine == X86_64 and kind in (2, 4):  # PC32, PLT32
            word = target - place
        elif self.machine == AARCH64 and kind in (282, 283):  # JUMP26, CALL26
            word |= (target - place) >> 2 & 0x3FFFFFF
        elif self.machine == AARCH64 and kind == 275:  # ADR_PREL_PG_HI21
            pages = (target >> 12) - (place >> 12)
            word |= (pages & 3) << 29 | (pages >> 2 & 0x7FFFF) << 5
        elif self.machine == AARCH64 and kind in _LOW_BITS:
            word |= ((target & 0xFFF) >> _LOW_BITS[kind]) << 10
        elif self.machine == AARCH64 and kind == 261:  # PREL32
            word = target - place
        else:
            raise ValueError(f"relocation type {kind} of machine {self.machine} is not known")
        struct.pack_into("<I", self.code, place, word & 0xFFFFFFFF)


# AArch64 ADD and LDST<n> _ABS_LO12_NC: relocation type -> log2 of the access size.
_LOW_BITS = {277: 0, 278: 0, 284: 1, 285: 2, 286: 3, 299: 4}
