"""Running a tile plan: errands to the workers, pieces put together, no answer ever lost."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

import numpy as np

from ....runtime.backend import Measurement, check_inputs
from ....runtime.errors import ExecutionError, TargetError
from ....runtime.graph import DTYPES
from .boxes import Pieces, piece_of
from .errands import Errand, errands
from .plan import GATEWAY, Step, TilePlan, TileProblem
from .task import Piece, Task, TaskRunner

RETRY_S = 5.0  # a worker that failed is left out so long


class WorkerError(ExecutionError):
    """A worker gave no usable answer."""


class Worker(Protocol):
    """Another device: behind gRPC, in a Ray actor, or in this process."""

    def run(
        self, frame: str, task: Task, given: Sequence[Piece], values: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """What the task gives; `WorkerError` if it can't be had."""

    def close(self) -> None: ...


class _Lost(Exception):
    """A worker failed that kept tiles: the inference starts again without it."""


class TileExecutor:
    """Runs a model over a gateway (this process) and workers, by device number from 1.

    A worker that fails is left out for a while: its tiles are made by others or here, and tiles
    that it kept are made again. With `zero_fill` isolated tiles that are missing become zeros, as
    in ADCNN. `sent_bytes` are those of the last inference's tensors, both ways.
    """

    def __init__(
        self,
        problem: TileProblem,
        plan: TilePlan,
        workers: Mapping[int, Worker],
        release: Callable[[], None] = lambda: None,
        zero_fill: bool = False,
    ) -> None:
        self.graph, self.zero_fill = problem.graph, zero_fill
        self.measurement, self.remarks = Measurement(), [""]
        self.sent_bytes = 0
        self.made: dict[int, int] = {}  # tiles by device, of the last inference
        self.spent: dict[int, tuple[int, float]] = {}  # rows and ms, where several shared a step
        self._workers, self._release = dict(workers), release
        self._runner = TaskRunner(problem.graph)
        self._pool = ThreadPoolExecutor(max(len(workers), 1))
        self._lock = threading.Lock()
        self._lost: dict[int, float] = {}  # device -> when it is asked again
        self._told: dict[frozenset[int], list[list[Errand]]] = {}
        self.follow(problem, plan)

    def follow(self, problem: TileProblem, plan: TilePlan) -> None:
        """From the next inference on, this plan of the same model for the same workers."""
        missing = set(plan.devices) - {GATEWAY} - set(self._workers)
        if missing:
            raise TargetError(f"the plan has tiles for device {min(missing)}, which is no worker")
        self.plan, self._problem = plan, problem
        self._told.clear()

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference; arrays in the order of the graph's inputs and outputs."""
        started = time.perf_counter()
        checked = check_inputs(self.graph, inputs)
        now = time.monotonic()
        self._lost = {device: again for device, again in self._lost.items() if again > now}
        while True:
            try:
                answers = self._frame(checked)
                break
            except _Lost:
                continue
        self.measurement = Measurement(latency_ms=(time.perf_counter() - started) * 1e3)
        away = sum(count for device, count in self.made.items() if device != GATEWAY)
        self.remarks = [
            f"{away} of {sum(self.made.values())} tiles on {len(self._workers)} workers, "
            f"{self.sent_bytes} bytes sent"
            + (f"; without worker {', '.join(map(str, sorted(self._lost)))}" if self._lost else "")
        ]
        return answers

    def _frame(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        pieces = Pieces(self.graph.tensors)
        whole = self._problem.geometry.whole
        for tensor, value in zip(self.graph.inputs, inputs, strict=True):
            pieces.put(tensor, whole[tensor], value)
        self.sent_bytes, self.made, self.spent = 0, {}, {}
        frame = uuid.uuid4().hex
        for step, told in zip(self.plan.steps, self._errands(), strict=True):
            _Round(self, frame, step, pieces).run(told)
        return [pieces.take(tensor, whole[tensor]) for tensor in self.graph.outputs]

    def _errands(self) -> list[list[Errand]]:
        """What to do without the lost devices: others have their tiles, in turn."""
        lost = frozenset(self._lost)
        if lost not in self._told:
            others = [d for d in (*self._workers, GATEWAY) if d not in lost]
            heirs = {d: others[i % len(others)] for i, d in enumerate(sorted(lost))}
            steps = [
                replace(
                    step,
                    tiles=tuple(
                        replace(tile, device=heirs.get(tile.device, tile.device))
                        for tile in step.tiles
                    ),
                )
                for step in self.plan.steps
            ]
            self._told[lost] = errands(self._problem, steps)
        return self._told[lost]

    def trace(self, inputs: Sequence[np.ndarray]) -> Iterator[tuple[int, int, np.ndarray]]:
        raise TargetError("a run over several devices can't be traced; compare it on the host")

    def reset(self) -> None:
        """Models with state aren't split in tiles, so there is nothing to reset."""

    def close(self) -> None:
        self._pool.shutdown()
        for worker in self._workers.values():
            worker.close()
        self._runner.close()
        self._release()


class _Round:
    """One step: each device has a queue; with stealing, idle ones take from the longest."""

    def __init__(self, owner: TileExecutor, frame: str, step: Step, pieces: Pieces) -> None:
        self.owner, self.frame, self.step, self.pieces = owner, frame, step, pieces
        self.queues: dict[int, deque[Errand]] = {}
        self.orphans: deque[Errand] = deque()
        self.stealing = bool(owner.plan.evidence.get("stealing")) and not step.kept

    def run(self, told: Sequence[Errand]) -> None:
        for errand in told:
            self.queues.setdefault(errand.device, deque()).append(errand)
        if self.stealing:  # those without a tile of their own may help
            for device in (*self.owner._workers, GATEWAY):
                self.queues.setdefault(device, deque())
        futures = [
            self.owner._pool.submit(self._work, device)
            for device in self.queues
            if device != GATEWAY
        ]
        if GATEWAY in self.queues:
            self._work(GATEWAY)
        for future in futures:
            future.result()
        if any(errand.bound for errand in self.orphans):
            raise _Lost
        while self.orphans:
            self._alone(self.orphans.popleft())

    def _alone(self, errand: Errand) -> None:
        if not (self.owner.zero_fill and self.step.isolated):
            self._here(errand)
            return
        for tensor, box in errand.task.give:
            made = piece_of(self.owner.graph.tensors[tensor], box)
            quantization = made.quantization
            zero = 0 if quantization is None else quantization.zero_point
            self.pieces.put(tensor, box, np.full(made.shape, zero, DTYPES[made.dtype]))

    def _work(self, device: int) -> None:
        """Do a device's errands; after a failure leave the others to the rest."""
        while device not in self.owner._lost:
            errand = self._next(device)
            if errand is None:
                return
            if device == GATEWAY:
                self._here(errand)
            elif not self._there(device, errand):
                return
        with self.owner._lock:
            self.orphans.extend(self.queues[device])
            self.queues[device].clear()

    def _next(self, device: int) -> Errand | None:
        with self.owner._lock:
            own = self.queues[device]
            if own:
                return own.popleft()
            if self.stealing and self.orphans:
                return self.orphans.popleft()
            longest = max(self.queues.values(), key=len)
            return longest.pop() if self.stealing and longest else None

    def _here(self, errand: Errand) -> None:
        """On the gateway, whose store has all that the workers were given and gave."""
        started = time.perf_counter()
        self.owner._runner.run(errand.task, self.pieces)
        self._done(GATEWAY, errand, [], started)

    def _there(self, device: int, errand: Errand) -> bool:
        with self.owner._lock:
            values = [self.pieces.take(*piece) for piece in errand.given]
        started = time.perf_counter()
        try:
            answers = self.owner._workers[device].run(self.frame, errand.task, errand.given, values)
        except WorkerError:
            with self.owner._lock:
                self.owner._lost[device] = time.monotonic() + RETRY_S
                self.orphans.extend((errand, *self.queues[device]))
                self.queues[device].clear()
            return False
        with self.owner._lock:
            self.owner.sent_bytes += sum(v.nbytes for v in (*values, *answers))
        self._done(device, errand, answers, started)
        return True

    def _done(
        self, device: int, errand: Errand, answers: Sequence[np.ndarray], started: float
    ) -> None:
        with self.owner._lock:
            if len(self.step.tiles) > 1:
                (top, bottom), _ = errand.task.boxes[-1][1]
                rows, ms = self.owner.spent.get(device, (0, 0.0))
                ms += (time.perf_counter() - started) * 1e3
                self.owner.spent[device] = rows + bottom - top, ms
            self.owner.made[device] = self.owner.made.get(device, 0) + 1
            for (tensor, box), value in zip(errand.task.give, answers, strict=False):
                self.pieces.put(tensor, box, value)
