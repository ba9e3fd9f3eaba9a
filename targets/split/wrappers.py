"""Wrappers over an executor that avoid work: cascades, input filters, reuse of results.

Each is an executor itself, so that they nest, and notes every decision in one log. A threshold at
one end runs everything, with the bits of no wrapper. None is on unless asked for.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...runtime.backend import Executor, Measurement
from ...runtime.graph import Graph
from .decisions import Clock, Decisions
from .exits import confidence, probabilities

Arrays = Sequence[np.ndarray]


class Wrapper:
    """What every wrapper passes on to the executor inside."""

    def __init__(self, inside: Executor, log: Decisions, clock: Clock = time.perf_counter) -> None:
        self.inside, self.log, self.clock = inside, log, clock
        self.measurement = Measurement()
        self.remarks: list[str] = []

    def run(self, inputs: Arrays) -> list[np.ndarray]:
        started = self.clock()
        answer = self.answer(inputs)
        self.measurement = Measurement(latency_ms=(self.clock() - started) * 1e3)
        return answer

    def answer(self, inputs: Arrays) -> list[np.ndarray]:
        raise NotImplementedError

    def ask_inside(self, inputs: Arrays) -> list[np.ndarray]:
        answer = self.inside.run(inputs)
        self.remarks = list(getattr(self.inside, "remarks", []))
        return answer

    def note(self, kind: str, text: str, **facts: float) -> None:
        self.log.note(kind, text, **facts)
        self.remarks = [text]

    def trace(self, inputs: Arrays) -> Iterator[tuple[int, int, np.ndarray]]:
        return self.inside.trace(inputs)

    def reset(self) -> None:
        self.inside.reset()

    def close(self) -> None:
        self.inside.close()


class Cascade(Wrapper):
    """Big/little (Park et al., CODES 2015): the little model answers if it is `threshold` sure.

    `little_graph` says what its answer means; both answer with the same classes.
    """

    def __init__(
        self,
        little: Executor,
        little_graph: Graph,
        big: Executor,
        threshold: float,
        log: Decisions,
        measure: str = "top",
    ) -> None:
        super().__init__(big, log)
        self._little, self._threshold, self._measure = little, threshold, measure
        self._output = little_graph.tensors[little_graph.outputs[0]]

    def answer(self, inputs: Arrays) -> list[np.ndarray]:
        little = self._little.run(inputs)
        sure = float(confidence(probabilities(little[0], self._output), self._measure).min())
        if sure >= self._threshold:
            self.note("little", f"the little model is {sure:.3f} sure", confidence=sure)
            return little
        answer = self.ask_inside(inputs)
        self.log.note("big", f"the little model is only {sure:.3f} sure", confidence=sure)
        return answer

    def close(self) -> None:
        self._little.close()
        super().close()


class FrameFilter(Wrapper):
    """Glimpse's trigger (Chen et al., SenSys 2015): the last answer while few elements change.

    An element has changed if it differs by more than `step` from the last frame that ran; a frame
    runs if more than `share` of its elements did, and always if `share` is negative.
    """

    def __init__(self, inside: Executor, share: float, log: Decisions, step: float = 8.0) -> None:
        super().__init__(inside, log)
        self._share, self._step = share, step
        self._frame: list[np.ndarray] | None = None
        self._answer: list[np.ndarray] = []

    def answer(self, inputs: Arrays) -> list[np.ndarray]:
        changed = self._changed(inputs)
        if self._frame is not None and changed <= self._share:
            self.note("skipped", f"{changed:.1%} of the frame changed: as before", changed=changed)
            return [value.copy() for value in self._answer]
        self._answer = self.ask_inside(inputs)
        self._frame = [np.array(value) for value in inputs]
        self.log.note("ran", f"{changed:.1%} of the frame changed", changed=changed)
        return [value.copy() for value in self._answer]

    def _changed(self, inputs: Arrays) -> float:
        if self._frame is None or [v.shape for v in inputs] != [v.shape for v in self._frame]:
            return 1.0
        pairs = zip(inputs, self._frame, strict=True)
        moved = [np.abs(a.astype(float) - b.astype(float)) > self._step for a, b in pairs]
        return sum(int(m.sum()) for m in moved) / sum(m.size for m in moved)


class FilterHead(Wrapper):
    """FilterForward (Canel et al., SysML 2019): a small head says which frames are worth the rest.

    `head` is an executor over the same inputs (a microclassifier, or a model up to its first exit).
    A frame counts as positive if the share of class `positive` reaches `threshold`; it runs if at
    least `least` of the last `window` frames did. Else the answer is `idle`.
    """

    def __init__(
        self,
        head: Executor,
        head_graph: Graph,
        inside: Executor,
        idle: Arrays,
        log: Decisions,
        positive: int = 1,
        threshold: float = 0.5,
        least: int = 1,
        window: int = 1,
    ) -> None:
        super().__init__(inside, log)
        self._head, self._idle = head, [np.array(value) for value in idle]
        self._output = head_graph.tensors[head_graph.outputs[0]]
        self._positive, self._threshold, self._least = positive, threshold, least
        self._recent: deque[bool] = deque(maxlen=window)

    def answer(self, inputs: Arrays) -> list[np.ndarray]:
        shares = probabilities(self._head.run(inputs)[0], self._output)
        score = float(shares[:, self._positive].max())
        self._recent.append(score >= self._threshold)
        hits = sum(self._recent)
        if hits < self._least:
            self.note("filtered", f"score {score:.3f}, {hits} positive of late", score=score)
            return [value.copy() for value in self._idle]
        answer = self.ask_inside(inputs)
        self.log.note("ran", f"score {score:.3f}, {hits} positive of late", score=score)
        return answer

    def close(self) -> None:
        self._head.close()
        super().close()


@dataclass
class _Entry:
    key: np.ndarray
    answer: list[np.ndarray]
    cost_s: float
    at_s: float
    hits: int = 0

    @property
    def importance(self) -> float:
        size = self.key.nbytes + sum(value.nbytes for value in self.answer)
        return self.cost_s * (1 + self.hits) / size


class Reuse(Wrapper):
    """Answers of inputs that were near: Potluck (Guo, Hu, ASPLOS 2018), FoggyCache (MobiCom 2018).

    The key is the input itself as floats, distances are root mean squares. With `neighbours` 1 the
    nearest entry within the distance is taken; the distance adapts as Potluck's does, from pairs
    whose answers are or aren't the same, and a share `doubt` of the hits is computed all the same.
    With more, the classes of the nearest vote by 1 / distance (FoggyCache's H-kNN), and the answer
    is reused if the winner has a share `agreement`. Entries go by (time saved) / bytes, and after
    `life_s`. A distance below 0 never reuses.
    """

    def __init__(
        self,
        inside: Executor,
        distance: float,
        log: Decisions,
        neighbours: int = 1,
        agreement: float = 0.8,
        doubt: float = 0.1,
        entries: int = 256,
        life_s: float = 3600.0,
        seed: int = 0,
        clock: Clock = time.perf_counter,
    ) -> None:
        super().__init__(inside, log, clock)
        self.distance, self._neighbours, self._agreement = distance, neighbours, agreement
        self._doubt, self._most, self._life_s = doubt, entries, life_s
        self._random = random.Random(seed)
        self._entries: list[_Entry] = []

    def answer(self, inputs: Arrays) -> list[np.ndarray]:
        key = np.concatenate([value.astype(np.float32).ravel() for value in inputs])
        self._entries = [e for e in self._entries if self.clock() - e.at_s <= self._life_s]
        ranked = self._ranked(key)
        found = self._vote([(d, e) for d, e in ranked if d <= self.distance])
        if found is not None and (ranked[0][0] == 0.0 or self._random.random() >= self._doubt):
            found.hits += 1
            self.note("reused", f"an answer at distance {ranked[0][0]:.3g}", distance=ranked[0][0])
            return [value.copy() for value in found.answer]
        started = self.clock()
        answer = self.ask_inside(inputs)
        self.log.note("ran", "no answer to reuse" if found is None else "a hit was doubted")
        if self.distance >= 0:
            self._keep(_Entry(key, answer, self.clock() - started, self.clock()), ranked)
        return [value.copy() for value in answer]

    def _ranked(self, key: np.ndarray) -> list[tuple[float, _Entry]]:
        near = [e for e in self._entries if e.key.shape == key.shape]
        if not near:
            return []
        keys = np.stack([e.key for e in near])
        distances = np.sqrt(((keys - key) ** 2).mean(1))
        order = np.argsort(distances, kind="stable")[: self._neighbours]
        return [(float(distances[i]), near[i]) for i in order]

    def _vote(self, within: list[tuple[float, _Entry]]) -> _Entry | None:
        if not within or len(within) < self._neighbours:
            return None
        votes: dict[int, float] = {}
        for distance, entry in within:
            group = int(entry.answer[0].argmax())
            votes[group] = votes.get(group, 0.0) + 1.0 / (distance + 1e-6)
        winner = max(votes, key=lambda g: votes[g])
        if votes[winner] < self._agreement * sum(votes.values()):
            return None
        return next(e for _, e in within if int(e.answer[0].argmax()) == winner)

    def _keep(self, entry: _Entry, ranked: list[tuple[float, _Entry]]) -> None:
        """Potluck's adaptation: loosen by a tenth towards a near equal, tighten to a quarter."""
        if ranked and self._neighbours == 1:
            distance, nearest = ranked[0]
            same = int(nearest.answer[0].argmax()) == int(entry.answer[0].argmax())
            if same and distance > self.distance > 0:
                self.distance = min(1.1 * self.distance, distance)
            elif not same and distance <= self.distance:
                self.distance /= 4
        self._entries.append(entry)
        if len(self._entries) > self._most:
            self._entries.remove(min(self._entries, key=lambda e: e.importance))
