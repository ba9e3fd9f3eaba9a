"""What a chip's boot ROM, its core and the flashing tools need of a firmware image, checked."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from midge.targets.boards import Board, Memory
from midge.targets.cortex_m.image import BOOT_BYTES, Image, boot_crc

LOAD = 1  # a program header's type
UF2_MAGIC = (0x0A324655, 0x9E5D5157, 0x0AB16F30)
DIRECT_BOOT = struct.pack("<2I", 0xAEDB041D, 0xAEDB041D)


def inside(memory: Memory, at: int, size: int = 0) -> bool:
    return memory.origin <= at and at + size <= memory.origin + memory.bytes


def segments(elf: bytes) -> tuple[int, list[tuple[int, int, bytes, int]]]:
    """The entry, and (address, load address, content, bytes in memory) of what is loaded."""
    assert elf[:6] == b"\x7fELF\1\1"  # 32 bits, little endian
    entry, headers = struct.unpack_from("<2I", elf, 24)
    size, count = struct.unpack_from("<2H", elf, 42)
    found = []
    for number in range(count):
        kind, offset, at, load, stored, taken, _, _ = struct.unpack_from(
            "<8I", elf, headers + size * number
        )
        if kind == LOAD and taken:
            found.append((at, load, elf[offset : offset + stored], taken))
    return entry, found


def uf2_content(blocks: bytes, family: int) -> dict[int, bytes]:
    """Address -> 256 bytes, of blocks that all are for this family."""
    assert len(blocks) % 512 == 0
    found = {}
    for number in range(len(blocks) // 512):
        block = blocks[512 * number : 512 * (number + 1)]
        first, second, flags, at, size, own, count, given = struct.unpack_from("<8I", block)
        assert (first, second, struct.unpack_from("<I", block, 508)[0]) == UF2_MAGIC
        assert (flags, size, own, given) == (0x2000, 256, number, family)
        assert count == len(blocks) // 512
        found[at] = block[32 : 32 + size]
    return found


def hex_records(path: Path) -> Iterator[tuple[int, bytes]]:
    """Address and content of an Intel hex file's records, each with a right sum."""
    above = 0
    for line in path.read_text().splitlines():
        record = bytes.fromhex(line[1:])
        size, low, kind = struct.unpack_from(">BHB", record)
        assert line[0] == ":" and sum(record) % 256 == 0 and len(record) == size + 5
        if kind in (2, 4):  # where the next records are, in paragraphs or in 64 KB
            above = int.from_bytes(record[4:6], "big") << (4 if kind == 2 else 16)
        if kind == 0:
            yield above + low, record[4:-1]


def check_image(image: Image, board: Board) -> None:
    """Every segment lies in a memory, the forms of the image agree, and the core can start."""
    entry, loaded = segments(image.elf.read_bytes())
    stored = {load: content for _, load, content, _ in loaded if content}
    apart = (board.vectors, board.constants)
    readable = [board.flash, board.ram, *filter(None, apart), *board.faster, *board.slower]
    for at, load, content, taken in loaded:
        assert any(inside(memory, at, taken) for memory in readable), hex(at)
        assert not content or any(inside(m, load, len(content)) for m in readable), hex(load)
        if board.constants is not None and content and inside(board.constants, at):
            assert at - board.constants.origin == load - board.flash.origin
    assert any(at <= entry & ~1 < at + len(content) for at, _, content, _ in loaded)
    if image.bin is None:
        assert board.emulator is not None
        return
    raw = image.bin.read_bytes()
    assert image.flash_bytes <= len(raw) < image.flash_bytes + 512
    for load, content in stored.items():
        assert raw[load - board.flash.origin :][: len(content)] == content
    assert image.hex is not None
    written = 0
    for at, content in hex_records(image.hex):
        assert raw[at - board.flash.origin :][: len(content)] == content
        written += len(content)
    assert image.flash_bytes <= written + 16
    if board.uf2 is not None:
        assert image.uf2 is not None
        pages = uf2_content(image.uf2.read_bytes(), board.uf2.family)
        assert sorted(pages) == [*range(board.flash.origin, board.flash.origin + len(raw), 256)]
        assert b"".join(pages[at] for at in sorted(pages)).startswith(raw)
    _check_start(board, raw, entry)


def _check_start(board: Board, raw: bytes, entry: int) -> None:
    """What the ROM looks for, and where the core then begins."""
    if board.boot == "esp32c3":
        assert raw[:8] == DIRECT_BOOT and entry == board.flash.origin + 8
        return
    if board.boot == "rp2040":
        assert struct.unpack_from("<I", raw, BOOT_BYTES - 4) == (boot_crc(raw[: BOOT_BYTES - 4]),)
    if board.boot == "rp2350":
        at = raw.index(struct.pack("<I", 0xFFFFDED3))
        words = struct.unpack_from("<5I", raw, at)
        assert at < 4096 and words[1:] == (0x10210142, 0x000001FF, 0, 0xAB123579)
    vectors = BOOT_BYTES if board.boot == "rp2040" else 0
    stack, *handlers = struct.unpack_from("<16I", raw, vectors)
    assert inside(board.ram, stack) and stack % 8 == 0
    assert handlers[0] == entry | 1
    for handler in handlers:
        assert handler == 0 or (handler & 1 and inside(board.flash, handler))
