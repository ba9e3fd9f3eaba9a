"""A program as words for the native dispatch loop, and the one call that runs them."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...runtime.program import Call, Loop
from ..stretches import is_in_numpy
from .library import addresses
from .opcodes import CALL, CALL_HEADER, LOOP, LOOP_HEADER, NEXT, STEP_WORDS

_DISPATCH = ctypes.CFUNCTYPE(None, ctypes.c_void_p)  # ctypes lets go of the GIL during the call


@dataclass(frozen=True, eq=False)
class Words:
    """Encoded items: item i is words[starts[i]:starts[i + 1]]; `kernels` are named by position."""

    words: NDArray[np.int32]
    starts: tuple[int, ...]
    kernels: tuple[str, ...]


def encode(items: Sequence[Call | Loop]) -> Words:
    """The words of `items`, none of those that run in NumPy; see `opcodes.py` for their form."""
    numbers: dict[str, int] = {}
    words: list[int] = []
    starts = [0]
    for item in items:
        if not is_in_numpy(item):
            _encode_item(item, words, numbers)
        starts.append(len(words))
    return Words(np.array(words, np.int32), tuple(starts), tuple(numbers))


def _encode_item(item: Call | Loop, words: list[int], numbers: dict[str, int]) -> None:
    if isinstance(item, Call):
        _encode_call(item, words, numbers)
        return
    loop = len(words)
    first = loop + LOOP_HEADER + STEP_WORDS * len(item.steps)
    bodies = _positions(item.body, first)
    words += [LOOP, item.count, item.count, len(item.steps)]
    for step in item.steps:
        call = item.body[step.call]
        position = bodies[step.call][step.field]
        words += [position, call.args[step.field], step.by]
    for call in item.body:
        _encode_call(call, words, numbers)
    words += [NEXT, loop]


def _encode_call(call: Call, words: list[int], numbers: dict[str, int]) -> None:
    number = numbers.setdefault(call.kernel, len(numbers))
    words += [CALL, number, len(call.args), *call.args.values()]


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
        self.run_all = partial(self._dispatch, ctypes.c_void_p(self._all.ctypes.data))
        self._run_some = partial(self._dispatch, ctypes.c_void_p(self._some.ctypes.data))

    def run(self, begin: int, end: int) -> None:
        """Run items begin .. end-1; `run_all` runs all of them."""
        self._some[4] = self.starts[begin]
        self._some[5] = self.starts[end]
        self._run_some()
