"""What the link and the server are like now, learnt from requests and small probes."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class ChangePoint:
    """Two-sided CUSUM on a stream of samples (Page, "Continuous Inspection Schemes", 1954).

    A change is declared when the sum of deviations beyond `slack` spreads passes `threshold`
    spreads; the mean then starts anew, and no change is declared before it has seen `settle`
    samples. Edgent's Bayesian detector answers the same question; this one has fewer numbers.
    """

    slack: float = 0.5
    threshold: float = 8.0
    least_spread: float = 0.1
    settle: int = 3
    mean: float = math.nan
    spread: float = 0.3
    count: int = 0
    up: float = 0.0
    down: float = 0.0

    def add(self, sample: float) -> bool:
        """Whether this sample shows that the mean has moved."""
        if self.count == 0:
            self._restart(sample)
            return True
        if self.count >= self.settle:
            deviation = (sample - self.mean) / self.spread
            self.up = max(0.0, self.up + deviation - self.slack)
            self.down = max(0.0, self.down - deviation - self.slack)
            if max(self.up, self.down) > self.threshold:
                self._restart(sample)
                return True
        self.count += 1
        weight = max(1.0 / self.count, 0.05)
        self.spread = max(
            self.least_spread, self.spread + weight * (abs(sample - self.mean) * 1.25 - self.spread)
        )
        self.mean += weight * (sample - self.mean)
        return False

    def _restart(self, mean: float) -> None:
        self.mean, self.count, self.up, self.down = mean, 1, 0.0, 0.0


LEAST_BYTES = 256  # smaller exchanges say nothing of the rate


class LinkEstimate:
    """Rate (bytes a ms) and delay (ms) of the link, load of the server (1 is as profiled)."""

    def __init__(self, rate: float | None = None, delay_ms: float | None = None) -> None:
        self._rate = ChangePoint()
        if rate is not None:
            self._rate.add(math.log(rate))
        self.delay_ms = delay_ms if delay_ms is not None else 0.0
        self._delay_known = delay_ms is not None
        self.load = 1.0

    @property
    def rate(self) -> float:
        """1,000 Mbit/s until a sample says otherwise."""
        return math.exp(self._rate.mean) if self._rate.count else 125_000.0

    def answered_empty(self, ms: float) -> None:
        """A probe without contents took so long: the delay. The least counts, slowly forgotten."""
        if not self._delay_known or ms < self.delay_ms:
            self.delay_ms, self._delay_known = ms, True
        else:
            self.delay_ms += 0.1 * (ms - self.delay_ms)

    def carried(self, size: int, ms: float) -> bool:
        """An exchange of `size` bytes took `ms` beside the server's time: has the rate changed?"""
        if size < LEAST_BYTES:
            return False
        moving = max(ms - self.delay_ms, 0.02 * ms, 1e-3)
        return self._rate.add(math.log(size / moving))

    def computed(self, ms: float, profiled_ms: float) -> None:
        """The server says how long an answer took that was profiled at `profiled_ms`."""
        if profiled_ms > 0:
            self.load += 0.2 * (max(ms / profiled_ms, 0.05) - self.load)
