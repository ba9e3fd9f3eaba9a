"""Boards are data: one TOML file each, read into a `Board`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...runtime.errors import TargetError
from ...runtime.options import Grant

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Memory:
    """An address range of a board, in bytes."""

    origin: int
    bytes: int


@dataclass(frozen=True)
class NamedMemory(Memory):
    """One that a model's arena may be spread over, besides the RAM."""

    name: str


@dataclass(frozen=True)
class Emulator:
    """How an emulator stands in for the board.

    `counter` names the clock that the firmware reads (a file `counter_<name>.c`), and one
    instruction takes `ticks_per_instruction` of its ticks under `-icount shift=<icount_shift>`.
    """

    program: str
    machine: str
    icount_shift: int
    counter: str
    ticks_per_instruction: float
    arguments: tuple[str, ...] = ()  # that the machine needs besides its name


@dataclass(frozen=True)
class Clock:
    """The clock that a firmware tells time by: `source` is a file `clock_<source>.c`."""

    hz: int
    source: str


@dataclass(frozen=True)
class Serial:
    """A serial port: the driver is a file `serial_<driver>.c`, which the divider is made for.

    `setup` lists what is to be done to registers before: (set, clear or write, address, bits), or
    (wait, address, bits) until one of the bits is set. `port` is its usual name on Linux.
    """

    driver: str
    base: int
    baud: int
    divider: int
    port: str | None = None
    setup: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True)
class Flasher:
    """A command that programs the board; {elf}, {bin}, {hex}, {uf2}, {port}, {port_name} are open.

    `port` is the usual name of the port that it talks to, if it needs one.
    """

    command: tuple[str, ...]
    port: str | None = None

    @property
    def tool(self) -> str:
        return self.command[0]


@dataclass(frozen=True)
class Uf2:
    """The drive that the boot loader shows, and the family that it takes."""

    family: int
    drive: str


OTHER_RAM_BYTES = 512  # of a firmware's own data


@dataclass(frozen=True)
class PowerFigures:
    """Watts that the processor draws, by the documents that `source` names."""

    compute: float
    send: float
    wait: float
    source: str


@dataclass(frozen=True)
class Board:
    """A microcontroller board: what the linker, the compiler and the emulator must know of it."""

    name: str
    description: str
    target: str  # a key of runtime.backend.BACKENDS
    flash: Memory
    ram: Memory
    stack_bytes: int
    compiler: str  # prefix of the tools' names, such as arm-none-eabi-
    flags: tuple[str, ...]  # that choose the processor
    link: tuple[str, ...]  # the libraries
    startup: str  # file of firmware/ that the core begins with
    library: tuple[str, ...] = ()  # files of targets/riscv/, for a compiler without a C library
    vectors: Memory | None = None  # where the core looks for its vectors, if not in the flash
    constants: Memory | None = None  # where the flash is read, if not where it is executed
    emulator: Emulator | None = None
    sources: tuple[str, ...] = ()  # documents that this was taken from
    boot: str | None = None  # file boot_<boot>.c of device/, in front of the vectors
    clock: Clock | None = None
    serial: Serial | None = None
    flashers: tuple[Flasher, ...] = ()  # the best first
    uf2: Uf2 | None = None
    usb: tuple[str, ...] = ()  # vendor, or vendor:product, of its probe or boot loader
    faster: tuple[NamedMemory, ...] = ()  # memories that a model's arena may use before the RAM
    slower: tuple[NamedMemory, ...] = ()  # and after it
    power: PowerFigures | None = None

    @property
    def memories(self) -> tuple[NamedMemory, ...]:
        """All that an arena may be spread over, the fastest first; stack and data are in `ram`."""
        ram = NamedMemory(self.ram.origin, self.ram.bytes, "ram")
        return (*self.faster, ram, *self.slower)

    def grants(self, sent_bytes: int) -> tuple[Grant, ...]:
        """What of these a model may have beside the stack and an input as it is sent."""
        kept = self.stack_bytes + sent_bytes + OTHER_RAM_BYTES
        rooms = ((m, m.bytes - kept * (m.name == "ram")) for m in self.memories)
        return tuple(Grant(m.name, room, m.origin) for m, room in rooms if room > 0)


def boards() -> dict[str, Board]:
    """Every board by its name."""
    return {path.stem: _read(path) for path in sorted(FOLDER.glob("*.toml"))}


def find_board(name: str) -> Board:
    """The board of that name, or a `TargetError` that lists what there is."""
    known = boards()
    if name not in known:
        raise TargetError(f"there is no board {name!r}; the boards are {', '.join(known)}")
    return known[name]


def emulated_board(target: str) -> Board:
    """The board on which an emulator runs programs for `target`."""
    for board in boards().values():
        if board.target == target and board.emulator is not None:
            return board
    raise TargetError(f"no emulated board runs target {target!r}; add one to targets/boards")


def _read(path: Path) -> Board:
    with open(path, "rb") as file:
        data: Mapping[str, Any] = tomllib.load(file)
    return Board(
        name=path.stem,
        description=data["description"],
        target=data["target"],
        flash=Memory(**data["flash"]),
        ram=Memory(**data["ram"]),
        stack_bytes=data["stack_bytes"],
        compiler=data["compiler"],
        flags=tuple(data["flags"]),
        link=tuple(data["link"]),
        startup=data["startup"],
        library=tuple(data.get("library", ())),
        vectors=Memory(**data["vectors"]) if "vectors" in data else None,
        constants=Memory(**data["constants"]) if "constants" in data else None,
        emulator=_emulator(data["emulator"]) if "emulator" in data else None,
        sources=tuple(data.get("sources", ())),
        boot=data.get("boot"),
        clock=Clock(**data["clock"]) if "clock" in data else None,
        serial=_serial(data["serial"]) if "serial" in data else None,
        flashers=tuple(
            Flasher(tuple(f["command"]), f.get("port")) for f in data.get("flasher", ())
        ),
        uf2=Uf2(**data["uf2"]) if "uf2" in data else None,
        usb=tuple(data.get("usb", ())),
        faster=tuple(NamedMemory(**memory) for memory in data.get("faster", ())),
        slower=tuple(NamedMemory(**memory) for memory in data.get("slower", ())),
        power=PowerFigures(**data["power"]) if "power" in data else None,
    )


def _emulator(data: Mapping[str, Any]) -> Emulator:
    return Emulator(**{**data, "arguments": tuple(data.get("arguments", ()))})


def _serial(data: Mapping[str, Any]) -> Serial:
    return Serial(**{**data, "setup": tuple(tuple(step) for step in data.get("setup", ()))})
