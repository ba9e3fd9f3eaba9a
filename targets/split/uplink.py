"""The host's end of a serial line to a microcontroller: frames that are sure to arrive.

The format and the rules are those of `targets/cortex_m/device/uplink.h`: COBS, CRC-32, one frame at
a time, each acknowledged, damaged ones asked for again.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from ...runtime.errors import ExecutionError

ACKNOWLEDGE, AGAIN, HELLO, INPUT, RUN, CUT, ANSWER, REFUSAL, DONE = b"ANHIRCOED"
DATA_BYTES = 192
LONGEST = 4 * DATA_BYTES  # bytes without an end that are noise
WAIT_S, TRIES = 1.0, 30  # for an acknowledgement


class Line(Protocol):
    """`sim.serial_line.SerialLine`, or what a test puts before it."""

    path: str

    def write(self, content: bytes, timeout_s: float = 5.0) -> None: ...
    def read_some(self, timeout_s: float) -> bytes: ...


@dataclass(frozen=True)
class Frame:
    """One frame: its type, its number, where its data belongs."""

    type: int
    number: int
    offset: int = 0
    data: bytes = b""

    def to_bytes(self) -> bytes:
        """As on the wire, a zero before it ends what a lost byte left."""
        body = struct.pack("<BBI", self.type, self.number, self.offset) + self.data
        body += struct.pack("<I", zlib.crc32(body))
        blocks = body.split(b"\0")
        return b"\0" + b"".join(bytes([len(block) + 1]) + block for block in blocks) + b"\0"

    @staticmethod
    def of(stuffed: bytes) -> Frame | None:
        """The frame between two zeros; None if it is damaged."""
        blocks, at = [], 0
        while at < len(stuffed):
            end = at + stuffed[at]
            if not at < end <= len(stuffed):
                return None
            blocks.append(stuffed[at + 1 : end])
            at = end
        body = b"\0".join(blocks)
        if not 10 <= len(body) <= 10 + DATA_BYTES:
            return None
        content, crc = body[:-4], struct.unpack("<I", body[-4:])[0]
        if zlib.crc32(content) != crc:
            return None
        kind, number, offset = struct.unpack_from("<BBI", content)
        return Frame(kind, number, offset, content[6:])


class Uplink:
    """Sends and receives frames over a line; counts what had to be repeated."""

    def __init__(self, line: Line, wait_s: float = WAIT_S, tries: int = TRIES) -> None:
        self._line, self._wait_s, self._tries = line, wait_s, tries
        self._heard = bytearray()
        self._early: deque[Frame] = deque()  # new frames that came while an ack was awaited
        self._number, self._taken = 0, -1
        self.sent_again, self.asked_again = 0, 0

    def send(self, kind: int, data: bytes = b"", offset: int = 0) -> None:
        """At most DATA_BYTES, acknowledged; `ExecutionError` if they never are."""
        self._number = self._number % 255 + 1
        frame = Frame(kind, self._number, offset, data).to_bytes()
        for number in range(self._tries):
            self.sent_again += number > 0
            self._line.write(frame)
            if self._acknowledged():
                return
        raise ExecutionError(
            f"{self._line.path}: the device acknowledged nothing in "
            f"{self._wait_s * self._tries:g} s; is it programmed with `midge split firmware` and "
            "the speed right?"
        )

    def send_all(self, kind: int, data: bytes) -> None:
        """Any number of bytes, each frame with its offset."""
        for at in range(0, len(data), DATA_BYTES):
            self.send(kind, data[at : at + DATA_BYTES], at)

    def receive(self, timeout_s: float) -> Frame | None:
        """The next new frame, acknowledged; None after that long without one."""
        if self._early:
            return self._early.popleft()
        ends = time.monotonic() + timeout_s
        while (left := ends - time.monotonic()) > 0:
            stuffed = self._stuffed(left)
            if stuffed is None:
                return None
            frame = Frame.of(stuffed)
            if frame is None:
                self.asked_again += 1
                self._line.write(Frame(AGAIN, 0).to_bytes())
            elif self._is_new(frame):
                return frame
        return None

    def _acknowledged(self) -> bool:
        ends = time.monotonic() + self._wait_s
        while (left := ends - time.monotonic()) > 0:
            stuffed = self._stuffed(left)
            frame = None if stuffed is None else Frame.of(stuffed)
            if frame is None or frame.type == AGAIN:
                return False
            if frame.type == ACKNOWLEDGE and frame.number == self._number:
                return True
            if self._is_new(frame):
                self._early.append(frame)
        return False

    def _is_new(self, frame: Frame) -> bool:
        """Acknowledge a frame with data; False if it was taken before, or carries none."""
        if frame.type in (ACKNOWLEDGE, AGAIN):
            return False
        self._line.write(Frame(ACKNOWLEDGE, frame.number).to_bytes())
        new = frame.number != self._taken
        self._taken = frame.number
        return new

    def _stuffed(self, timeout_s: float) -> bytes | None:
        """The bytes between two zeros, None after that long without a frame's end."""
        ends = time.monotonic() + timeout_s
        while True:
            content, zero, rest = bytes(self._heard).partition(b"\0")
            if zero:
                self._heard = bytearray(rest)
                if content:
                    return content
                continue
            left = ends - time.monotonic()
            more = self._line.read_some(left) if left > 0 else b""
            if not more:
                return None
            self._heard += more
            if len(self._heard) > LONGEST:
                del self._heard[:-DATA_BYTES]
