"""A program as words for the native dispatch loop, and the one call that runs them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...runtime.program import Call, Loop, Program
from ...runtime.while_loop import MOST_TURNS, Copy, turns_of
from ..endless import guarded
from ..stretches import is_in_numpy
from .library import addresses
from .opcodes import (
    CALL,
    CALL_HEADER,
    COPY,
    GOTO,
    LOOP,
    LOOP_HEADER,
    MOVE,
    NEXT,
    OVER,
    STEP_WORDS,
    TURN,
    TURNS,
    UNLESS,
)

_DISPATCH = ctypes.CFUNCTYPE(None, ctypes.c_void_p)  # ctypes lets go of the GIL during the call


@dataclass(frozen=True, eq=False)
class Words:
    """Encoded items: item i is words[starts[i]:starts[i + 1]]; `kernels` are named by position.

    The words at `endless` become 1 where a loop of the model has run too often.
    """

    words: NDArray[np.int32]
    starts: tuple[int, ...]
    kernels: tuple[str, ...]
    endless: tuple[int, ...]


def encode(items: Sequence[Call | Loop]) -> Words:
    """The words of `items`, none of those that run in NumPy; see `opcodes.py` for their form."""
    encoder, starts = _Encoder(), [0]
    for item in items:
        if not is_in_numpy(item):
            encoder.item(item)
        starts.append(len(encoder.words))
    words = np.array(encoder.words, np.int32)
    return Words(words, tuple(starts), tuple(encoder.numbers), tuple(encoder.endless))


class _Encoder:
    def __init__(self) -> None:
        self.words: list[int] = []
        self.numbers: dict[str, int] = {}
        self.endless: list[int] = []

    def item(self, item: Call | Loop) -> None:
        if isinstance(item, Call):
            self._call(item)
            return
        words, loop = self.words, len(self.words)
        first = loop + LOOP_HEADER + STEP_WORDS * len(item.steps)
        bodies = _positions(item.body, first)
        words += [LOOP, item.count, item.count, len(item.steps)]
        for step in item.steps:
            call = item.body[step.call]
            position = bodies[step.call][step.field]
            words += [position, call.args[step.field], step.by]
        for call in item.body:
            self._call(call)
        words += [NEXT, loop]

    def _call(self, call: Call) -> None:
        if call.parts:
            self._turns(call)
            return
        number = self.numbers.setdefault(call.kernel, len(self.numbers))
        self.words += [CALL, number, len(call.args), *call.args.values()]

    def _turns(self, call: Call) -> None:
        """A loop that asks whether it goes on; its parts have arena and constants of their own."""
        words, run = self.words, turns_of(call)
        self._copies(run.start)
        turns = len(words)
        words += [TURNS, MOST_TURNS, 0, 0]
        self.endless.append(turns + OVER)
        ends = []
        again = len(words)
        self._copies(run.ask)
        self._part(call.parts[0], run.memory, run.constants[0])
        ends += [len(words) + 2]
        words += [UNLESS, run.answer, 0]
        ends += [len(words) + 2]
        words += [TURN, turns, 0]
        self._copies(run.enter)
        self._part(call.parts[1], run.memory, run.constants[1])
        self._copies(run.leave)
        words += [GOTO, again]
        for end in ends:
            words[end] = len(words)

    def _copies(self, copies: Sequence[Copy]) -> None:
        for copy in copies:
            self.words += [COPY, copy.to, copy.origin, copy.size, copy.constant]

    def _part(self, part: Program, memory: int, constants: int) -> None:
        self.words += [MOVE, memory, constants]
        for item in part.items:
            self.item(item)
        self.words += [MOVE, -memory, -constants]


def _positions(body: Sequence[Call], first: int) -> list[Mapping[str, int]]:
    """For each call of a loop's body, where the word of each field stands."""
    positions: list[Mapping[str, int]] = []
    for call in body:
        first += CALL_HEADER
        positions.append({name: first + i for i, name in enumerate(call.args)})
        first += len(call.args)
    return positions


class Dispatcher:
    """Encoded items bound to an arena and to constants (both contiguous int8 arrays).

    Holds on to both. Running allocates nothing and lets go of the GIL; a dispatcher must not run in
    two threads at once, since loops step its words.
    """

    def __init__(
        self, items: Sequence[Call | Loop], arena: NDArray[np.int8], constants: NDArray[np.int8]
    ) -> None:
        encoded = encode(items)
        self.starts = encoded.starts
        self._arena, self._constants, self._words = arena, constants, encoded.words
        known = addresses((*encoded.kernels, "dispatch"))
        self._kernels = np.array([known[name] for name in encoded.kernels], np.int64)
        held = (arena, constants, self._words, self._kernels)
        places = [a.ctypes.data for a in held]
        self._all = np.array([*places, 0, self.starts[-1]], np.int64)
        self._some = np.array([*places, 0, 0], np.int64)
        self._dispatch = _DISPATCH(known["dispatch"])
        self._endless = encoded.endless
        self.run_all = self._runner(self._all)
        self._run_some = self._runner(self._some)

    def _runner(self, descriptor: NDArray[np.int64]) -> Callable[[], object]:
        run = partial(self._dispatch, ctypes.c_void_p(descriptor.ctypes.data))
        return guarded(run, self._words, self._endless)

    def run(self, begin: int, end: int) -> None:
        """Run items begin .. end-1; `run_all` runs all of them."""
        self._some[4] = self.starts[begin]
        self._some[5] = self.starts[end]
        self._run_some()
