"""Both ends of coded tensors: what the device codes how, and the frames that differences need."""

from __future__ import annotations

import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...runtime.errors import TargetError
from ...runtime.graph import Tensor
from .coding import CODINGS, LOSSLESS, encode
from .protocol import checksum

MOST_STREAMS, MOST_BYTES = 64, 16 << 20  # of frames that a server remembers


@dataclass(frozen=True)
class Coded:
    """Contents in the order of the tensors, how each is coded, and the frame they build on."""

    contents: list[bytes]
    names: list[str]
    stream: str | None = None  # None: nothing is to be remembered
    base: int | None = None  # checksum of the frame before; None: the contents stand alone
    ms: float = 0.0


class Coder:
    """Codes what crosses: `coding` for all tensors, or one by each tensor's name (else raw).

    `auto` settles on the lossless coding of fewest bytes at each tensor's first frame. One coder is
    one stream of frames: not for several threads.
    """

    def __init__(self, coding: str | Mapping[str, str] = "raw") -> None:
        for name in [coding] if isinstance(coding, str) else coding.values():
            if name != "auto" and name not in CODINGS:
                known = ", ".join(CODINGS)
                raise TargetError(f"there is no coding {name!r}; there are auto, {known}")
        self._coding = coding
        self._settled: dict[str, str] = {}
        self.stream = uuid.uuid4().hex
        self._frame: tuple[tuple[str, ...], list[np.ndarray]] | None = None

    @property
    def lossy(self) -> bool:
        """Whether anything that it codes may come out changed."""
        names = [self._coding] if isinstance(self._coding, str) else self._coding.values()
        return any(name != "auto" and not CODINGS[name].lossless for name in names)

    def encode(self, tensors: Sequence[Tensor], values: Sequence[np.ndarray]) -> Coded:
        """The contents of one request."""
        started = time.perf_counter()
        names = [self._name(t, v) for t, v in zip(tensors, values, strict=True)]
        remembers = any(CODINGS[name].of_difference for name in names)
        before = self._frame if remembers and self._frame else ((), [])
        known = before[0] == tuple(t.name for t in tensors)
        bases = before[1] if known else [None] * len(tensors)
        contents = [
            encode(name, value, tensor, base)
            for name, value, tensor, base in zip(names, values, tensors, bases, strict=True)
        ]
        base = checksum([v.tobytes() for v in before[1]]) if known and remembers else None
        ms = (time.perf_counter() - started) * 1e3
        return Coded(contents, names, self.stream if remembers else None, base, ms)

    def sent(self, tensors: Sequence[Tensor], values: Sequence[np.ndarray]) -> None:
        """The server has this frame."""
        self._frame = tuple(t.name for t in tensors), [np.array(v) for v in values]

    def forget(self) -> None:
        """The server may not have the last frame: the next one stands alone."""
        self._frame = None

    def _name(self, tensor: Tensor, value: np.ndarray) -> str:
        wanted = self._coding if isinstance(self._coding, str) else self._coding.get(tensor.name)
        if wanted != "auto":
            return wanted or "raw"
        if tensor.name not in self._settled:
            alone = [name for name in LOSSLESS if not CODINGS[name].of_difference]
            sizes = {name: len(encode(name, value, tensor)) for name in alone}
            self._settled[tensor.name] = min(sizes, key=lambda name: sizes[name])
        return self._settled[tensor.name]


class Frames:
    """The last frame of each stream, at the server: bounded in number and in bytes."""

    def __init__(self, streams: int = MOST_STREAMS, size: int = MOST_BYTES) -> None:
        self._kept: OrderedDict[str, tuple[int, list[np.ndarray]]] = OrderedDict()
        self._streams, self._size, self._lock = streams, size, threading.Lock()

    def base(self, stream: str, crc: int) -> list[np.ndarray]:
        """The frame before; `TargetError` if it is not the one that the device means."""
        with self._lock:
            found = self._kept.get(stream)
        if found is None or found[0] != crc:
            raise TargetError("the frame before is not known here: send one that stands alone")
        return found[1]

    def keep(self, stream: str, values: Sequence[np.ndarray]) -> None:
        """This frame was received; the streams that were used least recently make room."""
        frame = list(values)
        crc = checksum([v.tobytes() for v in frame])
        with self._lock:
            self._kept.pop(stream, None)
            self._kept[stream] = crc, frame
            while len(self._kept) > self._streams or self.bytes > self._size:
                self._kept.popitem(last=False)

    @property
    def bytes(self) -> int:
        return sum(v.nbytes for _, frame in self._kept.values() for v in frame)
