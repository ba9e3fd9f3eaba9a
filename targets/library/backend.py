"""The targets `x86-64` and `aarch64`: a model as a shared library for computers of that kind."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ...kernels import table, tuning
from ...kernels.host import ALIGNMENT
from ...kernels.native import processor
from ...kernels.vector import table as vector
from ...runtime.backend import Measurement, check_inputs
from ...runtime.errors import Refusal, TargetError
from ...runtime.feeding import is_fed
from ...runtime.graph import DTYPES, Graph, Node, Tensor
from ...runtime.lowering import NUMPY_CALL, Lowered
from ...runtime.program import Program
from ...runtime.while_loop import WHILE
from .build import Library, build_library
from .emulated import EmulatedModel
from .loader import Model
from .sources import c_header, layout_of, library_name, python_loader

MACHINES = {"x86-64": "x86_64", "aarch64": "aarch64"}  # target -> name in `processor.SETS`


class LibraryBackend:
    """A computer, this one or another; another is emulated to run."""

    alignment = ALIGNMENT
    strategy = "layers"
    progress_bytes = 0
    several_memories = False
    rounds_in_floats = True

    def __init__(self, name: str) -> None:
        self.name = name

    def refuse(self, graph: Graph, node: Node) -> Refusal | None:
        """Why there is no kernel for this node, or None."""
        index = graph.nodes.index(node)
        refused = table.refusal(graph, node, index)
        if refused is None and self.lower(graph, node).kernel == NUMPY_CALL:
            why = f"{node.op} runs in NumPy, which a library doesn't have"
            if node.op == WHILE:
                why = "a library can't say that a loop does not end"
            return Refusal(index, node.op, why, "run it on target host")
        return refused

    def lower(self, graph: Graph, node: Node) -> Lowered:
        """The host's: programs for both are alike, of processors with the same instructions."""
        return vector.lower(graph, node, processor.sets_for(MACHINES[self.name]))

    def elsewhere(self, graph: Graph, node: Node) -> Iterator[Lowered]:
        """A program may have been made for more sets or fewer."""
        return tuning.elsewhere(graph, node)

    def build(self, program: Program, out: Path | None = None) -> LibraryExecutor:
        """Compile and link; library, header and loader are written to `out` if it is given."""
        if is_fed(program):
            raise TargetError(
                f"target {program.target} takes its input as a whole; plan without input by row"
            )
        return LibraryExecutor(program, build_library(program, MACHINES[self.name]), out)


@dataclass(frozen=True)
class Report:
    """What a library takes, in bytes, all instruction sets of its machine together."""

    arena_bytes: int
    flash_bytes: int
    code_bytes: int
    constant_bytes: int
    files: tuple[Path, ...]


class LoadedModel(Model):
    """A library in this process, of which parts can be run."""

    def __init__(self, library: Path, layout: dict[str, Any], descriptor: int) -> None:
        super().__init__(library, layout)
        self._range = self.memory[descriptor + 32 : descriptor + 48].cast("q")

    def run_pieces(
        self,
        inputs: Sequence[bytes],
        pieces: Sequence[tuple[int, int]],
        wanted: Sequence[Sequence[tuple[int, int]]],
    ) -> list[bytes]:
        """Run ranges of the program's words one by one; after each, give (offset, size)s."""
        whole, given = self._range.tolist(), []
        for place, value in zip(self._inputs, inputs, strict=True):
            place[:] = value
        for piece, places in zip(pieces, wanted, strict=True):
            self._range[0], self._range[1] = piece
            self._run(self._address)
            given += [bytes(self.memory[at : at + size]) for at, size in places]
        self._range[0], self._range[1] = whole
        return given


class LibraryExecutor:
    """A library, loaded into this process, or into one under an emulator."""

    def __init__(self, program: Program, library: Library, out: Path | None) -> None:
        self.program = program
        self._latency_ms: float | None = None
        self.library = library
        self._temporary = tempfile.TemporaryDirectory(prefix="midge-", ignore_cleanup_errors=True)
        folder = out or Path(self._temporary.name)
        files = _write(program, self.library, folder)
        sizes = self.library.code_bytes, self.library.constant_bytes
        self.report = Report(program.arena_bytes, sum(sizes), *sizes, files)
        self._model: Any = None
        self._file, self._foreign = files[0].resolve(), library.machine != processor.machine()

    @property
    def model(self) -> Any:
        """What runs the library, loaded when it is first asked for."""
        if self._model is None:
            layout = layout_of(self.program, self.library)
            if self._foreign:
                self._model = EmulatedModel(self._file, layout, self.library, self.program)
            else:
                self._model = LoadedModel(self._file, layout, self.library.memory.descriptor)
        return self._model

    @property
    def remarks(self) -> tuple[str, ...]:
        """Which of the library's kernels ran."""
        return (f"kernels: {self.model.instructions}",)

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference; the answers are copies."""
        given, model = check_inputs(self.program.graph, inputs), self.model
        started = time.perf_counter()
        answers = model.run(*(_bytes(value) for value in given))
        self._latency_ms = (time.perf_counter() - started) * 1e3
        return [
            _array(answer, tensor)
            for answer, tensor in zip(answers, self.program.outputs, strict=True)
        ]

    @property
    def measurement(self) -> Measurement:
        """What the last run cost; an emulator's time says nothing, its instructions do."""
        if isinstance(self._model, EmulatedModel):
            return Measurement(instructions=self._model.count())
        return Measurement(latency_ms=self._latency_ms)

    def trace(self, inputs: Sequence[np.ndarray]) -> Iterator[tuple[int, int, np.ndarray]]:
        """One inference, item by item, yielding (node, tensor index, value) of finished tensors.

        A tensor that streams through a ring is never whole, and is left out.
        """
        given = [_bytes(value) for value in check_inputs(self.program.graph, inputs)]
        finished = [self.program.finished.get(item, []) for item in range(len(self.program.items))]
        tensors = self.program.graph.tensors
        wanted = [
            [(self.program.addresses[t], tensors[t].bytes) for _, t in pairs] for pairs in finished
        ]
        pieces = list(pairwise(self.library.starts))
        values = iter(self.model.run_pieces(given, pieces, wanted))
        for node, index in (pair for pairs in finished for pair in pairs):
            yield node, index, _array(next(values), tensors[index])

    def reset(self) -> None:
        """Set state tensors to their initial values."""
        self.model.reset()

    def close(self) -> None:
        """Remove the temporary files."""
        self._temporary.cleanup()


def _array(content: bytes, tensor: Tensor) -> np.ndarray:
    return np.frombuffer(content, DTYPES[tensor.dtype]).reshape(tensor.shape).copy()


def _bytes(value: np.ndarray) -> bytes:
    return np.ascontiguousarray(value).tobytes()


def _write(program: Program, library: Library, folder: Path) -> tuple[Path, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        f"{program.name}.h": c_header(program, library),
        f"{program.name}.py": python_loader(program, library),
    }
    file = folder / library_name(program)
    file.write_bytes(library.file)
    for name, text in texts.items():
        (folder / name).write_text(text)
    return (file, *(folder / name for name in texts))
