"""A slower device: an executor that takes a stated multiple of its own time."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..runtime.backend import Executor

KEPT = 25  # runs whose median is the executor's own time


class Slowed:
    """Runs what it is given and stays busy, so that each run takes `factor` times as long.

    Busy and not asleep: a processor that wakes up is slow for a while, and a slow one never slept.
    What is multiplied is the median of the last runs: a slow device isn't a noisy one, and a
    hundred times the noise of one short run would be.
    """

    def __init__(self, executor: Executor, factor: float) -> None:
        self._executor, self._factor = executor, factor
        self._own: deque[float] = deque(maxlen=KEPT)

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        started = time.perf_counter()
        outputs = self._executor.run(inputs)
        self._own.append(time.perf_counter() - started)
        ends = started + statistics.median(self._own) * self._factor
        while time.perf_counter() < ends:
            pass
        return outputs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)
