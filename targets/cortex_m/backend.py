"""The microcontroller backend: C99 for one model, run on an emulated board."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ...kernels import table
from ...runtime.backend import CallCost, Measurement, Profile, check_inputs
from ...runtime.errors import ExecutionError, Refusal
from ...runtime.feeding import FEED, is_fed
from ...runtime.graph import DTYPES, Graph, Node
from ...runtime.lowering import NUMPY_CALL, Lowered
from ...runtime.pipeline import is_alias
from ...runtime.program import Program
from ...runtime.while_loop import ENDLESS, WHILE
from ...sim.cycles import traced_cost
from ...sim.qemu import run_firmware
from ..boards import Board, Emulator, emulated_board
from .addresses import memory_symbols
from .fed import PROGRESS_BYTES
from .lowering import lower
from .printer import (
    ENDLESS_STATUS,
    PROFILE,
    PROFILE_PAIRS,
    TRACE,
    model_under_test,
    print_model,
)
from .sources import c_kernels, sources
from .toolchain import (
    FIRMWARE,
    base_define,
    compile_files,
    harness_files,
    library_files,
    link_firmware,
    measure,
)
from .tracing import Tracer

ALIGNMENT = 4  # of buffers in the arena, bytes: no load of two words asks for more
HARNESS = ("main.c",)
# Kernels that take pixels of many rows together want whole layers, and Cortex-M7s have the RAM; who
# has less says so (`--ram`).
STRATEGIES = {"cortex-m7": "layers", "cortex-m55": "layers", "rv32imc": "layers"}
TIMEOUT_S = 600.0
MODEL_ERROR = 20  # what main.c adds to a model's status

_REQUEST = struct.Struct("<III")  # struct request of main.c
_ANSWER = struct.Struct("<QII")  # struct answer


class CBackend:
    """Nodes as C kernels, whatever compiles them."""

    alignment = ALIGNMENT
    progress_bytes = PROGRESS_BYTES
    several_memories = False
    rounds_in_floats = False
    says_endless = True  # whoever runs the C is told if a loop of the model does not end

    def __init__(self, name: str) -> None:
        self.name = name
        self.strategy = STRATEGIES.get(name, "auto")

    def refuse(self, graph: Graph, node: Node) -> Refusal | None:
        """Why there is no C kernel for this node, or None."""
        index = graph.nodes.index(node)
        if is_alias(graph, index):
            return None
        refused = table.refusal(graph, node, index)
        if refused is not None or (node.op == WHILE and self.says_endless):
            return refused
        kernel = lower(graph, node, self.name).kernel
        if kernel in c_kernels():
            return None
        if node.op == WHILE:
            why = f"a library for {self.name} can't say that a loop does not end"
            return Refusal(index, node.op, why, "run it on host, or export it with a fixed count")
        if kernel == NUMPY_CALL:
            why = f"{node.op} of these types and shapes runs in NumPy, which {self.name} hasn't"
            return Refusal(index, node.op, why, f"{table.operands(graph, node)}; run it on host")
        return Refusal(
            index,
            node.op,
            f"there is no C kernel {kernel} for {self.name}",
            "run it on target host, or add the kernel to targets/cortex_m/csrc",
        )

    def lower(self, graph: Graph, node: Node) -> Lowered:
        """The kernel call that makes this node."""
        return lower(graph, node, self.name)


class CortexMBackend(CBackend):
    """A core without an operating system, on the board that an emulator has for it."""

    several_memories = True
    rounds_in_floats = False

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.board = emulated_board(name)

    def build(self, program: Program, out: Path | None = None) -> CortexMExecutor:
        """Print, compile and link; the C files are written to `out` if it is given."""
        return CortexMExecutor(program, self.board, out)


@dataclass(frozen=True)
class Report:
    """What the model takes on the board, in bytes; flash without the test harness."""

    arena_bytes: int
    flash_bytes: int
    code_bytes: int
    constant_bytes: int
    files: tuple[Path, ...]


def write_sources(program: Program, folder: Path, hook: str | None = None) -> tuple[Path, ...]:
    """Write the model's C files and all that they need to `folder`."""
    printed = print_model(program, hook)
    kernels = program.kernels - {FEED}
    texts = printed | sources(kernels, printed.values())
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in sorted(texts.items()):
        (folder / name).write_text(text)
    return tuple(folder / name for name in sorted(texts))


class CortexMExecutor:
    """A firmware and the emulator that runs it, one process for each inference."""

    def __init__(self, program: Program, board: Board, out: Path | None) -> None:
        self.program = program
        self.board = board
        self.measurement = Measurement()
        self.stack_bytes: int | None = None  # deepest stack of the last run
        self._arena: bytes | None = None  # keeps the state between two runs
        # Removed by `close`, or with the executor if nobody calls it.
        self._temporary = tempfile.TemporaryDirectory(prefix="midge-", ignore_cleanup_errors=True)
        self._folder = Path(self._temporary.name)
        self._hooked: dict[str, Path] = {}
        try:
            files = write_sources(program, out or self._folder / "c")
            self._elf, self.report = self._build(files)
        except BaseException:
            self.close()
            raise

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference; the answers are copies."""
        return self.run_many([inputs])[0]

    def run_many(self, batch: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
        """One inference after the other in one run of the emulator.

        `measurement` is that of the last one.
        """
        reader = _Reader(self._emulate(self._elf, batch))
        return [self._read_inference(reader) for _ in batch]

    def trace(self, inputs: Sequence[np.ndarray]) -> Iterator[tuple[int, int, np.ndarray]]:
        """One inference, yielding (node, tensor index, value) of every tensor that calls make.

        What each call has written is dumped by the board, rows in rings too. State is left as it
        was.
        """
        arena = self._arena
        reader = _Reader(self._emulate(self._build_hooked(TRACE), [inputs]))
        self._arena = arena
        yield from Tracer(self.program).collect(reader.take)

    def profile(self, inputs: Sequence[np.ndarray]) -> Profile:
        """Instructions of each call in one inference; state is left as it was."""
        arena = self._arena
        answer = self._emulate(self._build_hooked(PROFILE), [inputs])
        self._arena = arena
        self.run(inputs)
        self._arena, total = arena, self.measurement.instructions
        assert total is not None
        passes = list(self.program.passes())
        end = len(answer) - (self.program.used_bytes if self.program.state else 0)
        ticks = np.frombuffer(answer[:end][-8 * (len(passes) + 1) :], "<u8")
        *spent, pairs = ticks / self._emulator.ticks_per_instruction
        pair = pairs / PROFILE_PAIRS
        costs = (
            CallCost(call, count, max(round(cost - count * pair), 0))
            for (call, count), cost in zip(passes, spent, strict=True)
        )
        return Profile("instructions", tuple(costs), total, self._modelled_cycles(inputs))

    def _modelled_cycles(self, inputs: Sequence[np.ndarray]) -> int | None:
        """Of one inference, for the core that `sim.cycles` has a model of."""
        if self.board.target != "cortex-m4":
            return None
        run = "push_rows" if is_fed(self.program) else "run"
        entry = f"midge_{self.program.name}_{run}"
        with self._firmware_inputs([inputs]) as folder:
            emulator = self._emulator
            cost = traced_cost(
                self._elf, emulator.program, emulator.machine, folder, emulator.arguments, entry
            )
        return cost.cycles

    def reset(self) -> None:
        """Set state tensors to their initial values."""
        self._arena = None

    def close(self) -> None:
        """Remove the temporary files."""
        self._temporary.cleanup()

    # ---- building ----

    def _build(self, files: Sequence[Path]) -> tuple[Path, Report]:
        folder = self._folder / "build"
        folder.mkdir()
        objects = self._compile(files, HARNESS, folder)
        model = objects[: len(objects) - len(harness_files(self.board, HARNESS))]
        elf = link_firmware(objects, self.board, folder, "firmware.elf", self.program.regions)
        run = "push_rows" if is_fed(self.program) else "run"
        functions = (run, "init", "reset", "input", "output")
        roots = [f"midge_{self.program.name}_{name}" for name in functions]
        sizes = measure(model, roots, self.board, folder, memory_symbols(self.program))
        self._roots, self._stack = roots, sizes.stack
        arena = self.program.used_bytes
        return elf, Report(arena, sizes.flash, sizes.code, sizes.constants, tuple(files))

    @cached_property
    def stack_bound(self) -> int:
        """Most bytes of stack that a call of any of the model's functions takes; before `close`."""
        return max(self._stack.of(root) for root in self._roots)

    def _build_hooked(self, hook: str) -> Path:
        """A firmware of the same calls with a hook: trace or profile."""
        if hook not in self._hooked:
            files = write_sources(self.program, self._folder / f"{hook}_c", hook)
            folder = self._folder / f"{hook}_build"
            folder.mkdir()
            objects = self._compile(files, (*HARNESS, f"{hook}.c"), folder, hook)
            self._hooked[hook] = link_firmware(
                objects, self.board, folder, "firmware.elf", self.program.regions
            )
        return self._hooked[hook]

    def _compile(
        self, files: Sequence[Path], harness: Sequence[str], folder: Path, hook: str | None = None
    ) -> list[Path]:
        model = [file for file in files if file.suffix == ".c"]
        (folder / "model_under_test.h").write_text(model_under_test(self.program, hook))
        include = [files[0].parent.resolve(), folder, FIRMWARE]
        others = [*library_files(self.board), *harness_files(self.board, harness)]
        defines = base_define(self.program, self.board)
        return compile_files([*model, *others], include, self.board, folder, defines)

    @property
    def _emulator(self) -> Emulator:
        assert self.board.emulator is not None
        return self.board.emulator

    # ---- running ----

    @contextmanager
    def _firmware_inputs(self, batch: Sequence[Sequence[np.ndarray]]) -> Iterator[Path]:
        """A folder with what the firmware reads."""
        given = [check_inputs(self.program.graph, inputs) for inputs in batch]
        content = _REQUEST.pack(len(given), self._arena is not None, bool(self.program.state))
        content += self._arena or b""
        content += b"".join(value.tobytes() for inputs in given for value in inputs)
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            (Path(name) / "input.bin").write_bytes(content)
            yield Path(name)

    def _emulate(self, elf: Path, batch: Sequence[Sequence[np.ndarray]]) -> bytes:
        """What the firmware wrote, without the arena, which is kept if there is state."""
        with self._firmware_inputs(batch) as folder:
            emulator = self._emulator
            run_firmware(
                elf,
                emulator.program,
                emulator.machine,
                folder,
                emulator.icount_shift,
                TIMEOUT_S,
                emulator.arguments,
                {MODEL_ERROR + ENDLESS_STATUS: ENDLESS},
            )
            answer = (folder / "output.bin").read_bytes()
        if self.program.state:
            self._arena = answer[-self.program.used_bytes :]
        return answer

    def _read_inference(self, reader: _Reader) -> list[np.ndarray]:
        ticks, call_ticks, self.stack_bytes = _ANSWER.unpack(reader.take(_ANSWER.size))
        # Each is right to less than a tick, so each is rounded before they are subtracted.
        spent, call = (round(t / self._emulator.ticks_per_instruction) for t in (ticks, call_ticks))
        self.measurement = Measurement(instructions=spent - call)
        return [self._read_tensor(reader, index) for index in self.program.graph.outputs]

    def _read_tensor(self, reader: _Reader, index: int) -> np.ndarray:
        tensor = self.program.graph.tensors[index]
        content = reader.take(tensor.bytes)
        return np.frombuffer(content, DTYPES[tensor.dtype]).reshape(tensor.shape).copy()


class _Reader:
    """Takes pieces from the front of what the firmware wrote."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def take(self, count: int) -> bytes:
        piece = self._content[self._at : self._at + count]
        if len(piece) != count:
            raise ExecutionError(
                f"the firmware wrote {len(self._content)} bytes, at least {self._at + count} "
                "were expected"
            )
        self._at += count
        return piece
