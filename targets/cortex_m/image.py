"""A firmware image for a board on a cable: the model, the MLPerf Tiny protocol, and no debugger."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...runtime.errors import TargetError
from ...runtime.program import Program
from ...sim.qemu import find_tool, run_tool
from ..boards import Board
from .backend import write_sources
from .printer import model_under_test
from .stack import StackBounds
from .toolchain import (
    FIRMWARE,
    TIMEOUT_S,
    base_define,
    compile_files,
    does_not_fit,
    library_files,
    link_firmware,
    memory_of,
)

DEVICE = Path(__file__).parent / "device"
FILES = ("device.c", "setup.c", "mlperf.c", "model_io.c", "console.c")
EXCEPTION_BYTES = 108  # that a core with FPU pushes when it takes an interrupt, aligned
BOOT_BYTES = 256  # of RP2040's second boot stage, the last four its CRC

# MLPerf Tiny's name of a benchmark -> how its host sends an input (see device/model_io.c)
BENCHMARKS = {
    "kws01": "AS_IS",
    "vww01": "PIXELS",
    "ic01": "PIXELS",
    "ad01": "FLOATS",
    "strww01": "AS_IS",
}
# beginnings of the names of the reference models' files
_KNOWN = {
    "kws": "kws01",
    "vww": "vww01",
    "pretrainedresnet": "ic01",
    "ad01": "ad01",
    "str_ww": "strww01",
}


@dataclass(frozen=True)
class Image:
    """The files of a firmware, and what it takes of the board, in bytes."""

    elf: Path
    bin: Path | None
    hex: Path | None
    uf2: Path | None
    flash_bytes: int
    stack_bytes: int  # of `ram_bytes` those that the stack may really come to use
    ram_bytes: int  # arena, stack, room for an input as it is sent, and all else


def benchmark_of(program: Program) -> str:
    """MLPerf Tiny's name of the program's benchmark; its own name if it is none of them."""
    found = (label for start, label in _KNOWN.items() if program.name.startswith(start))
    return next(found, program.name)


def build_image(
    program: Program, board: Board, folder: Path, benchmark: str | None = None
) -> Image:
    """Compile and link for a board; `TargetError` says what is missing or does not fit."""
    benchmark = benchmark or benchmark_of(program)
    check_fits(program, board, benchmark)
    return link_image(program, board, folder, device_config(program, board, benchmark), FILES)


def link_image(
    program: Program, board: Board, folder: Path, config: str, files: Sequence[str]
) -> Image:
    """The model, `files` of device/ as the rest, and `config` as their `device_config.h`."""
    build = folder / "build"
    build.mkdir(parents=True, exist_ok=True)
    printed = write_sources(program, folder / "c")
    (build / "model_under_test.h").write_text(model_under_test(program))
    (build / "device_config.h").write_text(config)
    assert board.serial is not None and board.clock is not None
    sources = [
        *(path for path in printed if path.suffix == ".c"),
        *(DEVICE / name for name in files),
        DEVICE / f"serial_{board.serial.driver}.c",
        DEVICE / f"clock_{board.clock.source}.c",
        FIRMWARE / "startup.c",
        FIRMWARE / board.startup,
        *library_files(board),
        *_boot(board, build),
    ]
    include = [(folder / "c").resolve(), build.resolve(), DEVICE, FIRMWARE]
    objects = compile_files(sources, include, board, build, base_define(program, board))
    linked = link_firmware(objects, board, build, "firmware.elf", program.regions)
    stack = _stack_bytes(StackBounds(linked, objects, board.compiler), board)
    elf = linked.replace(folder / "firmware.elf")
    return replace(_images(elf, board, folder), stack_bytes=stack)


def _stack_bytes(bounds: StackBounds, board: Board) -> int:
    """The deepest stack of a firmware, an interrupt of the clock included; it must fit."""
    needed = bounds.of("start_main") + EXCEPTION_BYTES
    needed += bounds.of("midge_tick") if "midge_tick" in bounds.names else 0
    if needed > board.stack_bytes:
        raise TargetError(
            f"the firmware's stack may grow to {needed:,} bytes, {board.name} keeps "
            f"{board.stack_bytes:,} for it; take smaller layers, or a larger board"
        )
    return needed


def check_fits(program: Program, board: Board, benchmark: str | None = None) -> None:
    """What can be known before the compiler runs; the linker knows the rest."""
    benchmark = benchmark or benchmark_of(program)
    check_board(program, board)
    if len(program.inputs) != 1 or len(program.outputs) != 1:
        raise TargetError(
            "the serial firmware takes models of one input and one output, this one has "
            f"{len(program.inputs)} and {len(program.outputs)}"
        )
    check_memory(program, board, _sent_bytes(program, benchmark))


def check_board(program: Program, board: Board) -> None:
    """`TargetError` unless firmware can be made for the board from a program for it."""
    if board.serial is None or board.clock is None:
        raise TargetError(
            f"midge has no start-up code and serial port for {board.name}; put the model into a "
            "project of your own with `midge compile --format cmake|arduino|platformio|zephyr`"
        )
    if program.target != board.target:
        raise TargetError(
            f"{board.name} runs programs for {board.target}, this one was compiled for "
            f"{program.target}; say --target {board.target}"
        )


def check_memory(program: Program, board: Board, buffer_bytes: int) -> None:
    """`TargetError` unless arena, stack and buffers fit into the RAM, constants into the flash."""
    taken = _arena_in_ram(program, board) + board.stack_bytes + buffer_bytes
    over = {
        "RAM": taken - board.ram.bytes,
        "FLASH": len(program.constants) - board.flash.bytes,
    }
    if any(count > 0 for count in over.values()):
        raise TargetError(does_not_fit({k: v for k, v in over.items() if v > 0}, board))


def _arena_in_ram(program: Program, board: Board) -> int:
    """Bytes of the arena in the board's own RAM."""
    regions = program.regions
    in_ram = (n for n in range(len(regions)) if memory_of(board, regions, n).name == "ram")
    return sum(regions[n].bytes for n in in_ram) if regions else program.arena_bytes


def sent_as(program: Program, benchmark: str | None = None) -> str:
    """How the benchmark's host sends an input: AS_IS, PIXELS or FLOATS (device/model_io.c)."""
    benchmark = benchmark or benchmark_of(program)
    quantized = program.inputs[0].dtype == "int8" and program.inputs[0].quantization is not None
    return BENCHMARKS.get(benchmark, "AS_IS") if quantized else "AS_IS"


def _sent_bytes(program: Program, benchmark: str) -> int:
    tensor = program.inputs[0]
    return 4 * tensor.elements if sent_as(program, benchmark) == "FLOATS" else tensor.bytes


def device_config(program: Program, board: Board, benchmark: str) -> str:
    """The header that tells the device's C of board and benchmark."""
    return "\n".join(_config_lines(program, board, benchmark)) + "\n"


def board_config(board: Board) -> Iterator[str]:
    """What clocks, ports and set-up need to know of a board."""
    assert board.serial is not None and board.clock is not None
    yield f"/* Printed from {board.name}.toml. */"
    yield f"#define MIDGE_CLOCK_HZ {board.clock.hz}u"
    yield f"#define MIDGE_SERIAL_BASE {board.serial.base:#x}u"
    yield f"#define MIDGE_SERIAL_DIVIDER {board.serial.divider:#x}u"
    steps = "".join(
        f" \\\n    {{{what.upper()}, {address:#x}u, {bits:#x}u}},"
        for what, address, bits in board.serial.setup
    )
    yield f"#define MIDGE_SETUP_STEPS{steps}"


def _config_lines(program: Program, board: Board, benchmark: str) -> Iterator[str]:
    sent = sent_as(program, benchmark)
    elements = {t.elements for t in (*program.inputs, *program.outputs)}
    yield from board_config(board)
    yield f'#define MIDGE_VENDOR "midge {board.name}"'
    yield f'#define MIDGE_MLPERF_MODEL "{benchmark}"'
    for number, kind in enumerate(("AS_IS", "PIXELS", "FLOATS")):
        yield f"#define MIDGE_SENT_{kind} {number}"
    yield f"#define MIDGE_SENT MIDGE_SENT_{sent}"
    yield f"#define MIDGE_SENT_BYTES {_sent_bytes(program, benchmark)}"
    yield f"#define MIDGE_RESULT_IS_ERROR {int(sent == 'FLOATS' and len(elements) == 1)}"


def _boot(board: Board, build: Path) -> Sequence[Path]:
    """What stands in front of the vectors; RP2040's is closed with its CRC."""
    if board.boot is None:
        return ()
    source = DEVICE / f"boot_{board.boot}.c"
    if board.boot != "rp2040":
        return (source,)
    (stage,) = compile_files([source], [], board, build)
    objcopy = find_tool(f"{board.compiler}objcopy")
    run_tool([objcopy, "-O", "binary", "-j", ".boot", stage, build / "boot.bin"], build, TIMEOUT_S)
    code = (build / "boot.bin").read_bytes().ljust(BOOT_BYTES - 4, b"\0")
    block = code + struct.pack("<I", boot_crc(code))
    words = ", ".join(f"{word:#x}" for word in struct.unpack(f"<{BOOT_BYTES // 4}I", block))
    closed = build / "boot_closed.c"
    closed.write_text(
        f'__attribute__((used, section(".boot"))) const unsigned midge_boot[] = {{{words}}};\n'
    )
    return (closed,)


def boot_crc(code: bytes) -> int:
    """CRC-32 as RP2040's ROM has it: not reflected, from all ones, not inverted (2.8.1.3.1)."""

    def mirrored(byte: int) -> int:
        return int(f"{byte:08b}"[::-1], 2)

    plain = binascii.crc32(bytes(map(mirrored, code))) ^ 0xFFFFFFFF
    return int(f"{plain:032b}"[::-1], 2)


def _images(elf: Path, board: Board, folder: Path) -> Image:
    """The same firmware in the forms that programming tools take; an emulator takes the ELF."""
    size = run_tool([find_tool(f"{board.compiler}size"), "-A", elf], folder, TIMEOUT_S)
    rows = [row for line in size.splitlines() if len(row := line.split()) == 3 and row[2].isdigit()]
    sections = [(name, int(count), int(address)) for name, count, address in rows]
    end = board.ram.origin + board.ram.bytes
    ram = sum(count for _, count, at in sections if board.ram.origin <= at < end)
    stored = (".boot", ".vectors", ".text", ".ARM.exidx", ".rodata", ".data")
    flash = sum(count for name, count, _ in sections if name in stored)
    image = Image(elf, None, None, None, flash, 0, ram)
    if not board.flashers:
        return image
    objcopy = find_tool(f"{board.compiler}objcopy")
    raw, ihex = folder / "firmware.bin", folder / "firmware.hex"
    run_tool([objcopy, "-O", "binary", elf, raw], folder, TIMEOUT_S)
    run_tool([objcopy, "-O", "ihex", elf, ihex], folder, TIMEOUT_S)
    uf2 = None
    if board.uf2 is not None:
        uf2 = folder / "firmware.uf2"
        uf2.write_bytes(uf2_blocks(raw.read_bytes(), board.flash.origin, board.uf2.family))
    return replace(image, bin=raw, hex=ihex, uf2=uf2)


def uf2_blocks(content: bytes, address: int, family: int) -> bytes:
    """The USB flashing format: 512 bytes for each 256 of content (github.com/microsoft/uf2)."""
    pieces = [content[at : at + 256] for at in range(0, len(content), 256)]
    has_family = 0x00002000
    return b"".join(
        struct.pack(
            "<8I476sI",
            *(0x0A324655, 0x9E5D5157, has_family, address + 256 * number, 256),
            *(number, len(pieces), family),
            piece.ljust(476, b"\0"),
            0x0AB16F30,
        )
        for number, piece in enumerate(pieces)
    )
