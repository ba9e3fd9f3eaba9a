"""A program as one shared library: kernels for every instruction set of a machine, and data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...kernels.native import processor
from ...kernels.native.dispatch import encode
from ...kernels.native.library import images
from ...kernels.native.linker import AARCH64, X86_64, Image, joined, link_among
from ...runtime.program import Program
from .elf import PAGE, layout, shared_library
from .entry import (
    CPUID,
    EXPORTS,
    LINE,
    MACHINES,
    SUPPORT,
    Memory,
    entry_object,
    kernel_symbol,
    memory_of,
    up,
)


@dataclass(frozen=True)
class Library:
    """The file, and what a caller must know."""

    file: bytes
    machine: str
    prefix: str
    memory: Memory
    sets: tuple[str, ...]
    starts: tuple[int, ...]  # the words at which the program's items begin
    code_bytes: int
    constant_bytes: int


def build_library(program: Program, machine: str) -> Library:
    """Compile what is not in the cache yet, and put all together."""
    prefix, sets = f"midge_{program.name}", processor.sets_for(machine)
    encoded = encode(program.items)
    memory = memory_of(program.arena_bytes, len(encoded.words), len(encoded.kernels))
    functions = ("dispatch", *encoded.kernels)
    code = {name: images(functions, name) for name in sets}
    initial = b"".join(np.ascontiguousarray(v).tobytes() for v in program.state.values())
    parts = (bytes(program.constants) + bytes(2 * LINE), encoded.words.tobytes(), initial)
    exports = [f"{prefix}_{name}" for name in EXPORTS]
    data, offsets = _aligned(parts, LINE)
    placed = layout(exports, len(data))
    known = dict(zip(("constants", "words", "initial"), (placed.data + o for o in offsets)))
    state = {program.addresses[i]: v.nbytes for i, v in program.state.items()}
    entry = entry_object(prefix, machine, sets, memory, state)
    text, addresses = _text(entry, code, functions, exports, placed.code, known, machine)
    file = shared_library(MACHINES[machine], addresses, data, text)
    return Library(file, machine, prefix, memory, sets, encoded.starts, len(text), len(data))


def _text(
    entry: bytes,
    code: dict[str, dict[str, Image]],
    functions: Sequence[str],
    exports: list[str],
    base: int,
    known: dict[str, int],
    machine: str,
) -> tuple[bytes, dict[str, int]]:
    """All code, to lie at `base`, and the addresses of the exports: kernels, then the entry."""
    pieces: list[tuple[int, Image]] = []
    at = base
    placed: dict[tuple[str, str], int] = {}  # (set, function) -> address: some sets share code
    for name, compiled in code.items():
        made_for = processor.made_for(name, functions)
        for number, function in enumerate(functions):
            image, key = compiled[function], (made_for[function], function)
            if key not in placed:
                placed[key] = at
                pieces.append((at, image))
                at += up(len(image.code), PAGE if MACHINES[machine] == AARCH64 else LINE)
            known[kernel_symbol(name, number - 1)] = placed[key] + image.entry
    known["cpuid"] = at
    at = up(at + len(CPUID), PAGE)
    relative = {name: address - at for name, address in known.items()}
    linked, offsets = link_among(entry, [*exports, *SUPPORT], relative)
    support = {name: at + offsets[name] for name in SUPPORT}
    text = bytearray(at - base) + linked
    for place, image in pieces:
        moved = joined(image, MACHINES[machine], place, support)
        text[place - base : place - base + len(moved)] = moved
    if MACHINES[machine] == X86_64:
        text[known["cpuid"] - base : known["cpuid"] - base + len(CPUID)] = CPUID
    return bytes(text), {name: at + offsets[name] for name in exports}


def _aligned(parts: Sequence[bytes], alignment: int) -> tuple[bytes, list[int]]:
    """Parts one after the other, each aligned, and where each begins."""
    room, offsets = bytearray(), []
    for part in parts:
        room += bytes(-len(room) % alignment)
        offsets.append(len(room))
        room += part
    return bytes(room), offsets
