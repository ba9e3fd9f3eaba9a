"""A link of a stated rate and delay on the loopback, that can be cut, stalled and made to lie.

A TCP proxy in a thread of its own stands between a client and a server. Each direction is a queue:
bytes leave it one after the other at the rate and arrive a delay later, as over one radio link that
all connections share. `tc tbf` in a network namespace shapes packets and needs rights; this needs
none and shapes the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

CHUNK = 4096  # bytes; a chunk is late by at most its own sending time
IN_FLIGHT = 64  # chunks of one connection that the link holds before it stops reading


@dataclass
class Shape:
    """What the link does at present; all fields may change while it runs.

    Rates are bytes a millisecond, `delay_ms` is there and back, half of it each way.
    `corrupt` is the probability that a chunk arrives with one byte changed.
    """

    up: float = 1e6
    down: float = 1e6
    delay_ms: float = 0.0
    corrupt: float = 0.0
    stalled: bool = False  # connections stay open, nothing arrives
    cut: bool = False  # connections break, new ones are refused


class ShapedLink:
    """`address` is where a client connects to reach `server` (HOST:PORT) through the link."""

    def __init__(self, server: str, shape: Shape | None = None, seed: int = 0) -> None:
        self.shape = shape or Shape()
        self.carried = {"up": 0, "down": 0}  # bytes that arrived
        self._random = random.Random(seed)
        self.redirect(server)
        self._free_at = {"up": 0.0, "down": 0.0}
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listener = self._call(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    def redirect(self, server: str) -> None:
        """New connections go to another server, which took the place of the first."""
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))

    def break_connections(self) -> None:
        """Close every connection that is open now; the client sees a reset."""
        self._call(self._break())

    def close(self) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _break(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _stop(self) -> None:
        self._listener.close()
        await self._break()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.shape.cut:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._server)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        try:
            await asyncio.gather(
                self._carry("up", reader, far_writer), self._carry("down", far_reader, writer)
            )
        except (OSError, asyncio.CancelledError):  # an end is gone, or the link is closed
            pass
        finally:
            for end in (writer, far_writer):
                self._writers.discard(end)
                end.transport.abort()

    async def _carry(
        self, way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Read, queue and deliver one direction of one connection."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(IN_FLIGHT)
        delivering = asyncio.ensure_future(self._deliver(way, queue, writer))
        try:
            while chunk := await reader.read(CHUNK):
                rate = getattr(self.shape, way)
                start = max(time.monotonic(), self._free_at[way])
                self._free_at[way] = start + len(chunk) / rate / 1e3
                arrives = self._free_at[way] + self.shape.delay_ms / 2e3
                await queue.put((arrives, self._spoil(chunk)))
            await queue.put((time.monotonic(), b""))
            await delivering
        finally:
            delivering.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await delivering

    async def _deliver(
        self, way: str, queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        while True:
            arrives, chunk = await queue.get()
            while (wait := arrives - time.monotonic()) > 0 or self.shape.stalled:
                await asyncio.sleep(min(wait, 0.05) if wait > 0 else 0.02)
            if self.shape.cut:
                raise ConnectionResetError("the link is cut")
            if not chunk:
                writer.write_eof()
                return
            self.carried[way] += len(chunk)
            writer.write(chunk)
            await writer.drain()

    def _spoil(self, chunk: bytes) -> bytes:
        if self.shape.corrupt and self._random.random() < self.shape.corrupt:
            at = self._random.randrange(len(chunk))
            return chunk[:at] + bytes([chunk[at] ^ 0x55]) + chunk[at + 1 :]
        return chunk
