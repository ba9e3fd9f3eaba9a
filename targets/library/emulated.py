"""A library of another machine, run under QEMU's user emulation, with instructions counted."""

from __future__ import annotations

import re
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from ...runtime.errors import ExecutionError
from ...runtime.program import Program
from ...sim.qemu import find_tool, run_tool
from .build import Library

_HERE = Path(__file__).parent
_REQUEST = struct.Struct("<cQQ")
TIMEOUT_S = 600.0
EMULATORS = {"aarch64": "qemu-aarch64", "armv7": "qemu-arm", "x86_64": "qemu-x86_64"}
COMPILERS = {
    "aarch64": "aarch64-linux-gnu-gcc",
    "armv7": "arm-linux-gnueabihf-gcc",
    "x86_64": "x86_64-linux-gnu-gcc",
}
ROOTS = {
    "aarch64": "/usr/aarch64-linux-gnu",
    "armv7": "/usr/arm-linux-gnueabihf",
    "x86_64": "/usr/x86_64-linux-gnu",
}


class EmulatedModel:
    """As `loader.Model`, in a process of its own for each inference; state is carried over."""

    def __init__(
        self, file: Path, layout: dict[str, Any], library: Library, program: Program
    ) -> None:
        machine = library.machine
        self.layout, self.file, self.prefix = layout, file, library.prefix
        self.memory = library.memory
        self._last: tuple[bytes, int] | None = None  # an inference's requests without it, and cost
        self._state = [(program.addresses[i], v.nbytes) for i, v in program.state.items()]
        self._kept: bytes | None = None
        self._sets = library.sets
        self._tools = _tools(machine)
        self._emulator: list[str | Path] = [find_tool(EMULATORS[machine]), "-L", ROOTS[machine]]
        self._set: int | None = None

    processor = "max"  # that is emulated, as QEMU calls it

    @property
    def instructions(self) -> str:
        """Which instruction set the emulated processor's kernels use."""
        if self._set is None:
            self._call(b"")
        assert self._set is not None
        return self._sets[self._set]

    def reset(self) -> None:
        self._kept = None

    def run(self, *inputs: bytes) -> list[bytes]:
        """One inference."""
        requests = self._restored() + self._written(inputs)
        wanted = [(o["offset"], o["bytes"]) for o in self.layout["outputs"]] + self._state
        give = b"".join(_REQUEST.pack(b"G", *place) for place in wanted)
        answer, spent = self._call(requests + _REQUEST.pack(b"R", 0, 0) + give)
        self._last = requests + _REQUEST.pack(b"N", 0, 0) + give, spent
        pieces = _split(answer, [size for _, size in wanted])
        outputs = len(self.layout["outputs"])
        self._kept = b"".join(pieces[outputs:])
        return pieces[:outputs]

    def count(self) -> int | None:
        """Instructions of the last inference, less those of a process that makes none."""
        if self._last is None:
            return None
        idle, spent = self._last
        return spent - self._call(idle)[1]

    def run_pieces(
        self,
        inputs: Sequence[bytes],
        pieces: Sequence[tuple[int, int]],
        wanted: Sequence[Sequence[tuple[int, int]]],
    ) -> list[bytes]:
        """Run ranges of the program's words one by one; after each, give (offset, size)s."""
        requests = self._restored() + self._written(inputs)
        for (begin, end), places in zip(pieces, wanted, strict=True):
            requests += _REQUEST.pack(b"I", begin, end)
            requests += b"".join(_REQUEST.pack(b"G", *place) for place in places)
        answer, _ = self._call(requests)
        return _split(answer, [size for places in wanted for _, size in places])

    def _written(self, inputs: Sequence[bytes]) -> bytes:
        """Requests that bring the inputs."""
        operands = zip(self.layout["inputs"], inputs, strict=True)
        return b"".join(
            _REQUEST.pack(b"W", operand["offset"], len(value)) + value
            for operand, value in operands
        )

    def _restored(self) -> bytes:
        """Requests that bring back the state after the last inference."""
        if self._kept is None:
            return b""
        values = _split(self._kept, [size for _, size in self._state])
        return b"".join(
            _REQUEST.pack(b"W", *place) + value
            for place, value in zip(self._state, values, strict=True)
        )

    def _call(self, requests: bytes) -> tuple[bytes, int]:
        """What the runner gave, and how many instructions its process took."""
        command: list[str | Path] = [
            *self._emulator, "-cpu", self.processor, "-plugin", self._tools / "counter.so",
            self._tools / "runner", self.file, self.prefix,
            str(self.memory.size), str(self.memory.descriptor),
        ]  # fmt: skip
        try:
            done = subprocess.run(command, input=requests, capture_output=True, timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise ExecutionError(f"the emulator took more than {TIMEOUT_S:.0f} s") from None
        errors = done.stderr.decode(errors="replace")
        counted = re.search(r"^instructions (\d+)$", errors, re.MULTILINE)
        if done.returncode or counted is None or len(done.stdout) < 4:
            raise ExecutionError(
                f"the emulated library failed: {errors.strip() or done.returncode}"
            )
        (self._set,) = struct.unpack_from("<i", done.stdout)
        return done.stdout[4:], int(counted[1])


def _split(content: bytes, sizes: Sequence[int]) -> list[bytes]:
    ends = list(accumulate(sizes, initial=0))
    return [content[a:b] for a, b in pairwise(ends)]


@cache
def _tools(machine: str) -> Path:
    """A folder with the runner for a machine, and QEMU's plugin; it goes with this process."""
    folder = tempfile.TemporaryDirectory(prefix="midge-", ignore_cleanup_errors=True)
    _folders.append(folder)
    work = Path(folder.name)
    compiler, own = find_tool(COMPILERS[machine]), find_tool("gcc")
    commands: tuple[list[str | Path], ...] = (
        [compiler, "-O1", "-o", "runner", _HERE / "runner.c", "-ldl"],
        [own, "-O1", "-shared", "-fPIC", "-o", "counter.so", _HERE / "counter.c"],
    )
    for command in commands:
        run_tool(command, work, TIMEOUT_S)
    return work


_folders: list[tempfile.TemporaryDirectory[str]] = []
