"""Running a cut model: the head here, the tail on the server, or here when the link fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...runtime.backend import Executor, Measurement, check_inputs, find_backend
from ...runtime.graph import Graph
from ...runtime.pipeline import compile_graph
from .client import EdgeClient, LinkError
from .coder import Coder
from .cut import Cut

RETRY_S = 1.0  # after a failure the device answers alone for so long before it asks again


@dataclass(frozen=True)
class Exchange:
    """One request as the device saw it: `ms` from asking to the answer, or to the `error`."""

    sent_bytes: int
    ms: float
    compute_ms: float = 0.0  # of `ms`, what the server says it computed
    coding_ms: float = 0.0  # of `ms`, coding and decoding what was sent
    error: str | None = None


class SplitExecutor:
    """Never loses an answer: whatever the link does, the device can finish alone.

    `remarks` tells where the last answer was computed and, if the link failed, how; `exchange` what
    the last inference asked of the server, None if it did not ask. `coder` codes what crosses; with
    a lossy one, answers from the server are not the device's, and `remarks` say so.
    """

    def __init__(
        self,
        graph: Graph,
        cut: Cut,
        client: EdgeClient,
        release: Callable[[], None] = lambda: None,
        coder: Coder | None = None,
    ) -> None:
        self.measurement = Measurement()
        self.remarks: list[str] = []
        self.exchange: Exchange | None = None
        self.marks: dict[str, float] = {}  # time.perf_counter() at the stages of the last inference
        self.traced: str | None = None  # W3C traceparent of the requests to come
        self.spans: list[int] = []  # of a traced request, the server's times
        self.cut, self._graph, self._client, self._release = cut, graph, client, release
        self.coder = coder or Coder()
        self._head = _executor(cut.head)
        self._tail = _executor(cut.tail)
        self._retry_at = 0.0

    def run(
        self, inputs: Sequence[np.ndarray], deadline_ms: float | None = None
    ) -> list[np.ndarray]:
        """One inference. After `deadline_ms` the server is not waited for any longer."""
        started = time.perf_counter()
        self.exchange, self.marks = None, {"started": started}
        checked = check_inputs(self._graph, inputs)
        values = dict(zip(self.cut.head.outputs, self._head.run(checked), strict=True))
        self.marks["crossed"] = time.perf_counter()
        if self.cut.tail.nodes:
            crossing = [values[index] for index in self.cut.sent]
            left = None
            if deadline_ms is not None:
                left = max(deadline_ms / 1e3 - (time.perf_counter() - started), 1e-3)
            values.update(zip(self.cut.tail.outputs, self._finish(crossing, left), strict=True))
        else:
            self.remarks = ["the whole model ran on the device"]
        self.marks["ended"] = time.perf_counter()
        self.measurement = Measurement(latency_ms=(self.marks["ended"] - started) * 1e3)
        return [values[index] for index in self._graph.outputs]

    @property
    def alone(self) -> bool:
        """Whether the server failed so shortly ago that it is not asked."""
        return time.monotonic() < self._retry_at

    def ask_again(self) -> None:
        """The server was seen to answer: ask it at the next inference."""
        self._retry_at = 0.0

    def _finish(self, crossing: Sequence[np.ndarray], left_s: float | None) -> list[np.ndarray]:
        """The tail's answer, from the server if it can be had in time, else from the device."""
        if self.alone:
            return self._tail.run(crossing)
        asked = time.perf_counter()
        self._client.trace = self.traced
        try:
            answer = self._client.infer(self.cut, crossing, left_s, self.coder)
        except LinkError as error:
            self._retry_at = time.monotonic() + RETRY_S
            ms = (time.perf_counter() - asked) * 1e3
            self.exchange = Exchange(self._client.sent_bytes, ms, error=str(error))
            self.remarks = [f"{error}; the device answered alone"]
            return self._tail.run(crossing)
        self.marks |= {"asked": asked, "answered": time.perf_counter()}
        self.spans = self._client.spans
        ms = (self.marks["answered"] - asked) * 1e3
        compute_ms = min(self._client.compute_ms or 0.0, ms)
        coding_ms = min(self._client.coding_ms, ms - compute_ms)
        self.exchange = Exchange(self._client.sent_bytes, ms, compute_ms, coding_ms)
        here, nodes = self.cut.position, len(self._graph.nodes)
        self.remarks = [
            f"{here} of {nodes} nodes here, the others at {self._client.address}, "
            f"{self._client.sent_bytes} bytes sent"
        ]
        if self.coder.lossy:
            self.remarks.append("the coding is lossy: these are not the bits of a local run")
        return answer

    def warm(self, inputs: Sequence[np.ndarray]) -> None:
        """Run what stands here once, so that the next inference meets a warm cache."""
        self._head.run(check_inputs(self._graph, inputs))

    def slow_down(self, wrap: Callable[[Executor], Executor]) -> None:
        """Let what runs here take longer, to measure what a slower device would see."""
        self._head, self._tail = wrap(self._head), wrap(self._tail)

    def trace(self, inputs: Sequence[np.ndarray]) -> Iterator[tuple[int, int, np.ndarray]]:
        """All tensors of an inference that runs on the device alone."""
        values: dict[int, np.ndarray] = dict(zip(self._graph.inputs, inputs, strict=True))
        for part, executor, numbers in (
            (self.cut.head, self._head, self.cut.device),
            (self.cut.tail, self._tail, self.cut.server),
        ):
            for node, tensor, value in executor.trace([values[t] for t in part.inputs]):
                values[tensor] = value
                yield numbers[node], tensor, value

    def reset(self) -> None:
        self._head.reset()
        self._tail.reset()

    def close(self) -> None:
        self._client.close()
        self.close_parts()

    def close_parts(self) -> None:
        """Close all but the client, which others may share."""
        self._head.close()
        self._tail.close()
        self._release()


def _executor(graph: Graph) -> Executor:
    return find_backend("host").build(compile_graph(graph, "host"))
