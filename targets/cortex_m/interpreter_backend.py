"""The target `interpreter`: an image for the interpreter in C, which this machine runs too.

Its kernels are the plain ones, which every core has, and which have a rule for what they touch.
"""

from __future__ import annotations

import ctypes
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...kernels import table
from ...runtime.backend import Measurement, check_inputs
from ...runtime.errors import ExecutionError, Refusal, TargetError
from ...runtime.graph import DTYPES, Graph, Node
from ...runtime.lowering import Lowered
from ...runtime.places import is_view
from ...runtime.program import Program
from ...runtime.while_loop import WHILE
from ...sim.qemu import find_tool, run_tool
from .access import RULES
from .interpreted import ALIGNMENT, interpreter_sources, library, to_image
from .toolchain import C_FLAGS, TIMEOUT_S

# kernels of the host's name -> those that take no scratch in C
_DIRECT = {
    "conv2d_s8": "conv2d_direct_s8",
    "depthwise_conv2d_s8": "depthwise_conv2d_direct_s8",
}
_HANDLE_BYTES = 256  # room for a `midge_image`


class InterpreterBackend:
    """Any core, by the interpreter in C."""

    alignment = 4
    strategy = "auto"
    progress_bytes = 0
    several_memories = False
    rounds_in_floats = False

    def __init__(self, name: str) -> None:
        self.name = name

    def refuse(self, graph: Graph, node: Node) -> Refusal | None:
        """Why this node can't be interpreted, or None."""
        index = graph.nodes.index(node)
        if is_view(graph, node):
            return None
        refused = table.refusal(graph, node, index)
        if refused is not None:
            return refused
        kernel = WHILE if node.op == WHILE else self.lower(graph, node).kernel
        if kernel in RULES:
            return None
        return Refusal(
            index,
            node.op,
            f"the interpreter has no rule for what {kernel} touches, and runs nothing unchecked",
            "compile the model for its core instead, or add the rule to targets/cortex_m/access.py",
        )

    def lower(self, graph: Graph, node: Node) -> Lowered:
        """The plain kernel's call."""
        lowered = table.lower(graph, node)
        by_row = lowered.by_row if lowered.by_row and lowered.by_row.kernel in RULES else None
        kernel = _DIRECT.get(lowered.kernel, lowered.kernel)
        return replace(lowered, kernel=kernel, by_row=by_row, frugal=None)

    def build(self, program: Program, out: Path | None = None) -> InterpreterExecutor:
        """The image; with the interpreter's sources and an example in `out`, if it is given."""
        return InterpreterExecutor(program, out)


@dataclass(frozen=True)
class ImageReport:
    """What an image takes, in bytes; the code is the interpreter's, for all models together."""

    arena_bytes: int
    flash_bytes: int
    code_bytes: int | None
    constant_bytes: int
    files: tuple[Path, ...]


class InterpreterExecutor:
    """An image, and the interpreter as a library of this machine, built when it is first asked."""

    def __init__(self, program: Program, out: Path | None) -> None:
        self.program = program
        self.measurement = Measurement()
        self._image = _aligned(to_image(program))
        self._arena = _aligned(bytes(program.arena_bytes))
        self._handle = ctypes.create_string_buffer(_HANDLE_BYTES)
        self._library: ctypes.CDLL | None = None
        self._temporary = tempfile.TemporaryDirectory(prefix="midge-", ignore_cleanup_errors=True)
        size = self._image.nbytes
        files = _write(library(program), out) if out is not None else ()
        self.report = ImageReport(program.arena_bytes, size, None, size, files)

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference; the answers are copies."""
        c, arena = self._opened(), ctypes.c_void_p(self._arena.ctypes.data)
        for index, value in enumerate(check_inputs(self.program.graph, inputs)):
            place = c.midge_image_input(self._handle, arena, index)
            ctypes.memmove(place, value.tobytes(), value.nbytes)
        started = time.perf_counter()
        self._expect(c.midge_image_run(self._handle, arena))
        self.measurement = Measurement(latency_ms=(time.perf_counter() - started) * 1e3)
        outputs = []
        for index, tensor in enumerate(self.program.outputs):
            at = c.midge_image_output(self._handle, arena, index)
            content = np.frombuffer(ctypes.string_at(at, tensor.bytes), DTYPES[tensor.dtype])
            outputs.append(content.reshape(tensor.shape).copy())
        return outputs

    def trace(self, inputs: Sequence[np.ndarray]) -> Iterator[tuple[int, int, np.ndarray]]:
        """Not offered: a core's own target has the same kernels, and traces."""
        raise TargetError("the interpreter can't be traced; take --target cortex-m0")

    def reset(self) -> None:
        """Set state tensors to their initial values."""
        if self._library is not None:
            at = ctypes.c_void_p(self._arena.ctypes.data)
            self._expect(self._library.midge_image_reset(self._handle, at))

    def close(self) -> None:
        """Remove the temporary files."""
        self._temporary.cleanup()

    def _opened(self) -> ctypes.CDLL:
        if self._library is None:
            self._library = _build(Path(self._temporary.name))
            start = ctypes.c_void_p(self._image.ctypes.data)
            sizes = (ctypes.c_size_t(n) for n in (self._image.nbytes, self._arena.nbytes))
            self._expect(self._library.midge_image_open(self._handle, start, *sizes))
            self.reset()
        return self._library

    def _expect(self, status: int) -> None:
        if status:
            raise ExecutionError(
                f"the interpreter refused the image (status {status} of midge_interpreter.h)"
            )


def _build(folder: Path) -> ctypes.CDLL:
    for name, text in interpreter_sources().items():
        (folder / name).write_text(text)
    flags = (*C_FLAGS, "-O2", "-fwrapv", "-fPIC", "-shared")
    files = sorted(folder.glob("*.c"))
    run_tool([find_tool("gcc"), *flags, *files, "-o", "interpreter.so"], folder, TIMEOUT_S)
    found = ctypes.CDLL(str(folder / "interpreter.so"))
    found.midge_image_input.restype = ctypes.c_void_p
    found.midge_image_output.restype = ctypes.c_void_p
    return found


def _aligned(content: bytes) -> np.ndarray:
    room = np.zeros(len(content) + ALIGNMENT, np.uint8)
    skipped = -room.ctypes.data % ALIGNMENT
    place = room[skipped : skipped + len(content)]
    place[:] = np.frombuffer(content, np.uint8)
    return place


def _write(files: dict[str, str | bytes], folder: Path) -> tuple[Path, ...]:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return tuple(folder / name for name in files)
