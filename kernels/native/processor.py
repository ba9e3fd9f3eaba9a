"""Which vector instructions native kernels are compiled for."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from pathlib import Path

from ...runtime.errors import TargetError

VARIABLE = "MIDGE_INSTRUCTIONS"
AVX512_VNNI, AVX2, PORTABLE = "avx512-vnni", "avx2", "portable"

# What a set needs of /proc/cpuinfo's flags, the widest set first.
_NEEDS = {
    AVX512_VNNI: {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"},
    AVX2: {"avx2"},
}
# LLVM's name of the least processor that has a set, for code that is to run on all of them.
LEAST_PROCESSOR = {AVX512_VNNI: "cascadelake", AVX2: "haswell", PORTABLE: "x86-64"}


@lru_cache(maxsize=1)
def instruction_set() -> str:
    """$MIDGE_INSTRUCTIONS, else the widest set that this processor has and kernels know."""
    stated = os.environ.get(VARIABLE)
    if stated is None:
        return _widest()
    if stated not in (*_NEEDS, PORTABLE):
        known = ", ".join((*_NEEDS, PORTABLE))
        raise TargetError(f"{VARIABLE} is {stated!r}; it must be one of: {known}")
    return stated


def is_stated() -> bool:
    """Whether the set was asked for; code is then made for the least processor that has it."""
    return VARIABLE in os.environ


def _widest() -> str:
    if platform.machine() not in ("x86_64", "AMD64"):
        return PORTABLE
    return next((name for name, needs in _NEEDS.items() if needs <= flags()), PORTABLE)


def flags() -> set[str]:
    """What /proc/cpuinfo says that the processor has."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    stated = (line.partition(":")[2] for line in lines if line.startswith("flags"))
    return set(next(stated, "").split())
