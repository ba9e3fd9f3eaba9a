"""Which vector instructions native kernels are compiled for."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from ...runtime.errors import TargetError

Value = TypeVar("Value")

VARIABLE = "MIDGE_INSTRUCTIONS"
AVX512_VNNI, AVX_VNNI, AVX2, PORTABLE = "avx512-vnni", "avx-vnni", "avx2", "portable"
NEON_I8MM, NEON_DOT, NEON = "neon-i8mm", "neon-dotprod", "neon"
_PRODUCTS = frozenset({"conv2d_vector_s8", "fully_connected_vector_s8"})


@dataclass(frozen=True)
class Instructions:
    """An instruction set: the machine that has it, and the least processor as LLVM calls it."""

    machine: str  # as `platform.machine()` says it
    flags: frozenset[str]  # what it needs of those in /proc/cpuinfo
    processor: str
    features: str = ""
    like: str = ""  # a set whose kernels it has, but for `own` ones
    own: frozenset[str] = frozenset()


# The widest first of each machine. Every x86-64 has what `portable` takes, every AArch64 `neon`.
SETS: Mapping[str, Instructions] = {
    AVX512_VNNI: Instructions(
        "x86_64",
        frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"}),
        "cascadelake",
    ),
    AVX_VNNI: Instructions(
        "x86_64",
        frozenset({"avx2", "avx_vnni"}),
        "haswell",
        "+avxvnni",
        AVX2,
        _PRODUCTS | {"depthwise_conv2d_vector_s8", "peak"},
    ),
    AVX2: Instructions("x86_64", frozenset({"avx2"}), "haswell"),
    PORTABLE: Instructions("x86_64", frozenset(), "x86-64"),
    NEON_I8MM: Instructions(
        "aarch64",
        frozenset({"asimddp", "i8mm"}),
        "generic",
        "+dotprod,+i8mm",
        NEON_DOT,
        frozenset({"conv2d_vector_s8"}),
    ),
    NEON_DOT: Instructions("aarch64", frozenset({"asimddp"}), "generic", "+dotprod"),
    NEON: Instructions("aarch64", frozenset(), "generic"),
}


@lru_cache(maxsize=1)
def instruction_set() -> str:
    """$MIDGE_INSTRUCTIONS, else the widest set that this processor has and kernels know."""
    stated = os.environ.get(VARIABLE)
    if stated is None:
        return _widest()
    if stated not in SETS:
        raise TargetError(f"{VARIABLE} is {stated!r}; it must be one of: {', '.join(SETS)}")
    return stated


def own_of(values: Mapping[str, Value]) -> Value:
    """What is stated for this process's instruction set, or for the one that it is like."""
    name = instruction_set()
    return values[name] if name in values else values[SETS[name].like]


def made_for(name: str, kernels: Iterable[str]) -> dict[str, str]:
    """Kernel -> the set whose code a processor with the set `name` runs."""
    known = SETS[name]
    return {each: known.like if known.like and each not in known.own else name for each in kernels}


def is_stated() -> bool:
    """Whether the set was asked for; code is then made for the least processor that has it."""
    return VARIABLE in os.environ


def machine() -> str:
    """This machine's name in `SETS`."""
    name = platform.machine()
    return {"AMD64": "x86_64", "arm64": "aarch64"}.get(name, name)


def sets_of(name: str) -> tuple[str, ...]:
    """The sets of a machine, the widest first."""
    return tuple(known for known, each in SETS.items() if each.machine == name)


def sets_for(name: str) -> tuple[str, ...]:
    """Those that code for a machine is made with: from $MIDGE_INSTRUCTIONS on, if it is one."""
    known = sets_of(name)
    stated = os.environ.get(VARIABLE)
    return known[known.index(stated) :] if stated in known else known


def runs_here(name: str) -> bool:
    """Whether this processor has a set."""
    return SETS[name].machine == machine() and SETS[name].flags <= flags()


def _widest() -> str:
    found = next((name for name in SETS if runs_here(name)), None)
    if found is None:
        raise TargetError(
            f"native kernels need an x86-64 or AArch64 processor, and this one is {machine()}; "
            "take the target `reference`"
        )
    return found


@lru_cache(maxsize=1)
def flags() -> set[str]:
    """What /proc/cpuinfo says that the processor has."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    stated = (line.partition(":") for line in lines)
    return set(next((v for k, _, v in stated if k.strip() in ("flags", "Features")), "").split())
