"""Running a graph with early exits, here or split: an answer leaves as soon as it may, or must.

It leaves at the first exit that is sure enough. When the far side fails, or would not make the
deadline, the device goes on alone to the deepest exit that it can reach in time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ...runtime.backend import Executor, Measurement, check_inputs, find_backend
from ...runtime.graph import Graph
from ...runtime.pipeline import compile_graph
from .client import EdgeClient, LinkError
from .coder import Coder
from .cut import Cut, cut_between
from .decisions import Clock, Decisions
from .executor import RETRY_S, Exchange
from .exits import ExitRules, confidence, exits_of, part_of, probabilities

FORGOTTEN = 0.95  # of what an exchange took, each time that it keeps a request from asking
LEARNT = 0.2  # the weight of the newest time of a stage or an exchange


class _Stage:
    """Some nodes, compiled; `output` is the exit that they end in, if any."""

    def __init__(self, graph: Graph, nodes: Sequence[int], output: int | None) -> None:
        self.part = part_of(graph, nodes)
        self.output = output
        self.executor: Executor = find_backend("host").build(compile_graph(self.part, "host"))
        self.seconds = 0.0  # learnt; 0 until it ran

    def run(self, values: dict[int, np.ndarray], clock: Clock) -> None:
        started = clock()
        made = self.executor.run([values[t] for t in self.part.inputs])
        values.update(zip(self.part.outputs, made, strict=True))
        self.seconds = learnt(self.seconds, clock() - started)


def learnt(known: float, seen: float) -> float:
    return seen if known == 0.0 else known + LEARNT * (seen - known)


class EarlyExitExecutor:
    """The nodes of `cut` here with every exit that hangs on them, the rest on the server.

    `client` None (or a cut with nothing for the server) is a device alone. An answer is one array:
    that of the exit it left at, whose number is `left_at`. With `only` all leave at that exit, as
    Edgent and EDDI plan, and no other is computed.
    """

    def __init__(
        self,
        graph: Graph,
        cut: Cut,
        client: EdgeClient | None,
        rules: ExitRules,
        log: Decisions | None = None,
        coder: Coder | None = None,
        clock: Clock = time.perf_counter,
        only: int | None = None,
    ) -> None:
        self.measurement = Measurement()
        self.remarks: list[str] = []
        self.exchange: Exchange | None = None
        self._only, self.left_at = only, 0
        self.deadline_ms: float | None = None  # of a run that names none
        self.log = log if log is not None else Decisions()
        self.coder = coder or Coder()
        self._graph, self._client, self._rules, self._clock = graph, client, rules, clock
        self._exits = exits_of(graph) if only is None else exits_of(graph)[only : only + 1]
        here = set(cut.device if client is not None else range(len(graph.nodes)))
        for point in self._exits[:-1]:  # to ask an exit here saves a request
            if set(point.trunk) <= here:
                here.update(point.nodes)
        self.cut = cut_between(graph, here).wanting([self._exits[-1].output])
        self._near, self._far = self._stages()
        self._far_s = 0.0  # what an exchange takes, learnt
        self._retry_at = -1.0

    def _stages(self) -> tuple[list[_Stage], list[_Stage]]:
        """Nodes here up to each exit and up to the cut; the same of what the server has."""
        done: set[int] = set()
        here = set(self.cut.device)
        near, far = [], []
        for point in self._exits:
            nodes = [n for n in point.nodes if n not in done]
            if set(nodes) <= here:
                near.append(_Stage(self._graph, nodes, point.output))
            else:
                before = [n for n in nodes if n in here]
                if before:
                    near.append(_Stage(self._graph, before, None))
                far.append(_Stage(self._graph, [n for n in nodes if n not in here], point.output))
            done.update(nodes)
        return near, far

    def run(
        self, inputs: Sequence[np.ndarray], deadline_ms: float | None = None
    ) -> list[np.ndarray]:
        """One inference; after `deadline_ms` an answer that is there already is taken."""
        started = self._clock()
        deadline_ms = self.deadline_ms if deadline_ms is None else deadline_ms
        ends = None if deadline_ms is None else started + deadline_ms / 1e3
        self.exchange, self.remarks = None, []
        checked = check_inputs(self._graph, inputs)
        values = dict(zip(self._graph.inputs, checked, strict=True))
        answer = self._near_stages(values, ends)
        if answer is None:
            answer = self._far_side(values, ends)
        self.measurement = Measurement(latency_ms=(self._clock() - started) * 1e3)
        return [answer]

    # ---- inside ----

    def _near_stages(self, values: dict[int, np.ndarray], ends: float | None) -> np.ndarray | None:
        """The answer of an exit before the cut: a sure one, or at the deadline the last reached."""
        for stage in self._near:
            held = self._held(values)
            if held is not None and self._too_late(stage.seconds, ends):
                return self._leave(values, held, "no time for the next exit")
            stage.run(values, self._clock)
            if stage.output is not None:
                number = self._number(stage.output)
                if number == len(self._exits) - 1:
                    return self._leave(values, number, "the end")
                if self._sure(values, number) >= self._rules.thresholds[number]:
                    return self._leave(values, number, "sure enough")
        return None

    def _far_side(self, values: dict[int, np.ndarray], ends: float | None) -> np.ndarray:
        """Past the cut: by the server, or here as far as the deadline allows."""
        held = self._held(values)
        if self.alone:
            return self._alone(values, ends, "the server failed shortly ago")
        if self._too_late(self._far_s, ends) and (held is not None or self._home_in_time(ends)):
            self._far_s *= FORGOTTEN
            return self._alone(values, ends, "the far side would not make the deadline")
        asked = self._clock()
        left_s = None if ends is None else max(ends - asked - self._reserve(held), 1e-3)
        assert self._client is not None
        try:
            crossing = [values[t] for t in self.cut.sent]
            made = self._client.infer(self.cut, crossing, left_s, self.coder)
        except LinkError as error:
            self._retry_at = self._clock() + RETRY_S
            ms = (self._clock() - asked) * 1e3
            self.exchange = Exchange(self._client.sent_bytes, ms, error=str(error))
            return self._alone(values, ends, str(error))
        seconds = self._clock() - asked
        self._far_s = learnt(self._far_s, seconds)
        compute_ms = min(self._client.compute_ms or 0.0, seconds * 1e3)
        coding_ms = min(self._client.coding_ms, seconds * 1e3 - compute_ms)
        sent = self._client.sent_bytes
        self.exchange = Exchange(sent, seconds * 1e3, compute_ms, coding_ms)
        values.update(zip(self.cut.tail.outputs, made, strict=True))
        return self._leave(values, len(self._exits) - 1, f"the server answered, {sent} bytes sent")

    def _alone(self, values: dict[int, np.ndarray], ends: float | None, why: str) -> np.ndarray:
        """Go on here, exit by exit, while there is time; the first answer is always waited for."""
        for stage in self._far:
            held = self._held(values)
            if held is not None and self._too_late(stage.seconds, ends):
                return self._leave(values, held, f"{why}; no time for the next exit")
            stage.run(values, self._clock)
        return self._leave(values, len(self._exits) - 1, f"{why}; the device went on alone")

    def _leave(self, values: dict[int, np.ndarray], number: int, why: str) -> np.ndarray:
        sure = self._sure(values, number)
        self.left_at = number if self._only is None else self._only
        text = f"left at exit {self.left_at}: {why} ({sure:.3f} sure)"
        self.log.note("exit", text, exit=self.left_at, confidence=sure, why=why)
        self.remarks = [text]
        if self.coder.lossy and self.exchange is not None and self.exchange.error is None:
            self.remarks.append("the coding is lossy: these are not the bits of a local run")
        return values[self._exits[number].output]

    def _sure(self, values: dict[int, np.ndarray], number: int) -> float:
        output = self._exits[number].output
        shares = probabilities(values[output], self._graph.tensors[output])
        return float(confidence(shares, self._rules.measure).min())

    def _number(self, output: int) -> int:
        return next(i for i, e in enumerate(self._exits) if e.output == output)

    def _held(self, values: dict[int, np.ndarray]) -> int | None:
        """The deepest exit that has answered."""
        reached = [i for i, e in enumerate(self._exits) if e.output in values]
        return max(reached, default=None)

    def _too_late(self, seconds: float, ends: float | None) -> bool:
        return ends is not None and self._clock() + seconds > ends

    def _home_in_time(self, ends: float | None) -> bool:
        return not self._too_late(sum(stage.seconds for stage in self._far), ends)

    def _reserve(self, held: int | None) -> float:
        """What is kept of the time for going on alone; an exit that is held needs none."""
        return 0.0 if held is not None or not self._far else self._far[0].seconds

    # ---- as SplitExecutor, so that the adaptive executor can move it ----

    @property
    def alone(self) -> bool:
        """Whether the server failed so shortly ago that it is not asked."""
        return self._clock() < self._retry_at

    def ask_again(self) -> None:
        self._retry_at = -1.0
        self._far_s = 0.0  # the link may be another one now

    def slow_down(self, wrap: Callable[[Executor], Executor]) -> None:
        """Let what runs here take longer, to measure what a slower device would see."""
        for stage in (*self._near, *self._far):
            stage.executor = wrap(stage.executor)

    def trace(self, inputs: Sequence[np.ndarray]) -> Iterator[tuple[int, int, np.ndarray]]:
        """All tensors of an inference to the last exit, on the device alone."""
        whole = find_backend("host").build(compile_graph(self._graph, "host"))
        try:
            yield from whole.trace(inputs)
        finally:
            whole.close()

    def reset(self) -> None:
        for stage in (*self._near, *self._far):
            stage.executor.reset()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self.close_parts()

    def close_parts(self) -> None:
        for stage in (*self._near, *self._far):
            stage.executor.close()
