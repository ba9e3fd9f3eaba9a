"""The threads of one program: a leader, which is the caller's, and followers.

What they share stands in `native/team.py`, who makes what in `pieces.py`.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# int64 each. The first six are those of `dispatch`.
Descriptor = namedtuple(
    "Descriptor",
    "arena constants words kernels begin end dispatch phases phase_count entries shared patience",
)
DESCRIPTOR = Descriptor(*range(len(Descriptor._fields)))  # by position
LINE = 64
TICKET, DONE, LEAVE = 0, 2 * LINE, 4 * LINE  # bytes; processors fetch lines in pairs
PIECE_BITS = 12  # of a ticket, for pieces taken from the front, and as many from the back
PHASE_BITS = 2 * PIECE_BITS  # where the number of a phase begins
CLOSED = (1 << PHASE_BITS) - 1  # no piece is left
PATIENCE = 5000  # pauses that a follower waits for work before it sleeps: about 0.2 ms


class Team:
    """`run` makes an inference, with all threads that are awake.

    `fields` are addresses for each `Descriptor` but `words`, `shared` and `patience`; `words` has
    the address of each thread's. `held` is what lies at these addresses.
    """

    def __init__(
        self, fields: dict[str, int], words: Sequence[int], lead: int, follow: int, held: Any
    ) -> None:
        shared = (ctypes.c_char * (8 * LINE))()
        begin = ctypes.addressof(shared) + -ctypes.addressof(shared) % LINE
        ticket, leave = (ctypes.c_int64.from_address(begin + at) for at in (TICKET, LEAVE))
        ticket.value = CLOSED
        self._descriptors = [
            (ctypes.c_int64 * len(DESCRIPTOR))(
                *Descriptor(words=own, shared=begin, patience=PATIENCE, begin=0, end=0, **fields)
            )
            for own in words
        ]
        function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        self._lead, self._follow = function(lead), function(follow)
        self._first = ctypes.c_void_p(ctypes.addressof(self._descriptors[0]))
        self._followers = [_Follower(self._follow, d) for d in self._descriptors[1:]]
        # Followers don't hold on to their team: they end with it.
        everything = (held, shared, self._descriptors)
        self.close = weakref.finalize(self, _dismiss, leave, self._followers, everything)

    def run(self) -> None:
        """One inference; followers that sleep are woken, and not waited for."""
        for follower in self._followers:
            follower.wake()
        self._lead(self._first)


def _dismiss(leave: ctypes.c_int64, followers: Sequence[_Follower], held: Any) -> None:
    """End followers; until then they need what is held."""
    leave.value = 1
    for follower in followers:
        follower.end()


class _Follower:
    """A thread that sleeps in Python, and works in native code without the GIL."""

    def __init__(self, function: Any, descriptor: Any) -> None:
        self._function, self._descriptor = function, descriptor
        self._asleep, self._ended = True, False
        self._bell = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._work, name="midge", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        if self._asleep:
            self._asleep = False
            self._bell.release()

    def end(self) -> None:
        self._ended = True
        self._bell.release()
        self._thread.join()

    def _work(self) -> None:
        place = ctypes.c_void_p(ctypes.addressof(self._descriptor))
        while True:
            self._bell.acquire()
            if self._ended:
                return
            self._function(place)
            self._asleep = True
