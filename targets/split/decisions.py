"""What was decided while requests ran, and why: one log for every executor and wrapper."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KEPT = 4096

Clock = Callable[[], float]  # seconds, from any origin


@dataclass(frozen=True)
class Decision:
    """`kind` is one of few words (exit, cut, failed, skipped, ...); `facts` are its numbers."""

    at_s: float
    kind: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.at_s:9.3f} s  {self.text}"


class Decisions:
    """The last `KEPT` decisions, and how many there were of each kind."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock, self._started = clock, clock()
        self._kept: deque[Decision] = deque(maxlen=KEPT)
        self.counts: dict[str, int] = {}

    def note(self, kind: str, text: str, **facts: Any) -> None:
        self._kept.append(Decision(self._clock() - self._started, kind, text, facts))
        self.counts[kind] = self.counts.get(kind, 0) + 1

    def __iter__(self) -> Iterator[Decision]:
        return iter(list(self._kept))

    def __len__(self) -> int:
        return len(self._kept)

    def as_json(self) -> list[dict[str, Any]]:
        return [{"at_s": d.at_s, "kind": d.kind, "text": d.text, **d.facts} for d in self]

    def save(self, path: Path) -> None:
        """One JSON object a line."""
        path.write_text("".join(json.dumps(row) + "\n" for row in self.as_json()))
