"""From C files to an ELF: compile, link for a board, and count the bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...runtime.errors import TargetError, ToolError
from ...runtime.program import Program, Region
from ...sim.qemu import find_tool, run_tool
from ..boards import Board, NamedMemory
from .addresses import base_of, section
from .stack import CALL_GRAPH, StackBounds

FIRMWARE = Path(__file__).parent / "firmware"
LIBRARY = Path(__file__).parent.parent / "riscv"
OPTIMISE = "-O3"  # 3 to 7 % fewer instructions than -O2, for 1.3 KB more code
TIMEOUT_S = 300.0

# Float sums must not be contracted to fused multiply-adds: they would round once instead of twice.
C_FLAGS = (
    "-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror",
    "-ffp-contract=off", "-ffunction-sections", "-fdata-sections",
)  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """Bytes that a model adds to a firmware's flash, without the test harness.

    `code` is machine code: kernels, the model's own functions, and what they need of the compiler's
    and C library. `constants` is read-only data: weights, tables and the calls' parameters.
    """

    code: int
    constants: int
    stack: StackBounds

    @property
    def flash(self) -> int:
        return self.code + self.constants


def compile_files(
    files: Iterable[Path],
    include: Sequence[Path],
    board: Board,
    folder: Path,
    defines: Sequence[str] = (),
) -> list[Path]:
    """One object in `folder` for each C file."""
    gcc = find_tool(f"{board.compiler}gcc")
    folders = [*include, LIBRARY] if board.library else include
    objects = []
    for file in files:
        objects.append(folder / f"{file.stem}.o")
        includes = [word for path in folders for word in ("-I", path)]
        command = [gcc, *board.flags, OPTIMISE, *C_FLAGS, CALL_GRAPH, *defines, *includes]
        run_tool([*command, "-c", file.resolve(), "-o", objects[-1]], folder, TIMEOUT_S)
    return objects


def harness_files(board: Board, programs: Sequence[str]) -> list[Path]:
    """C files of a firmware for the emulated board around these `programs` of `firmware/`."""
    assert board.emulator is not None
    counters = ("counter.c", f"counter_{board.emulator.counter}.c")
    names = (*programs, "startup.c", board.startup, "semihosting.c", *counters)
    return [FIRMWARE / name for name in names]


def library_files(board: Board) -> list[Path]:
    """C files that stand for the C library where the compiler has none."""
    return [LIBRARY / name for name in board.library]


def link_firmware(
    objects: Sequence[Path], board: Board, folder: Path, name: str, regions: Sequence[Region] = ()
) -> Path:
    """An ELF that starts on the board, an arena's regions in its memories; `TargetError` if it
    doesn't fit."""
    (folder / "memory.ld").write_text(memory_script(board, regions))
    script = FIRMWARE / "firmware.ld"
    return _link(objects, ["-T", script, "-L", folder], board, folder, name)


def measure(
    objects: Sequence[Path],
    roots: Sequence[str],
    board: Board,
    folder: Path,
    memories: Sequence[str] = (),
) -> Sizes:
    """Link the model alone, without what `roots` don't reach, and add up its sections.

    `memories` are arrays that the application defines.
    """
    keep = [f"-Wl,-u,{root}" for root in roots]
    keep += [f"-Wl,--defsym={symbol}=0" for symbol in memories]
    elf = _link(objects, [f"-Wl,-e,{roots[0]}", *keep], board, folder, "model_alone.elf")
    code, constants = section_sizes(elf, board.compiler, folder)
    return Sizes(code, constants, StackBounds(elf, tuple(objects), board.compiler))


def section_sizes(elf: Path, compiler: str, folder: Path) -> tuple[int, int]:
    """What of a linked file is code, and what constants."""
    listing = run_tool([find_tool(f"{compiler}size"), "-A", elf], folder, TIMEOUT_S)
    sections = _sections(listing)
    code = sum(size for name, size in sections.items() if name.startswith(".text"))
    constants = sum(
        size for name, size in sections.items() if name.startswith((".rodata", ".data"))
    )
    return code, constants


def memory_of(board: Board, regions: Sequence[Region], number: int) -> NamedMemory:
    """The board's memory for a region: that of its name, else the one at its place, or the last."""
    named = {memory.name.lower(): memory for memory in board.memories}
    if all(region.name.lower() in named for region in regions):
        return named[regions[number].name.lower()]
    return board.memories[min(number, len(board.memories) - 1)]


def base_define(program: Program, board: Board) -> list[str]:
    """The compiler's option that says from where on the board's memories are counted."""
    if len(program.regions) < 2:
        return []
    used = [memory_of(board, program.regions, n).origin for n in range(len(program.regions))]
    return [f"-DMIDGE_{program.name.upper()}_BASE={base_of(used):#x}u"]


def memory_script(board: Board, regions: Sequence[Region] = ()) -> str:
    """The board's memories as the linker reads them, and the sections of an arena's regions."""
    others = "".join(
        f"  MEMORY_{memory.name.upper()} (rw) : ORIGIN = {memory.origin:#x}, "
        f"LENGTH = {memory.bytes}\n"
        for memory in (*board.faster, *board.slower)
    )
    sections = "".join(
        _section_script(section(region), memory_of(board, regions, number))
        for number, region in enumerate(regions)
    )
    vectors, alias = "", 'REGION_ALIAS("VECTORS", FLASH);\n'
    if board.vectors is not None:
        begin, size = board.vectors.origin, board.vectors.bytes
        vectors, alias = f"  VECTORS (rx) : ORIGIN = {begin:#x}, LENGTH = {size}\n", ""
    constants, apart = "", int(board.constants is not None)
    alias += "" if apart else 'REGION_ALIAS("CONSTANTS", FLASH);\n'
    if board.constants is not None:
        begin, size = board.constants.origin, board.constants.bytes
        constants = f"  CONSTANTS (r) : ORIGIN = {begin:#x}, LENGTH = {size}\n"
    return (
        "MEMORY {\n"
        f"  FLASH (rx) : ORIGIN = {board.flash.origin:#x}, LENGTH = {board.flash.bytes}\n"
        f"  RAM (rwx) : ORIGIN = {board.ram.origin:#x}, LENGTH = {board.ram.bytes}\n"
        f"{vectors}{constants}{others}"
        "}\n"
        f"{alias}"
        f"MIDGE_CONSTANTS_APART = {apart};\n"
        f"MIDGE_STACK_BYTES = {board.stack_bytes};\n"
        f"{sections}"
    )


def _section_script(name: str, memory: NamedMemory) -> str:
    place = "RAM" if memory.name == "ram" else f"MEMORY_{memory.name.upper()}"
    content = " ".join(f"*({name}{end})" for end in (".before", "", ".after"))
    return f"SECTIONS {{ {name} (NOLOAD) : {{ . = ALIGN(16); {content} }} > {place} }}\n"


def _link(
    objects: Sequence[Path], options: Sequence[str | Path], board: Board, folder: Path, name: str
) -> Path:
    elf = folder / name
    plain = ["-nostartfiles", "-Wl,--gc-sections", "-Wl,--build-id=none"]
    command = [find_tool(f"{board.compiler}gcc"), *board.flags, *plain, *options, *objects]
    try:
        run_tool([*command, "-o", elf, *board.link], folder, TIMEOUT_S)
    except ToolError as error:
        overflow = _overflows(str(error))
        if not overflow:
            raise
        raise TargetError(does_not_fit(overflow, board)) from None
    return elf


def _overflows(message: str) -> dict[str, int]:
    """Memory -> bytes too many, from the linker's words."""
    found = re.findall(r"region [`'](\w+)' overflowed by (\d+) bytes", message)
    return {region: int(count) for region, count in found}


def does_not_fit(overflow: Mapping[str, int], board: Board) -> str:
    """The sentence for a firmware that is too large."""
    have = {"FLASH": board.flash.bytes, "RAM": board.ram.bytes}
    words = {"FLASH": "flash", "RAM": "RAM"}
    for memory in (*board.faster, *board.slower):
        have[f"MEMORY_{memory.name.upper()}"] = memory.bytes
        words[f"MEMORY_{memory.name.upper()}"] = memory.name
    parts = [
        f"{count} bytes more {words[region]} than the {have[region]} of {board.name}"
        for region, count in overflow.items()
    ]
    return f"the firmware needs {' and '.join(parts)}; take a smaller model or a larger board"


def _sections(listing: str) -> dict[str, int]:
    """Section -> bytes, from `size -A`."""
    rows = (line.split() for line in listing.splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 3 and row[1].isdigit()}
