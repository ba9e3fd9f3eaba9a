"""What compiled things depend on besides their model: this package's sources and the processor.

Asked at every start from the cache, so nothing heavy is imported here.
"""

from __future__ import annotations

import hashlib
import os
import sys
from functools import lru_cache
from importlib.util import find_spec

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INSTRUCTIONS = "MIDGE_INSTRUCTIONS"  # the variable that states an instruction set


def surroundings(rooms: tuple[str, ...], packages: tuple[str, ...] = ()) -> str:
    """A digest of names, sizes and times of the sources in `rooms`, of where `packages` are (or
    that they are not), and of the processor with the instruction set that is stated."""
    return _digest(rooms, packages, os.environ.get(INSTRUCTIONS))


@lru_cache(maxsize=8)
def _digest(rooms: tuple[str, ...], packages: tuple[str, ...], instructions: str | None) -> str:
    places = [spec and spec.origin for spec in map(find_spec, packages)]
    parts = (sys.version_info[:2], instructions, places, _stats(rooms), processor())
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _stats(rooms: tuple[str, ...]) -> list[tuple[str, int, int]]:
    found, folders = [], [os.path.join(PACKAGE, room) for room in rooms]
    while folders:
        for each in os.scandir(folders.pop()):
            if each.name.endswith(".py"):
                stat = each.stat()
                found.append((each.path, stat.st_size, stat.st_mtime_ns))
            elif each.name != "__pycache__" and each.is_dir():
                folders.append(each.path)
    return sorted(found)


@lru_cache(maxsize=1)
def processor() -> str:
    """What tells processors with different instructions apart."""
    try:
        with open("/proc/cpuinfo") as file:
            lines = file.read().splitlines()
    except OSError:
        lines = []
    telling = ("flags", "Features", "CPU part", "model", "cpu family", "vendor_id")
    own = sorted({line for line in lines if line.partition(":")[0].strip() in telling})
    return "\n".join([os.uname().machine, *own])
