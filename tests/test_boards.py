"""Boards are data: their facts hang together, firmware fits or says why, tools are driven."""

from __future__ import annotations

import json
import os
import struct
from dataclasses import replace
from pathlib import Path

import build_tflite as b
import pytest
from images import check_image

from midge.runtime.backend import BACKENDS
from midge.runtime.errors import MissingTool, TargetError
from midge.runtime.pipeline import compile_model
from midge.runtime.program import Program
from midge.targets.boards import Board, boards, find_board, flashing
from midge.targets.cortex_m.image import (
    DEVICE,
    boot_crc,
    build_image,
    check_fits,
    uf2_blocks,
)
from midge.tools.cli import main

BOARDS = boards()
WITH_FIRMWARE = [b for b in BOARDS.values() if b.serial is not None and b.target in BACKENDS]
ON_A_CABLE = [board for board in BOARDS.values() if board.emulator is None]


@pytest.fixture(scope="module")
def small() -> Program:
    return replace(compile_model(b.softmax(), "cortex-m4"), name="small")


@pytest.fixture(scope="module")
def compiled(small: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder such as `midge compile` writes."""
    folder = tmp_path_factory.mktemp("compiled")
    small.save(folder / "small.midge")
    return folder


# ---- the data ----------------------------------------------------------------------------------


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.name)
def test_facts_hang_together(board: Board) -> None:
    for memory in (board.flash, board.ram):
        assert memory.origin % 256 == 0 and 16 * 1024 <= memory.bytes <= 16 << 20
    assert board.stack_bytes < board.ram.bytes
    assert board.emulator is not None or (board.sources and board.flashers and board.usb)
    if board.serial is not None:
        assert board.clock is not None
        assert (DEVICE / f"serial_{board.serial.driver}.c").is_file()
        assert (DEVICE / f"clock_{board.clock.source}.c").is_file()
        for what, address, bits in board.serial.setup:
            assert what in ("set", "clear", "write", "wait")
            assert address % 4 == 0 and 0x4000_0000 <= address < 0x7000_0000
            assert 0 < bits < 1 << 32
    assert board.boot is None or (DEVICE / f"boot_{board.boot}.c").is_file()
    assert all(flasher.tool in flashing.REMEDIES for flasher in board.flashers)


# hz / baud, in the unit of each port's divider
DIVIDERS = {
    "stm32": lambda hz, baud, base: hz * (256 if base == 0x40008000 else 1) / baud,
    "stm32f4": lambda hz, baud, base: hz / baud,
    "cmsdk": lambda hz, baud, base: hz / baud,
    "pl011": lambda hz, baud, base: 64 * hz / (16 * baud),
}


@pytest.mark.parametrize(
    "board",
    [b for b in WITH_FIRMWARE if b.serial and b.serial.driver in DIVIDERS],
    ids=lambda board: board.name,
)
def test_dividers_give_the_speed(board: Board) -> None:
    assert board.serial is not None and board.clock is not None
    exact = DIVIDERS[board.serial.driver](board.clock.hz, board.serial.baud, board.serial.base)
    assert abs(board.serial.divider / exact - 1) < 0.01


@pytest.mark.parametrize("board", WITH_FIRMWARE, ids=lambda board: board.name)
def test_firmware_is_built_for_every_board(board: Board, small: Program, tmp_path: Path) -> None:
    """Another core runs the same words here: only what the compiler is told differs."""
    try:
        image = build_image(replace(small, target=board.target), board, tmp_path)
    except MissingTool as error:
        pytest.skip(str(error))
    assert 0 < image.flash_bytes <= board.flash.bytes
    least = small.arena_bytes + board.stack_bytes + small.inputs[0].bytes
    assert least <= image.ram_bytes <= board.ram.bytes
    check_image(image, board)


def test_crc_of_the_boot_stage() -> None:
    """The check value of CRC-32/MPEG-2, which the data sheet describes."""
    assert boot_crc(b"123456789") == 0x0376E6E7


def test_uf2_blocks() -> None:
    blocks = uf2_blocks(bytes(range(256)) + b"\x07", 0x10000000, 0xE48BFF56)
    assert len(blocks) == 1024
    header = struct.unpack_from("<8I", blocks, 512)
    assert header == (0x0A324655, 0x9E5D5157, 0x2000, 0x10000100, 256, 1, 2, 0xE48BFF56)
    assert blocks[512 + 32 : 512 + 34] == b"\x07\0"
    assert blocks[-4:] == struct.pack("<I", 0x0AB16F30)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ram": 8192}, "bytes more RAM than the 8192 of nucleo-f401re"),
        ({"flash": 64}, "bytes more flash than the 64 of nucleo-f401re"),
    ],
)
def test_limits_are_known_before_the_compiler_runs(
    small: Program, change: dict[str, int], said: str
) -> None:
    board = find_board("nucleo-f401re")
    less = {name: replace(getattr(board, name), bytes=size) for name, size in change.items()}
    with pytest.raises(TargetError, match=said):
        check_fits(small, replace(board, **less))  # type: ignore[arg-type]


def test_what_a_board_cannot_take_is_said(small: Program) -> None:
    silent = replace(find_board("esp32-c3-devkitm-1"), serial=None)
    with pytest.raises(TargetError, match="no start-up code and serial port for esp32-c3"):
        check_fits(replace(small, target="rv32imc"), silent)
    with pytest.raises(TargetError, match="runs programs for cortex-m0, this one was compiled for"):
        check_fits(small, find_board("raspberry-pi-pico"))


def test_boards_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boards", "--json"]) == 0
    listed = {board["name"]: board for board in json.loads(capsys.readouterr().out)["boards"]}
    assert listed.keys() == BOARDS.keys()
    assert listed["nucleo-l4r5zi"]["ram_bytes"] == 640 * 1024
    assert main(["boards"]) == 0


def test_doctor_lists_the_tools_that_flash(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    listed = {tool["name"]: tool for tool in json.loads(capsys.readouterr().out)["tools"]}
    assert flashing.REMEDIES.keys() <= listed.keys()
    assert listed["pyocd"]["for"] == "midge flash" and listed["pyocd"]["remedy"]


# ---- the tools ---------------------------------------------------------------------------------


def fake_tool(folder: Path, name: str, said: str = "", code: int = 0) -> Path:
    """A tool that writes down how it was called."""
    path = folder / name
    path.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$0" "$@" > "{folder}/called"\n'
        f"cat <<'END'\n{said}\nEND\nexit {code}\n"
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of fake tools, in front of those that build the firmware; no real flash tool."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(
        flashing,
        "find_tool",
        lambda name: str(tmp_path / name) if (tmp_path / name).is_file() else None,
    )
    return tmp_path


def called(tools: Path) -> list[str]:
    return (tools / "called").read_text().splitlines()


def flash(
    capsys: pytest.CaptureFixture[str], folder: Path, board: str, *more: str
) -> tuple[int, dict]:  # type: ignore[type-arg]
    code = main(["flash", str(folder), "--board", board, "--json", *more])
    result = json.loads(capsys.readouterr().out)
    if code and "is needed and is not installed" in result["error"]:
        pytest.skip(result["error"])
    return code, result


def test_dry_run_prints_the_whole_command(
    capsys: pytest.CaptureFixture[str], compiled: Path, tools: Path
) -> None:
    code, result = flash(capsys, compiled, "nucleo-l4r5zi", "--dry-run")
    elf = str(compiled / "nucleo-l4r5zi" / "firmware.elf")
    assert code == 0 and not result["flashed"]
    assert result["command"] == ["pyocd", "flash", "--no-wait", "--target", "stm32l4r5zitx", elf]
    assert main(["flash", str(compiled), "--board", "nucleo-l4r5zi", "--dry-run"]) == 0
    assert f"pyocd flash --no-wait --target stm32l4r5zitx {elf}" in capsys.readouterr().out
    assert not (tools / "called").exists()


def test_the_tool_that_is_there_is_run(
    capsys: pytest.CaptureFixture[str], compiled: Path, tools: Path
) -> None:
    fake_tool(tools, "openocd", "** Programming Finished **")
    code, result = flash(capsys, compiled, "nucleo-l4r5zi")
    elf = compiled / "nucleo-l4r5zi" / "firmware.elf"
    assert code == 0 and result["flashed"] and result["tool"] == "openocd"
    assert called(tools)[1:] == [
        *("-f", "board/st_nucleo_l4.cfg", "-c"),
        f"program {elf} verify reset exit",
    ]
    assert elf.read_bytes()[:4] == b"\x7fELF"


def test_the_tool_that_is_asked_for_is_run(
    capsys: pytest.CaptureFixture[str], compiled: Path, tools: Path
) -> None:
    for name in ("pyocd", "dfu-util"):
        fake_tool(tools, name)
    code, _ = flash(capsys, compiled, "nucleo-l4r5zi", "--tool", "dfu-util")
    assert code == 0
    assert called(tools)[-1].endswith("nucleo-l4r5zi/firmware.bin")
    code, result = flash(capsys, compiled, "nucleo-l4r5zi", "--tool", "esptool")
    assert code == 1 and "is programmed by pyocd, openocd, st-flash, dfu-util" in result["error"]


def test_port_of_a_boot_loader(
    capsys: pytest.CaptureFixture[str], compiled: Path, tools: Path
) -> None:
    fake_tool(tools, "bossac")
    code, _ = flash(capsys, compiled, "arduino-nano-33-ble", "--port", "/dev/ttyACM7")
    assert code == 0 and "--port=ttyACM7" in called(tools)


@pytest.mark.parametrize(
    ("tool", "said", "meaning"),
    [
        ("pyocd", "0001091 E No target device available [load_cmd]", "no debug probe is attached"),
        (
            "pyocd",
            "Target type stm32l4r5zitx not recognized.",
            "`pyocd pack install stm32l4r5zitx`",
        ),
        ("openocd", "Error: open failed", "no debug probe is attached"),
        ("openocd", "Error: libusb_open() failed with LIBUSB_ERROR_ACCESS", "udev rules"),
        ("dfu-util", "No DFU capable USB device available", "hold its boot button"),
        ("st-flash", "Couldn't find any ST-Link devices", "no debug probe is attached"),
        ("st-flash", "something new", "st-flash failed: something new"),
    ],
)
def test_a_tool_that_fails_is_explained(
    capsys: pytest.CaptureFixture[str],
    compiled: Path,
    tools: Path,
    tool: str,
    said: str,
    meaning: str,
) -> None:
    fake_tool(tools, tool, said, code=1)
    code, result = flash(capsys, compiled, "nucleo-l4r5zi")
    assert code == 1 and meaning in result["error"], result


def test_no_tool_at_all(capsys: pytest.CaptureFixture[str], compiled: Path, tools: Path) -> None:
    code, result = flash(capsys, compiled, "nucleo-l4r5zi")
    assert code == 1
    assert (
        "needs one of pyocd, openocd, st-flash, dfu-util, and none is installed" in result["error"]
    )
    assert "pip install pyocd" in result["error"]


def test_whether_the_board_is_connected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flashing, "_USB", tmp_path)
    board = find_board("nucleo-l4r5zi")
    assert "no nucleo-l4r5zi is connected (no USB device 0483:374b" in flashing.presence(board)
    device = tmp_path / "1-2"
    device.mkdir()
    for name, value in (("idVendor", "0483\n"), ("idProduct", "374b\n")):
        (device / name).write_text(value)
    assert flashing.presence(board) == "its USB device 0483:374b is connected"


def test_a_boot_drive_is_copied_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drive = tmp_path / "user" / "RP2350"
    drive.mkdir(parents=True)
    monkeypatch.setattr(flashing, "_DRIVES", (str(tmp_path),))
    pico = find_board("raspberry-pi-pico-2")
    assert flashing.boot_drive(pico) is None
    (drive / "INFO_UF2.TXT").write_text("UF2 Bootloader v1.0\n")
    assert flashing.boot_drive(pico) == drive
    assert flashing.boot_drive(find_board("raspberry-pi-pico")) is None


def test_wrong_folders(capsys: pytest.CaptureFixture[str], compiled: Path, tmp_path: Path) -> None:
    for folder, said in (
        (tmp_path / "none", "no such folder"),
        (tmp_path, "one saved program is needed, there is none"),
    ):
        code, result = flash(capsys, folder, "nucleo-l4r5zi")
        assert code == 1 and said in result["error"]
    code, result = flash(capsys, compiled, "cray")
    assert code == 1 and "there is no board 'cray'" in result["error"]


def test_an_emulated_board_is_flashed_and_answers(
    capsys: pytest.CaptureFixture[str], compiled: Path
) -> None:
    code, result = flash(capsys, compiled, "mps2-an386")
    assert code == 0 and result["flashed"]
    assert result["said"] == "midge mps2-an386 answers, model small"
