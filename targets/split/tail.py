"""A compiled tail and the queue before it: one run at a time, for several requests at once.

What waits while one run goes on is run together next, in a program with a larger batch: weights are
read once and Python is entered once. Such programs are compiled in the background when requests
first meet; until then, and for tails that can't be given a batch, requests run one after the other.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ...runtime.backend import Executor, find_backend
from ...runtime.errors import ExecutionError, GraphError, MidgeError
from ...runtime.graph import Graph
from ...runtime.pipeline import compile_graph
from ...runtime.verify import verify

LEARNING = 0.2  # how much of the newest run goes into the time that is expected of one


class Busy(ExecutionError):
    """The server can't answer in time, and says so at once."""


@dataclass(eq=False)
class Job:
    """One request's tensors; then its answers or its error, and when it was run."""

    values: Sequence[np.ndarray]
    ends: float  # time.monotonic(); nobody waits for the answer after it
    arrived: float
    answers: list[np.ndarray] = field(default_factory=list)
    error: Exception | None = None
    done: bool = False
    started: float = 0.0
    finished: float = 0.0
    together: int = 1  # requests in its run

    @property
    def compute_ms(self) -> float:
        """Its share of the run."""
        return (self.finished - self.started) * 1e3 / self.together


class Tail:
    """One compiled tail. `most` requests run together; the first waits `wait_ms` for others."""

    def __init__(
        self,
        graph: Graph,
        target: str = "host",
        slowdown: float = 1.0,
        most: int = 1,
        wait_ms: float = 0.0,
    ) -> None:
        self.graph, self.most, self.wait_ms = graph, most, wait_ms
        self._target = target
        self._single = _executor(graph, target)
        if slowdown > 1:
            from ...sim.slowed import Slowed  # only to measure what a slower server would give

            self._single, self.most = Slowed(self._single, slowdown), 1
        self._batched: Executor | None = None  # of `most` requests
        self._compiling: threading.Thread | None = None
        self._waiting: deque[Job] = deque()
        self._lock, self._running = threading.Lock(), threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._expected_s = 0.0  # of one request

    def run(self, values: Sequence[np.ndarray], ends: float = float("inf")) -> Job:
        """The job, done; `Busy` at once if it can't be by `ends`, or if its turn came too late."""
        job = self._queue(values, ends)
        while not job.done:
            with self._running:  # who holds it runs for all that wait
                if not job.done:
                    self._run(self._take())
        if job.error is not None:
            raise job.error
        return job

    def prepare(self) -> None:
        """Compile the program for several requests, unless the tail has none; returns when done."""
        try:
            batched = _executor(with_batch(self.graph, self.most), self._target)
        except MidgeError:  # of the graph's rules, or a plan's
            self.most = 1
            return
        self._batched = batched

    def close(self) -> None:
        if self._compiling is not None:
            self._compiling.join()

    # ---- inside ----

    def _queue(self, values: Sequence[np.ndarray], ends: float) -> Job:
        now = time.monotonic()
        with self._lock:
            needed = self._expected_s * (len(self._waiting) + 1)
            if now + needed > ends:
                raise Busy(
                    f"busy: {len(self._waiting)} requests wait here and need about "
                    f"{needed * 1e3:.0f} ms, the deadline leaves {max(ends - now, 0) * 1e3:.0f}"
                )
            job = Job(values, ends, now)
            self._waiting.append(job)
            self._arrived.notify()
        return job

    def _take(self) -> list[Job]:
        """The jobs of the next run, in the order that they came."""
        with self._lock:
            if self.wait_ms and self._batched is not None:
                until = self._waiting[0].arrived + self.wait_ms / 1e3 - time.monotonic()
                self._arrived.wait_for(lambda: len(self._waiting) >= self.most, max(until, 0.0))
            if self.most > 1 and len(self._waiting) > 1 and self._compiling is None:
                self._compiling = threading.Thread(target=self.prepare, daemon=True)
                self._compiling.start()
            count = self.most if self._batched is not None else 1
            return [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]

    def _run(self, jobs: Sequence[Job]) -> None:
        started = time.monotonic()
        wanted = [job for job in jobs if job.ends > started]
        for job in jobs:
            if job not in wanted:
                job.error = Busy("busy: the deadline passed while the request waited its turn")
        try:
            answers = self._compute(wanted)
        except Exception as error:  # each of them tells its own caller
            for job in wanted:
                job.error = error
            answers = [[] for _ in wanted]
        finished = time.monotonic()
        for job, answer in zip(wanted, answers, strict=True):
            job.answers, job.together = answer, len(wanted)
            job.started, job.finished = started, finished
        if wanted:
            newest = (finished - started) / len(wanted) - self._expected_s
            self._expected_s += (LEARNING if self._expected_s else 1.0) * newest
        for job in jobs:
            job.done = True

    def _compute(self, jobs: Sequence[Job]) -> list[list[np.ndarray]]:
        """A batch that isn't full runs the last request again in the places that are left."""
        if self._batched is None or 2 * len(jobs) <= self.most:
            return [self._single.run(job.values) for job in jobs]
        filled = [*jobs, *[jobs[-1]] * (self.most - len(jobs))]
        stacked = [
            np.concatenate(tensors) for tensors in zip(*(job.values for job in filled), strict=True)
        ]
        outputs = self._batched.run(stacked)
        return [[output[i : i + 1].copy() for output in outputs] for i in range(len(jobs))]


def with_batch(graph: Graph, count: int) -> Graph:
    """A graph of batch 1 with batch `count`; `GraphError` if some operator can't have one."""
    tensors = dict(graph.tensors)
    for index, tensor in graph.tensors.items():
        if not graph.is_activation(index):
            continue
        if not tensor.shape or tensor.shape[0] != 1:
            raise GraphError(f"{tensor.name!r} of shape {list(tensor.shape)} has no batch of 1")
        tensors[index] = replace(tensor, shape=(count, *tensor.shape[1:]))
    nodes = []
    for node in graph.nodes:
        if node.op not in BY_IMAGE:
            raise GraphError(f"{node.op} isn't known to treat each image of a batch by itself")
        if node.op == "reshape":
            shape = (count, *node.attrs.shape[1:])
            node = replace(node, attrs=replace(node.attrs, shape=shape))
        nodes.append(node)
    batched = verify(replace(graph, nodes=tuple(nodes), tensors=tensors))
    for node in batched.nodes:
        padded = node.op == "pad" and (node.attrs.before[0] or node.attrs.after[0])
        if padded or (node.op == "mean" and 0 in node.attrs.axes):
            raise GraphError(f"{node.op} {node.name!r} works along the batch")
    return batched


BY_IMAGE = frozenset(
    "conv2d depthwise_conv2d transpose_conv fully_connected average_pool2d max_pool2d mean add sub "
    "mul pad softmax relu leaky_relu logistic tanh hard_swish quantize dequantize reshape "
    "resize_nearest resize_bilinear".split()
)


def _executor(graph: Graph, target: str) -> Executor:
    return find_backend(target).build(compile_graph(graph, target))
