"""Arrays in, arrays out: what every way of running a program in this process has in common."""

from __future__ import annotations

import time

import numpy as np

from ..runtime.outline import checked_arrays

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..runtime.backend import Measurement
    from ..runtime.outline import TensorOutline


class Runner:
    """Inputs and outputs as views of an arena, with a function between them.

    `expected` says what each input must be.
    """

    def __init__(
        self,
        expected: Sequence[TensorOutline],
        inputs: Sequence[np.ndarray],
        outputs: Sequence[np.ndarray],
        invoke: Callable[[], object],
    ) -> None:
        self._expected, self._inputs, self._outputs = expected, inputs, outputs
        self._fixed = any(tensor["fixed"] is not None for tensor in expected)
        self._invoke = invoke
        self._latency_s: float | None = None

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference; the answers are copies."""
        started = time.perf_counter()
        self.copy_in(inputs)
        self._invoke()
        outputs = self.copy_out()
        self._latency_s = time.perf_counter() - started
        return outputs

    def push_rows(self, rows: np.ndarray) -> int:
        """For programs that take their input by row only."""
        from ..runtime.errors import InputError

        raise InputError(
            "this program takes its input as a whole; plan it with input_by_row to push rows"
        )

    @property
    def measurement(self) -> Measurement:
        """What the last run cost."""
        from ..runtime.backend import Measurement  # with it, all that a start does without

        return Measurement() if self._latency_s is None else Measurement(self._latency_s * 1e3)

    def copy_in(self, inputs: Sequence[np.ndarray]) -> None:
        """Check the inputs and put them into the arena."""
        if not self._as_they_are(inputs):
            inputs = checked_arrays(self._expected, inputs)
        for place, value in zip(self._inputs, inputs):
            np.copyto(place, value)

    def copy_out(self) -> list[np.ndarray]:
        """Copies of the outputs, in the order of the graph's."""
        return [value.copy() for value in self._outputs]

    def _as_they_are(self, inputs: Sequence[np.ndarray]) -> bool:
        """Whether inputs are just what is needed: a cheap answer to the common case."""
        if self._fixed or len(inputs) != len(self._inputs):
            return False
        return all(
            type(value) is np.ndarray and value.dtype is place.dtype and value.shape == place.shape
            for place, value in zip(self._inputs, inputs)
        )
