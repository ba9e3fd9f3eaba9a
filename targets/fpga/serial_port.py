"""The accelerator on a serial line (`hw.uart`), for the driver of `hw.driver`."""

from __future__ import annotations

import time
from typing import Protocol

import numpy as np

from ...hw.machine import SerialRequest
from ...runtime.errors import ExecutionError

_MOST_WORDS = 256  # of a request
_TIMEOUT_S = 5.0
_CLOCK_HZ = 60_000_000  # for `step`, which waits for time to pass


class Line(Protocol):
    """Bytes to and from a port, as `sim.serial_line.SerialLine` carries them."""

    def write(self, content: bytes, timeout_s: float = 5.0) -> None:
        """Send all."""

    def read(self, count: int, timeout_s: float) -> bytes:
        """So many bytes, or `ExecutionError` if they don't come in time."""


class SerialPort:
    """`hw.driver.Port` by requests on a serial line."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def write(self, address: int, words: np.ndarray) -> None:
        """Write uint32 words from an address on."""
        for first in range(0, len(words), _MOST_WORDS):
            some = np.ascontiguousarray(words[first : first + _MOST_WORDS]).astype("<u4")
            request = self._header(SerialRequest.WRITE, address + 4 * first, len(some))
            self._line.write(request + some.tobytes())
            answer = self._line.read(1, _TIMEOUT_S)[0]
            if answer != SerialRequest.DONE:
                raise ExecutionError(
                    f"the board must answer a write with {int(SerialRequest.DONE)}, not {answer}: "
                    "is its bitstream midge's, and the speed right?"
                )

    def read(self, address: int, count: int) -> np.ndarray:
        """Read `count` uint32 words from an address on."""
        words = []
        for first in range(0, count, _MOST_WORDS):
            some = min(_MOST_WORDS, count - first)
            self._line.write(self._header(SerialRequest.READ, address + 4 * first, some))
            words.append(np.frombuffer(self._line.read(4 * some, _TIMEOUT_S), "<u4"))
        return np.concatenate(words).astype(np.uint32) if words else np.zeros(0, np.uint32)

    def step(self, cycles: int) -> None:
        """Let the device work."""
        time.sleep(cycles / _CLOCK_HZ)

    def _header(self, kind: SerialRequest, address: int, words: int) -> bytes:
        return bytes([kind]) + int(address).to_bytes(3, "little") + words.to_bytes(2, "little")
