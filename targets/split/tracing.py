"""One trace of device, wire and server, as Chrome and Perfetto read it.

All spans of a run share one trace id, which each request carries as W3C's `traceparent`. The server
says its own times since it received a request; clocks aren't shared, so they are placed in the
middle of what the device waited (as NTP does), and what is left on both sides is the wire's.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .executor import SplitExecutor

PROCESSES = {"device": 1, "wire": 2, "server": 3}
SERVER_SPANS = ("decode", "wait for its turn", "compute", "encode")


class Trace:
    """Collects spans; `save` writes them."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.events: list[dict[str, Any]] = [
            {"ph": "M", "name": "process_name", "pid": pid, "tid": 1, "args": {"name": name}}
            for name, pid in PROCESSES.items()
        ]
        self._began = time.perf_counter()

    def follow(self, executor: SplitExecutor) -> None:
        """The executor's next request is part of this trace."""
        executor.traced = f"00-{self.id}-{uuid.uuid4().hex[:16]}-01"

    def add(self, executor: SplitExecutor, about: Mapping[str, Any]) -> None:
        """The spans of the executor's last inference; `about` goes with each of them."""
        at, args = executor.marks, {"trace_id": self.id, **about}
        self._span("device", "inference", at["started"], at["ended"], args)
        self._span("device", "head", at["started"], at["crossed"], args)
        if "answered" in at:
            self._span("device", "wait for the server", at["asked"], at["answered"], args)
            self._far(at["asked"], at["answered"], executor.spans, args)
        elif at["ended"] > at["crossed"]:
            self._span("device", "tail", at["crossed"], at["ended"], args)

    def _far(self, asked: float, answered: float, spans: list[int], args: dict[str, Any]) -> None:
        if not spans:  # not a server of midge's, or none that traces
            return
        there = min(spans[-1] / 1e6, answered - asked)
        received = asked + (answered - asked - there) / 2
        times = [min(received + at / 1e6, received + there) for at in spans]
        self._span("wire", "request", asked, received, args)
        for name, start, end in zip(SERVER_SPANS, times[:-1], times[1:], strict=True):
            self._span("server", name, start, end, args)
        self._span("wire", "answer", times[-1], answered, args)

    def _span(
        self, where: str, name: str, start: float, end: float, args: Mapping[str, Any]
    ) -> None:
        self.events.append(
            {
                "ph": "X",
                "cat": where,
                "name": name,
                "pid": PROCESSES[where],
                "tid": 1,
                "ts": (start - self._began) * 1e6,
                "dur": max(end - start, 0.0) * 1e6,
                "args": dict(args),
            }
        )

    def save(self, path: Path) -> None:
        content = {"traceEvents": self.events, "displayTimeUnit": "ms"}
        path.write_text(json.dumps(content, indent=1) + "\n")
