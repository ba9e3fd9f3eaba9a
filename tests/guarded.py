"""Arenas that hold a pattern before an inference, with more of it on both sides.

A kernel that reads what nobody wrote gives other answers for another pattern; one that writes
outside the arena changes what stands there.
"""

from __future__ import annotations

import numpy as np

ROOM = 64  # bytes on each side, at least
PATTERNS = (0xA5, 0x5A)


def pattern(size: int, seed: int = PATTERNS[0]) -> np.ndarray:
    """Bytes of which neighbours and those a word apart differ."""
    return ((np.arange(size) * 0x9D) ^ seed).astype(np.uint8).view(np.int8)


class Guarded:
    """`arena` lies in `room`, at a multiple of 64 bytes."""

    def __init__(self, arena: np.ndarray, room: np.ndarray, seed: int) -> None:
        self.arena, self._room, self._seed = arena, room, seed
        begin = arena.ctypes.data - room.ctypes.data
        self._outside = np.r_[0:begin, begin + len(arena) : len(room)]
        assert len(self._outside) >= ROOM
        self.poison()

    def poison(self) -> None:
        self._room[:] = pattern(len(self._room), self._seed)

    def check(self) -> None:
        """Nothing has been written outside the arena."""
        wanted = pattern(len(self._room), self._seed)[self._outside]
        np.testing.assert_array_equal(self._room[self._outside], wanted, err_msg="outside")


def guarded(size: int, seed: int = PATTERNS[0]) -> Guarded:
    """A new arena."""
    room = np.zeros(size + 3 * ROOM, np.int8)
    skipped = ROOM + -(room.ctypes.data + ROOM) % ROOM
    return Guarded(room[skipped : skipped + size], room, seed)


def guard(executor, seed: int = PATTERNS[0]) -> Guarded:  # type: ignore[no-untyped-def]
    """The arena of a host executor, whose states are set again after it is poisoned."""
    found = Guarded(executor.arena, executor.arena.base, seed)
    executor.reset()
    return found
