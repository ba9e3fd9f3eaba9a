"""Programming a board with the tools of the field: which one, what command, and why it failed."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ...runtime.errors import ExecutionError, MissingTool, TargetError, ToolError
from . import Board, Flasher

# tool -> how to get it
REMEDIES: Mapping[str, str] = {
    "pyocd": "pip install pyocd",
    "openocd": "apt install openocd",
    "picotool": "apt install picotool, or github.com/raspberrypi/picotool",
    "esptool": "pip install esptool",
    "dfu-util": "apt install dfu-util",
    "bossac": "apt install bossa-cli",
    "st-flash": "apt install stlink-tools",
    "openFPGALoader": "apt install openfpgaloader",
    "nrfjprog": "Nordic's nRF command line tools",
}
TIMEOUT_S = 300.0
_USB = Path("/sys/bus/usb/devices")
_DRIVES = ("/media", "/run/media", "/Volumes")

# What a tool says when something is missing -> what it means and what to do. First match counts.
_ACCESS = "the USB device or port may not be opened"
_EXPLANATIONS: Sequence[tuple[str, str]] = (
    (
        r"LIBUSB_ERROR_ACCESS|[Pp]ermission denied|Access denied|insufficient permissions",
        f"{_ACCESS}; add the tool's udev rules, or yourself to the groups dialout and plugdev",
    ),
    (
        r"Target type \S+ not recognized|[Uu]nknown target",
        "pyOCD does not know the chip yet; `pyocd pack install {target}` fetches its description",
    ),
    (
        r"No (available|connected) debug probes|No target device available|no J-Link|"
        r"unable to find a matching CMSIS-DAP|open failed|No debugger|no debugger connected|"
        r"Couldn't find any ST-Link|unable to open CMSIS-DAP",
        "no debug probe is attached; connect the board by its debug USB port",
    ),
    (
        r"No accessible .* (in BOOTSEL mode|devices)|No device.* found|No DFU capable",
        "no board in its boot loader; hold its boot button, or tap reset twice, while plugging in",
    ),
    (
        r"[Cc]ould not open|[Nn]o such file or directory|No device found on",
        "the port can't be opened; is the board plugged in? --port names another port",
    ),
    (
        r"Failed to connect|No serial data received|Timed out waiting",
        "the chip does not answer; hold its boot button while the tool connects",
    ),
)


def find_tool(name: str) -> str | None:
    """The path of a tool: on PATH, or beside the Python that runs this."""
    beside = Path(sys.executable).parent / name
    return shutil.which(name) or (str(beside) if beside.is_file() else None)


def choose(board: Board, tool: str | None = None, must_exist: bool = True) -> Flasher:
    """The board's first flasher that is installed, or the one that is asked for."""
    known = ", ".join(flasher.tool for flasher in board.flashers)
    if not board.flashers:
        raise TargetError(f"no tool is known that programs {board.name}")
    wanted = [flasher for flasher in board.flashers if tool in (None, flasher.tool)]
    if not wanted:
        raise TargetError(f"{board.name} is programmed by {known}, not by {tool!r}")
    found = next((flasher for flasher in wanted if find_tool(flasher.tool)), None)
    if found is not None or not must_exist:
        return found or wanted[0]
    remedies = "; ".join(f"{flasher.tool}: {REMEDIES[flasher.tool]}" for flasher in wanted)
    raise MissingTool(
        f"{board.name} needs one of {known}, and none is installed ({remedies}); " + presence(board)
    )


def command(flasher: Flasher, files: Mapping[str, str], port: str | None = None) -> list[str]:
    """The whole command line; `files` has elf, bin, hex and perhaps uf2."""
    port = port or f"/dev/{flasher.port}"
    filled = {**files, "port": port, "port_name": port.removeprefix("/dev/")}
    return [word.format(**filled) for word in flasher.command]


def shown(words: Sequence[str]) -> str:
    """A command as one would type it."""
    return " ".join(map(shlex.quote, words))


def flash(board: Board, words: Sequence[str]) -> str:
    """Run a command of `command`; what the tool said, or an error that says what to do."""
    return run_tool(words, lambda: presence(board))


def run_tool(words: Sequence[str], presence: Callable[[], str]) -> str:
    """Run a tool that programs a board; `presence` says whether the board is there."""
    path = find_tool(words[0]) or words[0]
    try:
        done = subprocess.run(
            [path, *words[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise ExecutionError(
            f"{words[0]} did not end within {TIMEOUT_S:g} s; {presence()}"
        ) from None
    except OSError as error:
        raise ToolError(f"{path} can't be run: {error.strerror}") from None
    if done.returncode == 0:
        return done.stdout
    raise ExecutionError(f"{explain(done.stdout, words)}; {presence()}")


def explain(said: str, words: Sequence[str]) -> str:
    """One sentence for what a failing tool said."""
    for pattern, meaning in _EXPLANATIONS:
        if re.search(pattern, said):
            target = words[words.index("--target") + 1] if "--target" in words else ""
            return f"{words[0]}: {meaning.format(target=target)}"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return f"{words[0]} failed: {' / '.join(lines[-3:]) or 'it said nothing'}"


def presence(board: Board) -> str:
    """Whether the board's USB device is here, as a clause."""
    if not board.usb:
        return "its programmer has no USB device that could be looked for"
    seen = sorted({device for device in usb_devices() if device.startswith(board.usb)})
    if seen:
        return f"its USB device {seen[0]} is connected"
    return f"no {board.name} is connected (no USB device {' or '.join(board.usb)} is here)"


def usb_devices() -> Iterator[str]:
    """vendor:product of every USB device of this machine."""
    for folder in _USB.glob("*") if _USB.is_dir() else ():
        try:
            ids = [(folder / name).read_text().strip() for name in ("idVendor", "idProduct")]
        except OSError:
            continue
        yield ":".join(ids)


def boot_drive(board: Board) -> Path | None:
    """Where the drive of the board's UF2 boot loader is mounted, if it is."""
    if board.uf2 is None:
        return None
    for root in map(Path, _DRIVES):
        for depth in ("*", "*/*"):
            for folder in root.glob(depth):
                if folder.name == board.uf2.drive and (folder / "INFO_UF2.TXT").is_file():
                    return folder
    return None
