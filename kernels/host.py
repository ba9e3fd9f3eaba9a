"""The host backend: a program's calls, run by native kernels through one native dispatch loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..runtime.backend import CallCost, Profile, check_inputs
from ..runtime.errors import Refusal, TargetError
from ..runtime.feeding import is_fed, passes_of, unrolled_calls
from ..runtime.graph import DTYPES, Graph, Node
from ..runtime.lowering import Lowered
from ..runtime.outline import outline_of
from ..runtime.program import Call, Program
from .endless import guarded
from .fed import FedDispatcher
from .native.dispatch import Dispatcher
from .native.library import addresses
from .pieces import Shares, scratch_bytes, shares_of
from .runner import Runner
from .stretches import is_in_numpy, stretches
from .threads import Team

ALIGNMENT = 8  # of buffers in the arena, bytes
LINE = 64  # the arena and the constants start at a cache line


class HostBackend:
    """This machine's processor."""

    alignment = ALIGNMENT
    strategy = "fast"
    progress_bytes = 0
    several_memories = True
    rounds_in_floats = True

    def __init__(self, name: str = "host") -> None:
        self.name = name

    def refuse(self, graph: Graph, node: Node) -> Refusal | None:
        """Why there is no kernel for this node, or None."""
        from . import table  # every kernel, which only planning asks for

        return table.refusal(graph, node, graph.nodes.index(node))

    def lower(self, graph: Graph, node: Node) -> Lowered:
        """The native kernel call that makes this node."""
        from . import table
        from .in_numpy import IN_NUMPY
        from .tuning import lower

        lowered = lower(graph, node)
        return IN_NUMPY.lowered() if lowered.kernel in table.without_native() else lowered

    def elsewhere(self, graph: Graph, node: Node) -> Iterator[Lowered]:
        """Calls for this node by which a program may have been made on another processor."""
        from .tuning import elsewhere

        return elsewhere(graph, node)

    def build(self, program: Program, out: Path | None = None, threads: int = 1) -> HostExecutor:
        """An executor with an arena of its own; nothing is written to `out`."""
        return HostExecutor(program, threads)


class HostExecutor(Runner):
    """A program in this process's memory. The arena and all else is allocated here, once."""

    def __init__(self, program: Program, threads: int = 1) -> None:
        self.program = program
        fed = is_fed(program)
        self.remarks = _remarks(program)
        if fed and self.remarks:
            raise TargetError(
                f"a program that takes its input by row has native kernels only; {self.remarks[0]}"
            )
        shares = None if fed or self.remarks else shares_of(program, threads)
        helpers = len(shares.words) - 1 if shares else 0
        self._memory = _aligned(program.arena_bytes + helpers * scratch_bytes(program) + LINE)
        self.arena = self._memory[: program.arena_bytes]
        self._constants = _aligned(len(program.constants))
        self._constants[:] = np.frombuffer(program.constants, np.int8)
        self._fed = FedDispatcher(program, self.arena, self._constants) if fed else None
        self._dispatcher = Dispatcher(() if fed else program.items, self.arena, self._constants)
        self.team = self._team_of(shares) if shares else None
        self._together: Callable[[], object] | None = None
        if self.team is not None and shares is not None:
            self._together = guarded(self.team.run, shares.words[0].words, shares.words[0].endless)
        outline = outline_of(program.graph)
        super().__init__(
            [outline["tensors"][index] for index in outline["inputs"]],
            [] if fed else [self.tensor(index) for index in program.graph.inputs],
            [self._value(index) for index in program.graph.outputs],
            self._way(),
        )
        self.reset()

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference; the answers are copies."""
        if self._fed is None:
            return super().run(inputs)
        started = time.perf_counter()
        self._fed.reset()
        image = check_inputs(self.program.graph, inputs)[0][0]
        for _ in range(passes_of(self.program)):
            self._fed.push(image)
        outputs = self.copy_out()
        self._latency_s = time.perf_counter() - started
        return outputs

    def push_rows(self, rows: np.ndarray) -> int:
        """Take the next rows [n, width, channels] of an input that is fed by row, and go on.

        Answers how many rows are still to come; of a program in strips, in all `passes_of` it. At 0
        `copy_out` has the answers, until the next row begins another inference.
        """
        return super().push_rows(rows) if self._fed is None else self._fed.push(rows)

    def trace(self, inputs: Sequence[np.ndarray]) -> Iterator[tuple[int, int, np.ndarray]]:
        """One inference, item by item, yielding (node, tensor index, value) of finished tensors.

        A tensor that streams through a ring is never whole in the arena, and is left out.
        """
        if self._fed is not None:
            raise TargetError("a program that takes its input by row can't be traced")
        self.copy_in(inputs)
        for item in range(len(self.program.items)):
            self.run_item(item)
            yield from self.finished(item)

    def profile(self, inputs: Sequence[np.ndarray], runs: int = 100) -> Profile:
        """Milliseconds of each call: medians, without what the dispatch of nothing takes.

        The passes of a loop are timed one by one. State runs on.
        """
        if self._fed is not None:
            raise TargetError("a program that takes its input by row can't be profiled on the host")
        numbers, calls = zip(*unrolled_calls(self.program), strict=True)
        dispatcher = Dispatcher(calls, self.arena, self._constants)
        times = np.empty((runs, len(calls) + 2))
        for row in times:
            self.copy_in(inputs)
            row[-2] = _timed(self._invoke)
            row[-1] = _timed(partial(dispatcher.run, 0, 0))
            self.copy_in(inputs)
            for i, call in enumerate(calls):
                native = partial(dispatcher.run, i, i + 1)
                row[i] = _timed(self._in_numpy(call.node) if is_in_numpy(call) else native)
        medians = np.median(times, axis=0) * 1e3
        *each, total, nothing = medians
        costs = np.bincount(numbers, np.maximum(np.array(each) - nothing, 0))
        return Profile(
            "ms",
            tuple(
                CallCost(call, n, float(c)) for (call, n), c in zip(self.program.passes(), costs)
            ),
            float(total - nothing),
        )

    def reset(self) -> None:
        """Set state tensors to their initial values."""
        for index, initial in self.program.state.items():
            self.tensor(index)[...] = initial
        if self._fed is not None:
            self._fed.reset()

    def close(self) -> None:
        """End the threads, if there are any; all else is memory."""
        if self.team is not None:
            self.team.close()

    # ---- for backends that take over some of the calls ----

    def run_item(self, item: int) -> None:
        """Run one of the program's items (a call or a whole loop)."""
        self._part(item, item + 1)()

    def _way(self) -> Callable[[], object]:
        """How an inference runs: by threads, by one call, or in stretches between NumPy's."""
        if not self.remarks:
            return self._together or self._dispatcher.run_all
        parts = [self._part(first, end) for first, end in stretches(self.program.items)]

        def run_parts() -> None:
            for part in parts:
                part()

        return run_parts

    def _part(self, first: int, end: int) -> Callable[[], object]:
        """What runs items first .. end-1, one that runs in NumPy or any that don't."""
        item = self.program.items[first]
        if is_in_numpy(item):
            return self._in_numpy(item.node)  # type: ignore[union-attr]
        return partial(self._dispatcher.run, first, end)

    def _in_numpy(self, number: int) -> Callable[[], None]:
        """A node by its reference, from and to the arena."""
        from .table import operation_of  # all arithmetic, for programs that ask for it

        graph = self.program.graph
        node = graph.nodes[number]
        operation = operation_of(node.op)
        assert operation is not None  # else the node was refused
        operands = [None if index is None else self._value(index) for index in node.inputs]
        places = [self.tensor(index) for index in node.outputs]

        def run() -> None:
            for place, answer in zip(
                places, operation.reference(graph, node, operands), strict=True
            ):
                place[...] = answer

        return run

    def finished(self, item: int) -> Iterator[tuple[int, int, np.ndarray]]:
        """(node, tensor index, value) of the tensors that are whole once an item has run."""
        for node, tensor in self.program.finished.get(item, ()):
            yield node, tensor, self.tensor(tensor).copy()

    def tensor(self, index: int) -> np.ndarray:
        """A view of a tensor that lies whole in the arena."""
        tensor = self.program.graph.tensors[index]
        begin = self.program.addresses[index]
        view: NDArray[np.int8] = self.arena[begin : begin + tensor.bytes]
        return view.view(DTYPES[tensor.dtype]).reshape(tensor.shape)

    def _team_of(self, shares: Shares) -> Team:
        names = shares.words[0].kernels
        known = addresses((*names, "dispatch", "lead", "follow"))
        kernels = np.array([known[name] for name in names], np.int64)
        words, entries = [each.words for each in shares.words], shares.entries
        fields = {
            "arena": self._memory.ctypes.data,
            "constants": self._constants.ctypes.data,
            "kernels": kernels.ctypes.data,
            "dispatch": known["dispatch"],
            "phases": shares.phases.ctypes.data,
            "phase_count": len(shares.phases),
            "entries": entries.ctypes.data,
        }
        held = (self._memory, self._constants, kernels, words, entries, shares)
        places = [each.ctypes.data for each in words]
        return Team(fields, places, known["lead"], known["follow"], held)

    def _value(self, index: int) -> np.ndarray:
        """A tensor's numbers; constants aren't in the arena."""
        data = self.program.graph.tensors[index].data
        return self.tensor(index) if data is None else data


def _remarks(program: Program) -> list[str]:
    """What no native kernel does, for those who wonder about the time."""
    calls = [item for item in program.items if is_in_numpy(item)]
    kinds = sorted({program.graph.nodes[call.node].op for call in calls if isinstance(call, Call)})
    count = f"{len(calls)} of {len(program.items)} calls run in NumPy"
    return [f"{count}: {', '.join(kinds)}"] if calls else []


def _timed(run: Callable[[], object]) -> float:
    """Seconds."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _aligned(size: int) -> NDArray[np.int8]:
    """`size` zero bytes from a cache line on; vectors may read a line more than that."""
    room = np.zeros(size + 2 * LINE, np.int8)
    skipped = -room.ctypes.data % LINE
    return room[skipped : skipped + size]
