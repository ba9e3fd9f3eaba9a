"""The one seam: a backend refuses nodes or lowers them, and builds an executor for a program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .errors import MissingTool, Refusal, TargetError
from .graph import Graph, Node
from .lowering import Lowered
from .outline import checked_arrays, outline_tensor
from .program import Call, Program

# target name -> "module:class", relative to this package's parent. None of them is imported here.
BACKENDS: Mapping[str, str] = {
    "reference": ".kernels.reference:ReferenceBackend",
    "host": ".kernels.host:HostBackend",
    "x86-64": ".targets.library.backend:LibraryBackend",
    "aarch64": ".targets.library.backend:LibraryBackend",
    "armv7": ".targets.library.from_c:FromCBackend",
    "cortex-m0": ".targets.cortex_m.backend:CortexMBackend",
    "cortex-m4": ".targets.cortex_m.backend:CortexMBackend",
    "cortex-m7": ".targets.cortex_m.backend:CortexMBackend",
    "cortex-m55": ".targets.cortex_m.backend:CortexMBackend",
    "rv32imc": ".targets.cortex_m.backend:CortexMBackend",
    "interpreter": ".targets.cortex_m.interpreter_backend:InterpreterBackend",
    "fpga-sim": ".targets.fpga.backend:FpgaSimBackend",
    "split": ".targets.split.backend:SplitBackend",
}


@dataclass(frozen=True)
class Measurement:
    """What the last run cost; None where a backend can't tell."""

    latency_ms: float | None = None
    instructions: int | None = None  # guest instructions in the emulator
    cycles: int | None = None  # RTL clock cycles


@dataclass(frozen=True)
class CallCost:
    """What one call of the program's text cost in an inference, all passes of its loop together."""

    call: Call
    passes: int
    cost: float


@dataclass(frozen=True)
class Profile:
    """One inference by calls, in the order of `Program.calls`.

    `total` was measured without the counters round each call, so it is the sum of the calls and of
    what runs between them, give or take the counters' own error: on emulated boards less than ten
    instructions a call. `modelled_cycles` are those of the whole on a core that has a model
    (`sim/cycles.py` states it).
    """

    unit: str  # ms or instructions
    calls: tuple[CallCost, ...]
    total: float
    modelled_cycles: int | None = None


class Executor(Protocol):
    """A program that is ready to run. Not thread-safe: one executor a thread."""

    measurement: Measurement

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference: arrays in the order of the graph's inputs, answers likewise (copies)."""

    def trace(self, inputs: Sequence[np.ndarray]) -> Iterator[tuple[int, int, np.ndarray]]:
        """The same inference, yielding (node, tensor index, value) as each tensor is complete."""

    def reset(self) -> None:
        """Set state tensors to their initial values."""

    def close(self) -> None:
        """Give back what it holds (processes, files, connections)."""


class Backend(Protocol):
    """A target. `name` is what `--target` takes."""

    name: str
    alignment: int  # of buffers in the arena, bytes
    strategy: str | None  # of plans, unless the user names another; None: layers, always
    several_memories: bool  # arenas may be spread over memories that lie anywhere
    rounds_in_floats: bool  # its kernels know the rounding of ONNX Runtime
    progress_bytes: int  # of the arena, to come back to where a model fed by row was left

    def refuse(self, graph: Graph, node: Node) -> Refusal | None:
        """Why this node can't run here, or None."""

    def lower(self, graph: Graph, node: Node) -> Lowered:
        """The kernel call that makes this node."""

    def build(self, program: Program, out: Path | None = None) -> Executor:
        """An executor; artefacts that the user keeps are written to `out`."""


def elsewhere(backend: Backend, graph: Graph, node: Node) -> Iterator[Lowered]:
    """Calls by which a program that was made on another machine may make a node here.

    None where `lower` gives the same calls on all machines; other backends have this method.
    """
    find: Callable[[Graph, Node], Iterator[Lowered]] | None = getattr(backend, "elsewhere", None)
    return find(graph, node) if find else iter(())


def find_backend(target: str) -> Backend:
    """The backend of a target by its name."""
    if target not in BACKENDS:
        known = ", ".join(sorted(BACKENDS))
        raise TargetError(f"there is no target {target!r}; the targets are {known}")
    module, _, name = BACKENDS[target].partition(":")
    try:
        backend_class = getattr(import_module(module, __package__.rpartition(".")[0]), name)
    except ModuleNotFoundError as error:
        raise missing_package(error, f"target {target}") from None
    return backend_class(target)


def build(program: Program, threads: int = 1) -> Executor:
    """An executor on the program's target; the host can take several threads."""
    backend: Any = find_backend(program.target)
    if threads == 1:
        executor: Executor = backend.build(program)
        return executor
    if program.target != "host":
        raise TargetError(f"target {program.target} runs on one thread, not {threads}")
    executor = backend.build(program, threads=threads)
    return executor


def missing_package(error: ModuleNotFoundError, user: str) -> MissingTool:
    """The error for a package of an extra that isn't installed."""
    package = (error.name or str(error)).partition(".")[0]
    return MissingTool(
        f"{user} needs the Python package {package!r}, which is not installed; "
        "`midge doctor` says which extra has it"
    )


def check_inputs(graph: Graph, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The inputs as C-ordered arrays, or an `InputError` that names what was needed."""
    return checked_arrays([outline_tensor(graph, index) for index in graph.inputs], inputs)
