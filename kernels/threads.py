"""The threads of one program: a leader, which is the caller's, and followers.

What they share stands in `native/team.py`, who makes what in `pieces.py`.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections import namedtuple
from time import perf_counter_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# int64 each. The first six are those of `dispatch`. `number` is 0 for the leader.
Descriptor = namedtuple(
    "Descriptor",
    "arena constants words kernels begin end dispatch phases phase_count entries shared number "
    "followers patience",
)
DESCRIPTOR = Descriptor(*range(len(Descriptor._fields)))  # by position
BOX = 128  # bytes: two cache lines, since processors fetch them in pairs; the first is nobody's
ACTIVE = 8  # in it: not 0 while the leader is in an inference; before that, whether to leave
IDLE, GIVEN, TAKEN, ASLEEP = range(4)  # what a follower's box says; behind it the entry's number
STATE_BITS = 2
PATIENCE = 60_000  # looks that a follower waits for work before it sleeps: about a millisecond


class Team:
    """`run` makes an inference, with all threads that are awake.

    `fields` are addresses, each by its name in `Descriptor`; `words` has the address of each
    thread's. `held` is what lies at these addresses.
    """

    def __init__(
        self, fields: dict[str, int], words: Sequence[int], lead: int, follow: int, held: Any
    ) -> None:
        shared = (ctypes.c_char * (BOX * (len(words) + 1)))()
        begin = ctypes.addressof(shared) + -ctypes.addressof(shared) % BOX
        for number in range(1, len(words)):
            ctypes.c_int64.from_address(begin + BOX * number).value = ASLEEP
        common = {"shared": begin, "patience": PATIENCE, "begin": 0, "end": 0, **fields}
        followers = {"followers": len(words) - 1}
        self._descriptors = [
            _descriptor(words=own, number=number, **followers, **common)
            for number, own in enumerate(words)
        ]
        alone = _descriptor(words=words[0], number=0, followers=0, **common)
        function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        self._lead, self._follow = function(lead), function(follow)
        self._together, self._alone = _place(self._descriptors[0]), _place(alone)
        self._followers = [_Follower(self._follow, each) for each in self._descriptors[1:]]
        self._account = Account()
        # Followers don't hold on to their team: they end with it.
        everything = (held, shared, self._descriptors, alone)
        leave = ctypes.c_int64.from_address(begin)
        self.close = weakref.finalize(self, _dismiss, leave, self._followers, everything)

    def run(self) -> None:
        """One inference; followers that sleep are woken, and not waited for."""
        together = self._account.pays()
        started = perf_counter_ns()
        if together:
            for follower in self._followers:
                follower.wake()
            self._lead(self._together)
        else:
            self._lead(self._alone)
        self._account.enter(together, perf_counter_ns() - started)


class Account:
    """Whether several threads pay, by what they did: where others have the processors, they don't.

    A follower without a processor keeps the leader waiting, for milliseconds. So gains and losses
    are summed up, in runs of one thread, and threads run together while the sum is not negative.
    Every run of one thread adds a little, with which another attempt is paid. A stop that is much
    longer than a run counts as WORST: it is the usual run that shall be short.
    """

    PART = 1 / 32  # of a run alone is set apart
    WORST, MOST = -2.0, 8.0  # of a run's loss, and of all gains, that count
    ATTEMPT = 2.0  # begin another attempt: the first run of one wakes threads
    FIRST, EVERY = 3, 256  # runs alone at first, and now and then, to know how long one takes

    def __init__(self) -> None:
        self.runs, self.credit, self.alone_ns = 0, self.ATTEMPT, 0
        self.trying = True

    def pays(self) -> bool:
        """Whether the next run is to be together."""
        self.trying = self.credit >= (0 if self.trying else self.ATTEMPT)
        return self.trying and self.runs >= self.FIRST and self.runs % self.EVERY != 0

    def enter(self, together: bool, took_ns: int) -> None:
        """What a run took."""
        self.runs += 1
        if together:
            gain = max(1 - took_ns / self.alone_ns, self.WORST)
        elif self.runs <= self.FIRST:  # the very first ones are slow
            self.alone_ns, gain = min(took_ns, self.alone_ns or took_ns), 0.0
        else:  # towards the median, whatever the rare ones take
            step = self.alone_ns // 32
            self.alone_ns += step if took_ns > self.alone_ns else -step
            gain = self.PART
        self.credit = min(self.credit + gain, self.MOST)


def _descriptor(**fields: int) -> ctypes.Array[ctypes.c_int64]:
    return (ctypes.c_int64 * len(DESCRIPTOR))(*Descriptor(**fields))


def _place(descriptor: ctypes.Array[ctypes.c_int64]) -> ctypes.c_void_p:
    return ctypes.c_void_p(ctypes.addressof(descriptor))


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
        place = _place(self._descriptor)
        while True:
            self._bell.acquire()
            if self._ended:
                return
            self._function(place)
            self._asleep = True
