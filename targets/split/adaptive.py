"""A split that follows the link: where to cut is decided again whenever the link changes.

Requests never wait for a decision: heads and tails of a new cut are compiled in the background, and
the old cut answers meanwhile. Every decision is in `log`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ...runtime.backend import Measurement
from ...runtime.graph import Graph
from .client import EdgeClient, LinkError
from .coder import Coder
from .coding_costs import CodingCost
from .costs import Codings
from .cut import Cut, cut_between, ranges
from .decisions import Decisions
from .estimate import LEAST_BYTES, LinkEstimate
from .executor import SplitExecutor
from .planners.mincut import Envelope
from .planners.problem import Link, Plan, Problem, evaluate, plan_of

HYSTERESIS = 0.1  # a new plan must be predicted to be faster by so much
PROBE_S = 1.0  # without a request that tells, the link is probed so often
PROBE_MS = 50.0  # what a probe may take of the link's time
SMALL, LARGE = 512, 16_384  # bytes of a probe
LOAD_STEP = 1.25  # the envelope is made anew when the server's load has changed by so much


class AdaptiveExecutor:
    """Runs `graph` split at the cut that the present link asks for.

    `problem` has the costs of both sides; its link is only the first guess. `deadline_ms` bounds
    what is waited for the server: after it the device finishes alone. With `codings` the plan says
    how each tensor that crosses is coded; without, executors code as they were made to.
    """

    def __init__(
        self,
        graph: Graph,
        problem: Problem,
        client: EdgeClient,
        deadline_ms: float | None = None,
        make: Callable[[Graph, Cut, EdgeClient], SplitExecutor] = SplitExecutor,
        log: Decisions | None = None,
        codings: Codings | None = None,
    ) -> None:
        self.measurement = Measurement()
        self.log = log if log is not None else Decisions()
        self.estimate = LinkEstimate(problem.link.up, problem.link.delay_ms)
        self._graph, self._client, self._deadline_ms, self._make = graph, client, deadline_ms, make
        self._problem, self._codings = problem, codings
        self._envelope = self._envelope_now()
        self._made: dict[str, SplitExecutor] = {}
        self._lock = threading.Lock()
        self._wake, self._closing = threading.Event(), False
        self._failed = False  # the server did, and has not answered since
        self._told_at = 0.0  # when a request last told about the link
        self._chosen, self.plan = self._best()
        self._current = self._prepare(self.plan)
        self._code(self._current)
        self._note("cut", f"starts with {self._describe(self.plan)}")
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    @property
    def remarks(self) -> list[str]:
        return self._current.remarks

    @property
    def current(self) -> SplitExecutor:
        """The executor of the present cut."""
        return self._current

    @property
    def cut(self) -> Cut:
        return self._current.cut

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference at the present cut; what it tells about the link is learnt."""
        executor = self._current
        outputs = executor.run(inputs, self._deadline_ms)
        self.measurement = executor.measurement
        self._learn(executor)
        return outputs

    def exchange_worked(self) -> bool:
        """Whether the last inference had its answer from the server."""
        exchange = self._current.exchange
        return exchange is not None and exchange.error is None

    def trace(self, inputs: Sequence[np.ndarray]) -> Iterator[tuple[int, int, np.ndarray]]:
        return self._current.trace(inputs)

    def reset(self) -> None:
        self._current.reset()

    def close(self) -> None:
        self._closing = True
        self._wake.set()
        self._thread.join()
        for executor in self._made.values():
            executor.close_parts()
        self._client.close()

    # ---- inside ----

    def _learn(self, executor: SplitExecutor) -> None:
        exchange = executor.exchange
        if exchange is None:
            return
        if exchange.error is not None or exchange.sent_bytes >= LEAST_BYTES:
            self._told_at = time.monotonic()
        if exchange.error is not None:
            self._note("failed", f"the server failed: {exchange.error}")
            self._failed = True
            self._wake.set()
            return
        self._recovered()
        profiled = sum(self._problem.costs.server_ms[v] for v in executor.cut.server)
        self.estimate.computed(exchange.compute_ms, profiled)
        beside = exchange.ms - exchange.compute_ms - exchange.coding_ms
        if self.estimate.carried(exchange.sent_bytes, beside):
            self._wake.set()

    def _recovered(self) -> None:
        if self._failed:
            self._failed = False
            self._note("recovered", "the server answers again")

    def _follow(self) -> None:
        """The background: probes when nothing else tells, plans, compiles, switches."""
        while not self._closing:
            self._wake.wait(PROBE_S)
            self._wake.clear()
            if self._closing:
                return
            if time.monotonic() - self._told_at > PROBE_S or self._current.alone:
                self._probe()
            self._replan()

    def _probe(self) -> None:
        """Ask for nothing twice, without and with contents: delay and rate.

        A link that failed gets little: what is sent on it stands before the next request.
        """
        known = not self._failed
        size = int(min(max(self.estimate.rate * PROBE_MS, SMALL), LARGE)) if known else SMALL
        try:
            self.estimate.answered_empty(self._client.probe(0))
            self.estimate.carried(size, self._client.probe(size))
        except LinkError:
            return
        self._current.ask_again()
        self._recovered()

    def _replan(self) -> None:
        if not 1 / LOAD_STEP < self.estimate.load / self._problem.server_load < LOAD_STEP:
            self._problem = replace(self._problem, server_load=self.estimate.load)
            self._envelope = self._envelope_now()
        chosen, best = self._best()
        now = evaluate(self._coded(self._at_present(), self._chosen), self.plan.device).latency_ms
        if best.stages.latency_ms >= now * (1 - HYSTERESIS):
            return
        moves = best.device != self.plan.device
        executor = self._prepare(best)
        self._chosen, self.plan = chosen, best
        self._code(executor)
        self._current = executor
        kind, what = ("cut", "moves to") if moves else ("coding", "codes anew:")
        self._note(kind, f"{what} {self._describe(best)}, {now:.2f} ms where it was")

    def _envelope_now(self) -> Envelope:
        return Envelope.of(self._problem, coded=lambda p: self._coded(p, self._best_codings(p)))

    def _best_codings(self, problem: Problem) -> Mapping[int, CodingCost]:
        return {} if self._codings is None else self._codings.best(problem)

    def _coded(self, problem: Problem, chosen: Mapping[int, CodingCost]) -> Problem:
        return problem if self._codings is None else self._codings.applied(problem, chosen)

    def _code(self, executor: SplitExecutor) -> None:
        """From the next request on, what crosses is coded as was chosen."""
        if self._codings is None:
            return
        tensors = self._graph.tensors
        names = {tensors[t].name: cost.name for t, cost in self._chosen.items()}
        executor.coder = Coder(names)

    def _at_present(self) -> Problem:
        rate = self.estimate.rate
        ratio = self._problem.link.down / self._problem.link.up
        link = Link(rate, rate * ratio, self.estimate.delay_ms)
        return replace(self._problem, link=link)

    def _best(self) -> tuple[Mapping[int, CodingCost], Plan]:
        """The fastest plan on the link as it is, and how every tensor is best coded there."""
        plain = self._at_present()
        chosen = self._best_codings(plain)
        present = self._coded(plain, chosen)
        plans = [plan_of(present, "cic", cut, True) for cut in self._envelope.cuts]
        return chosen, min(plans, key=lambda p: (p.stages.latency_ms, -len(p.device)))

    def _prepare(self, plan: Plan) -> SplitExecutor:
        with self._lock:
            name = ranges(sorted(plan.device))
            if name not in self._made:
                cut = cut_between(self._graph, plan.device)
                self._made[name] = self._make(self._graph, cut, self._client)
            return self._made[name]

    def _describe(self, plan: Plan) -> str:
        stages, nodes = plan.stages, len(self._graph.nodes)
        sent = cut_between(self._graph, plan.device).sent
        used = sorted({self._chosen[t].name for t in sent if t in self._chosen} - {"raw"})
        coded = f" coded {', '.join(used)}" if used else ""
        return (
            f"{len(plan.device)} of {nodes} nodes here, {stages.sent_bytes:,} bytes cross{coded}: "
            f"{stages.latency_ms:.2f} ms predicted at "
            f"{self.estimate.rate / 125:.3g} Mbit/s, {self.estimate.delay_ms:.2f} ms of delay, "
            f"server load {self.estimate.load:.2f}"
        )

    def _note(self, kind: str, what: str) -> None:
        estimate = self.estimate
        self.log.note(
            kind,
            what,
            nodes_here=len(self.plan.device),
            mbit_s=estimate.rate / 125,
            delay_ms=estimate.delay_ms,
            server_load=estimate.load,
        )
