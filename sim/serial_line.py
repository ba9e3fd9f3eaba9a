"""A serial line: a port of this machine, or the pseudo-terminal of an emulated board."""

from __future__ import annotations

import os
import select
import termios
import time
import tty
from types import TracebackType

from ..runtime.errors import ExecutionError, ToolError

_SPEEDS = {baud: getattr(termios, f"B{baud}") for baud in (9600, 115200, 230400, 1000000)}
LONGEST_LINE = 1 << 20  # bytes; noise without a line end is not kept for ever


class SerialLine:
    """Text lines from and characters to a port, raw, 8 bits, no parity. A context manager."""

    def __init__(self, path: str, baud: int = 115200) -> None:
        self.path = path
        self._pending = b""
        try:
            self._file = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except FileNotFoundError:
            raise ToolError(
                f"{path}: there is no such port; is the board plugged in? `ls /dev/ttyACM* "
                "/dev/ttyUSB*` shows the ports, --port names another"
            ) from None
        except PermissionError:
            raise ToolError(
                f"{path}: no permission; `sudo usermod -a -G dialout $USER` and a new login give it"
            ) from None
        try:
            self._set_up(baud)
        except termios.error:
            os.close(self._file)
            raise ToolError(f"{path}: not a serial port") from None

    def _set_up(self, baud: int) -> None:
        tty.setraw(self._file)
        settings = termios.tcgetattr(self._file)
        settings[4] = settings[5] = _SPEEDS[baud]
        termios.tcsetattr(self._file, termios.TCSANOW, settings)

    def __enter__(self) -> SerialLine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def write(self, content: bytes, timeout_s: float = 5.0) -> None:
        """Send all, or `ExecutionError` if the other side takes nothing for that long."""
        while content:
            if not select.select([], [self._file], [], timeout_s)[1]:
                raise ExecutionError(f"{self.path}: nothing was taken for {timeout_s:g} s")
            content = content[os.write(self._file, content) :]

    def read(self, count: int, timeout_s: float) -> bytes:
        """So many bytes, or `ExecutionError` if they have not come after that long."""
        end = time.monotonic() + timeout_s
        while len(self._pending) < count:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._file], [], [], left)[0]:
                raise ExecutionError(
                    f"{self.path}: {len(self._pending)} of {count} bytes came in {timeout_s:g} s; "
                    "is the board programmed and the speed right?"
                )
            self._pending += os.read(self._file, 4096)
        content, self._pending = self._pending[:count], self._pending[count:]
        return content

    def read_some(self, timeout_s: float) -> bytes:
        """What came, at least a byte, or nothing after that long."""
        if not self._pending and select.select([self._file], [], [], max(timeout_s, 0.0))[0]:
            try:
                self._pending = os.read(self._file, 4096)
            except OSError as error:  # the other end of a pseudo-terminal is gone
                raise ExecutionError(f"{self.path}: the port is gone ({error.strerror})") from None
        content, self._pending = self._pending, b""
        return content

    def read_line(self, timeout_s: float) -> str:
        """The next line without its end, or `ExecutionError` after that long without one."""
        end = time.monotonic() + timeout_s
        while b"\n" not in self._pending:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._file], [], [], left)[0]:
                heard = self._pending[-80:].decode("ascii", "replace")
                raise ExecutionError(
                    f"{self.path}: no line for {timeout_s:g} s; heard {heard!r}. Is the firmware "
                    "flashed and the speed right?"
                )
            try:
                piece = os.read(self._file, 4096)
            except OSError as error:  # the other end of a pseudo-terminal is gone
                raise ExecutionError(f"{self.path}: the port is gone ({error.strerror})") from None
            self._pending = (self._pending + piece)[-LONGEST_LINE:]
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode("ascii", "replace").rstrip("\r")
