"""How printed C says where something lies: an offset into an arena, or a place in several memories.

One arena is the caller's, and offsets are plain numbers. Several memories may lie anywhere, so each
is an array that the application defines and the linker places, and every word that a kernel takes
for an offset is the byte's address minus a base: the linker works it out, and the kernels, which
add the base again, are the same. Offsets stay below 2**31, since a negative one in a row table is
padding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...runtime.errors import TargetError
from ...runtime.program import Call, Program, Region, Spread

REACH = 1 << 31  # bytes from the base on
ENTRY = 4  # bytes of a row table's int32


@dataclass(frozen=True)
class Addresses:
    """The places of one program's arena, as C expressions."""

    program: Program
    alignment: int

    @property
    def several(self) -> bool:
        return len(self.program.regions) > 1

    @property
    def macro(self) -> str:
        return f"MIDGE_{self.program.name.upper()}"

    def symbol(self, region: Region) -> str:
        """The array that a memory is."""
        return f"midge_{self.program.name}_memory_{region.name.lower()}"

    def size_macro(self, region: Region) -> str:
        """Its size."""
        return f"{self.macro}_MEMORY_{region.name.upper()}_BYTES"

    def word(self, call: Call, name: str) -> str:
        """A field of a call: a number, or what the linker makes of it."""
        value = call.args[name]
        if not self.several or name not in self._spread.words.get(call.node, ()):
            return str(value)
        return self._offset(value)

    def place(self, offset: int, element: str = "int8_t") -> str:
        """A pointer to a byte of the arena, where the caller's pointer is `arena`."""
        if not self.several:
            return f"({element} *)arena + {offset}"
        region = self._spread.region(offset)
        return f"{self.symbol(region)} + {offset - region.offset}"

    def base(self, arena: str = "arena") -> str:
        """What the kernels get as their arena, where the caller's pointer is `arena`."""
        return f"(int8_t *)(uintptr_t){self.macro}_BASE" if self.several else arena

    def where(self, offset: int, size: int) -> str:
        """For a comment."""
        if not self.several:
            return f"{offset}..{offset + size - 1}"
        region = self._spread.region(offset)
        offset -= region.offset
        return f"{region.name} {offset}..{offset + size - 1}"

    # ---- what is printed ----

    def arena_macros(self) -> Iterator[str]:
        """What the header says of the memory that the model needs."""
        if self.several:
            yield from self._memory_macros()
            return
        yield "/* The arena is all the memory that the model writes: give it this many bytes, at"
        yield " * this alignment. Between two inferences it may hold other things only if the model"
        yield " * has no state. */"
        yield f"#define {self.macro}_ARENA_BYTES {max(self.program.arena_bytes, 1)}"
        yield f"#define {self.macro}_ARENA_ALIGNMENT {self.alignment}"

    def _memory_macros(self) -> Iterator[str]:
        first = self.program.regions[0]
        yield "/* These are all the memories that the model writes, the fastest first. Define"
        yield " * each array in the section of its memory, at this alignment, and give the first"
        yield " * wherever an arena is asked for: the others are found by their names. Between two"
        yield " * inferences they may hold other things only if the model has no state. */"
        for region in self.program.regions:
            yield f"#define {self.size_macro(region)} {region.bytes}"
        yield f"#define {self.macro}_ARENA_BYTES {self.size_macro(first)}"
        yield f"#define {self.macro}_ARENA_ALIGNMENT {self.alignment}"
        yield "#if UINTPTR_MAX != 0xFFFFFFFFu"
        yield '#error "several memories need pointers of 32 bits; plan the model for one memory"'
        yield "#endif"
        for region in self.program.regions:
            yield f"extern int8_t {self.symbol(region)}[{self.size_macro(region)}];"
        yield ""
        yield "/* All must lie in the 2 GB from this address on, modulo 2^32. */"
        yield f"#ifndef {self.macro}_BASE"
        yield f"#define {self.macro}_BASE {base_of([r.origin for r in self.program.regions]):#x}u"
        yield "#endif"

    def checks(self) -> Iterator[str]:
        """Statements of `init` that refuse memories that lie where they mustn't."""
        if not self.several:
            return
        yield f"if ((int8_t *)arena != {self.symbol(self.program.regions[0])})"
        yield f"    return {self.macro}_NOT_THE_ARENA;"
        for region in self.program.regions:
            symbol, size = self.symbol(region), self.size_macro(region)
            yield f"if ((uintptr_t){symbol} % {self.macro}_ARENA_ALIGNMENT != 0)"
            yield f"    return {self.macro}_ARENA_UNALIGNED;"
            yield f"if ((uint32_t)((uintptr_t){symbol} - {self.macro}_BASE) > 0x80000000u - {size})"
            yield f"    return {self.macro}_OUT_OF_REACH;"

    def constants(self, byte_lines: Callable[[bytes], Iterator[str]]) -> Iterator[str]:
        """The constants as a struct, its row tables with what the linker makes of them."""
        pieces = list(self._pieces())
        yield "/* Bytes, and between them the places of rows; -1 is a row of padding. */"
        yield "static const struct {"
        for name, begin, end, rows in pieces:
            kind, count = ("int32_t", (end - begin) // ENTRY) if rows else ("int8_t", end - begin)
            yield f"    {kind} {name}[{count}];"
        yield f"}} data MIDGE_ALIGNED({self.alignment}) = {{"
        for name, begin, end, rows in pieces:
            content = self.program.constants[begin:end]
            yield f"    .{name} = {{ /* from {begin} */"
            if rows:
                entries = np.frombuffer(content, "<i4").tolist()
                yield from (f"        {-1 if at < 0 else self._offset(at)}," for at in entries)
            else:
                yield from (f"    {line}" for line in byte_lines(content))
            yield "    },"
        yield "};"
        yield "#define constants ((const int8_t *)&data)"

    def _pieces(self) -> Iterator[tuple[str, int, int, bool]]:
        """(name, begin, end, whether it is a row table) of the constants, one after another."""
        at = 0
        for begin, count in self._spread.row_tables:
            if begin > at:
                yield f"bytes_{at}", at, begin, False
            at = begin + ENTRY * count
            yield f"rows_{begin}", begin, at, True
        if at < len(self.program.constants):
            yield f"bytes_{at}", at, len(self.program.constants), False

    def harness_macros(self) -> Iterator[str]:
        """What a firmware defines: (number, symbol, bytes, section) of each memory."""
        areas = [
            (self.symbol(region) if self.several else "midge_arena", region.bytes, section(region))
            for region in self.program.regions
        ] or [("midge_arena", self.program.arena_bytes, ".arena")]
        entries = (
            f'X({number}, {symbol}, {max(size, 1)}, "{place}")'
            for number, (symbol, size, place) in enumerate(areas)
        )
        yield f"#define MIDGE_EACH_MEMORY(X) {' '.join(entries)}"
        yield f"#define MIDGE_MODEL_ARENA {areas[0][0]}"

    def offsets(self) -> Iterator[str]:
        """A macro for each memory: the address of one of its bytes, minus the base."""
        for region in self.program.regions if self.several else ():
            yield (
                f"#define IN_{region.name.upper()}(at) "
                f"((int32_t)((uintptr_t){self.symbol(region)} - {self.macro}_BASE + (at)))"
            )

    def _offset(self, offset: int) -> str:
        region = self._spread.region(offset)
        return f"IN_{region.name.upper()}({offset - region.offset})"

    @property
    def _spread(self) -> Spread:
        assert self.program.spread is not None
        return self.program.spread


def memory_symbols(program: Program) -> list[str]:
    """The arrays that the application defines, where there are several memories."""
    addresses = Addresses(program, 1)
    return [addresses.symbol(region) for region in program.regions if addresses.several]


def section(region: Region) -> str:
    """Of a firmware, where the linker finds a memory's array."""
    return f".memory_{region.name.lower()}"


def base_of(origins: Sequence[int | None]) -> int:
    """The least address of those known from which on 2 GB hold them all; 0 if all are below that.

    Raises `TargetError` if there is none.
    """
    known = sorted(origin for origin in origins if origin is not None)
    for base in (0, *known):
        if all((origin - base) % (1 << 32) < REACH for origin in known):
            return base
    listed = ", ".join(f"{origin:#x}" for origin in known)
    raise TargetError(f"memories at {listed} don't lie within 2 GB of one another; leave one out")
