"""Running a cut model: the head here, the tail on the server, or here when the link fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ...runtime.backend import Executor, Measurement, check_inputs, find_backend
from ...runtime.graph import Graph
from ...runtime.pipeline import compile_graph
from .client import EdgeClient, LinkError
from .cut import Cut

RETRY_S = 1.0  # after a failure the device answers alone for so long before it asks again


class SplitExecutor:
    """Never loses an answer: whatever the link does, the device can finish alone.

    `remarks` tells where the last answer was computed and, if the link failed, how.
    """

    def __init__(
        self,
        graph: Graph,
        cut: Cut,
        client: EdgeClient,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self.measurement = Measurement()
        self.remarks: list[str] = []
        self.cut, self._graph, self._client, self._release = cut, graph, client, release
        self._head = _executor(cut.head)
        self._tail = _executor(cut.tail)
        self._retry_at = 0.0

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        started = time.perf_counter()
        checked = check_inputs(self._graph, inputs)
        values = dict(zip(self.cut.head.outputs, self._head.run(checked), strict=True))
        if self.cut.tail.nodes:
            crossing = [values[index] for index in self.cut.sent]
            values.update(zip(self.cut.tail.outputs, self._finish(crossing), strict=True))
        else:
            self.remarks = ["the whole model ran on the device"]
        self.measurement = Measurement(latency_ms=(time.perf_counter() - started) * 1e3)
        return [values[index] for index in self._graph.outputs]

    def _finish(self, crossing: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The tail's answer, from the server if it can be had, else from the device."""
        if time.monotonic() < self._retry_at:
            return self._tail.run(crossing)
        try:
            answer = self._client.infer(self.cut, crossing)
        except LinkError as error:
            self._retry_at = time.monotonic() + RETRY_S
            self.remarks = [f"{error}; the device answered alone"]
            return self._tail.run(crossing)
        here, nodes = self.cut.position, len(self._graph.nodes)
        self.remarks = [
            f"{here} of {nodes} nodes here, the others at {self._client.address}, "
            f"{self.cut.sent_bytes} bytes sent"
        ]
        return answer

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
        self._head.close()
        self._tail.close()
        self._release()


def _executor(graph: Graph) -> Executor:
    return find_backend("host").build(compile_graph(graph, "host"))
