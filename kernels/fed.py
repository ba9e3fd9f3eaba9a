"""Host execution of a program that takes its input by row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..runtime.errors import InputError
from ..runtime.feeding import FEED, unrolled
from ..runtime.graph import DTYPES
from ..runtime.program import Call, Loop, Program
from .native.dispatch import Dispatcher


class FedDispatcher:
    """Runs a program as far as the rows that it was given allow.

    Loops that take rows are written out, since they are left in their midst.
    """

    def __init__(
        self, program: Program, arena: NDArray[np.int8], constants: NDArray[np.int8]
    ) -> None:
        self._arena = arena
        self.tensor = program.inputs[0]
        self._shape = self.tensor.shape[2:]
        table = constants.view(np.uint8).view("<i4")
        items: list[Call | Loop] = []
        self._places: list[tuple[int, int, int]] = []  # of each row: arena offset, left out, bytes
        self._ends = [0]  # items before each row, and all
        for item in unrolled(program):
            if isinstance(item, Call) and item.kernel == FEED:
                at = int(table[item.args["y"] // 4])
                self._places.append((at, item.args["left"], item.args["bytes"]))
                self._ends.append(len(items))
            else:
                items.append(item)
        self._ends = [*self._ends[1:], len(items)]
        self._dispatcher = Dispatcher(items, arena, constants)
        self._taken = 0
        self._begin = 0

    def reset(self) -> None:
        """Wait for the first row again."""
        self._taken = self._begin = 0

    def push(self, rows: np.ndarray) -> int:
        """Take rows [n, width, channels] and run; answers how many are still to come."""
        left = len(self._places) - self._taken
        if rows.dtype != DTYPES[self.tensor.dtype] or rows.shape[1:] != self._shape:
            raise InputError(
                f"rows must be {self.tensor.dtype} of shape [n, {self._shape[0]}, "
                f"{self._shape[1]}], not {rows.dtype} of shape {list(rows.shape)}"
            )
        if len(rows) > left:
            raise InputError(f"{left} row(s) are still to come, {len(rows)} were pushed")
        for row in np.ascontiguousarray(rows):
            self._take(row)
        left -= len(rows)
        if not left:
            self.reset()
        return left

    def _take(self, row: np.ndarray) -> None:
        at, left, size = self._places[self._taken]
        self._run_until(self._ends[self._taken])
        self._arena[at : at + size] = row.view(np.int8).reshape(-1)[left : left + size]
        self._taken += 1
        self._run_until(self._ends[self._taken])

    def _run_until(self, end: int) -> None:
        if end > self._begin:
            self._dispatcher.run(self._begin, end)
            self._begin = end
