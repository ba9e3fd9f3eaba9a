"""A slower device: an executor that takes a stated multiple of its own time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..runtime.backend import Executor


class Slowed:
    """Runs what it is given and stays busy, so that each run takes `factor` times as long.

    Busy and not asleep: a processor that wakes up is slow for a while, and a slow one never slept.
    """

    def __init__(self, executor: Executor, factor: float) -> None:
        self._executor, self._factor = executor, factor

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        started = time.perf_counter()
        outputs = self._executor.run(inputs)
        ends = started + (time.perf_counter() - started) * self._factor
        while time.perf_counter() < ends:
            pass
        return outputs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)
