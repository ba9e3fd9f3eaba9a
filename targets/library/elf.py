"""A shared library (ELF-64) from code and data that need no relocation.

Formats: System V ABI, chapters 4 and 5. Three segments: headers, symbols and data, to be read;
code, to be executed; and the dynamic table, which the system's loader writes to. Sections are named
for those who link with the library or look into it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

PAGE = 4096  # what code is aligned to: AArch64 addresses it by pages of this size
_LARGEST_PAGE = 1 << 16  # of any system that the library is to be loaded on
_LOAD, _DYNAMIC, _STACK = 1, 2, 0x6474E551  # types of program headers
_READ, _WRITE, _EXECUTE = 4, 2, 1
_HEADER, _SEGMENT, _SYMBOL, _SECTION = 64, 56, 24, 64  # sizes
_SEGMENTS = 5


@dataclass(frozen=True)
class Layout:
    """Addresses in the library. Those of code are beyond its place in the file by a large page."""

    symbols: int
    hashes: int
    strings: int
    data: int
    code: int


def layout(names: Sequence[str], data_bytes: int) -> Layout:
    """Where everything lies in a library with these symbols and so much data."""
    symbols = _HEADER + _SEGMENTS * _SEGMENT
    hashes = symbols + (len(names) + 1) * _SYMBOL
    strings = hashes + len(_hashes(len(names)))
    data = _up(strings + len(_strings(names)), 64)
    return Layout(symbols, hashes, strings, data, _up(data + data_bytes, PAGE) + _LARGEST_PAGE)


def shared_library(machine: int, symbols: Mapping[str, int], data: bytes, code: bytes) -> bytes:
    """The file. `symbols` are addresses of functions in `code`, which lies where `layout` says."""
    names, at = list(symbols), layout(list(symbols), len(data))
    head = _symbols(symbols) + _hashes(len(names)) + _strings(names)
    code_offset = at.code - _LARGEST_PAGE
    dynamic = _dynamic(at, len(_strings(names)))
    dynamic_offset = _up(code_offset + len(code), 16)
    dynamic_address = dynamic_offset + 2 * _LARGEST_PAGE
    read_end = at.data + len(data)
    segments = [
        (_LOAD, _READ, 0, 0, read_end, _LARGEST_PAGE),
        (_LOAD, _READ | _EXECUTE, code_offset, at.code, len(code), _LARGEST_PAGE),
        (_LOAD, _READ | _WRITE, dynamic_offset, dynamic_address, len(dynamic), _LARGEST_PAGE),
        (_DYNAMIC, _READ | _WRITE, dynamic_offset, dynamic_address, len(dynamic), 8),
        (_STACK, _READ | _WRITE, 0, 0, 0, 16),
    ]
    sections = [
        (".dynsym", 11, 2, at.symbols, at.symbols, (len(names) + 1) * _SYMBOL, 3, 1, 8, _SYMBOL),
        (".hash", 5, 2, at.hashes, at.hashes, at.strings - at.hashes, 1, 0, 4, 4),
        (".dynstr", 3, 2, at.strings, at.strings, len(_strings(names)), 0, 0, 1, 0),
        (".rodata", 1, 2, at.data, at.data, len(data), 0, 0, 64, 0),
        (".text", 1, 6, at.code, code_offset, len(code), 0, 0, PAGE, 0),
        (".dynamic", 6, 3, dynamic_address, dynamic_offset, len(dynamic), 3, 0, 8, 16),
    ]
    file = bytearray(_HEADER)
    file += b"".join(
        struct.pack("<IIQQQQQQ", kind, flags, offset, address, address, size, size, alignment)
        for kind, flags, offset, address, size, alignment in segments
    )
    file += head
    for offset, content in ((at.data, data), (code_offset, code), (dynamic_offset, dynamic)):
        file += bytes(offset - len(file)) + content
    table = _add_sections(file, sections)
    file[:_HEADER] = _header(machine, table, len(sections) + 2)
    return bytes(file)


def _header(machine: int, sections: int, section_count: int) -> bytes:
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)  # 64 bits, little-endian
    sizes = (_HEADER, _SEGMENT, _SEGMENTS, _SECTION, section_count, section_count - 1)
    return ident + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, _HEADER, sections, 0, *sizes)


def _add_sections(file: bytearray, sections: Sequence[tuple[Any, ...]]) -> int:
    """Append the table of sections (name, then the fields behind it); answers its offset."""
    names = [section[0] for section in sections] + [".shstrtab"]
    strings, places = _strings(names), _places(names)
    strings_at = len(file)
    file += strings
    file += bytes(-len(file) % 8)
    table = len(file)
    file += bytes(_SECTION)
    for place, section in zip(places, sections, strict=False):
        file += struct.pack("<IIQQQQIIQQ", place, *section[1:])
    file += struct.pack("<IIQQQQIIQQ", places[-1], 3, 0, 0, strings_at, len(strings), 0, 0, 1, 0)
    return table


def _symbols(symbols: Mapping[str, int]) -> bytes:
    """Global functions in section 5, the code."""
    rows = zip(_places(list(symbols)), symbols.values(), strict=True)
    return bytes(_SYMBOL) + b"".join(
        struct.pack("<IBBHQQ", place, 0x12, 0, 5, address, 0) for place, address in rows
    )


def _hashes(count: int) -> bytes:
    """A hash table of one bucket: a search walks along all symbols."""
    chain = [0, *(number % (count + 1) for number in range(2, count + 2))]
    return struct.pack(f"<{count + 4}I", 1, count + 1, min(count, 1), *chain)


def _strings(names: Sequence[str]) -> bytes:
    return b"\0" + b"".join(name.encode() + b"\0" for name in names)


def _places(names: Sequence[str]) -> list[int]:
    """Where each name begins in `_strings`."""
    return list(accumulate((len(name.encode()) + 1 for name in names), initial=1))[:-1]


def _dynamic(at: Layout, strings_bytes: int) -> bytes:
    entries = [(4, at.hashes), (5, at.strings), (6, at.symbols), (10, strings_bytes), (11, _SYMBOL)]
    return b"".join(struct.pack("<QQ", *entry) for entry in [*entries, (0, 0)])


def _up(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment
