"""The shaped link keeps its rate and delay, and does harm when it is told to."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from midge.runtime.errors import ToolError
from midge.sim.links import Shape, ShapedLink
from midge.sim.namespace_link import LEAST_BURST, NamespaceLink


@pytest.fixture
def echo() -> Iterator[str]:
    """A server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(peer,), daemon=True).start()

    def answer(peer: socket.socket) -> None:
        with peer:
            try:
                while data := peer.recv(65536):
                    peer.sendall(data)
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def exchange(address: str, data: bytes, timeout: float = 60) -> tuple[bytes, float]:
    host, port = address.split(":")
    started = time.monotonic()
    with socket.create_connection((host, int(port)), timeout) as peer:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        got = b""
        while chunk := peer.recv(65536):
            got += chunk
    return got, time.monotonic() - started


def test_rate_and_delay_are_as_stated(echo: str) -> None:
    """A lower bound that scheduling can't break, and an upper one far from it."""
    link = ShapedLink(echo, Shape(up=100.0, down=1e6, delay_ms=40.0))
    data = bytes(range(256)) * 80  # 20,480 bytes at 100 a ms
    got, took = exchange(link.address, data)
    link.close()
    assert got == data
    assert 0.2448 <= took < 60.0
    assert link.carried == {"up": len(data), "down": len(data)}


def test_a_cut_link_breaks_and_refuses(echo: str) -> None:
    link = ShapedLink(echo)
    link.shape.cut = True
    with pytest.raises(OSError):
        got, _ = exchange(link.address, b"x")
        raise ConnectionError(f"an answer of {len(got)} bytes") if not got else AssertionError(got)
    link.shape.cut = False
    assert exchange(link.address, b"x")[0] == b"x"
    link.close()


def test_a_stalled_link_keeps_what_it_carries(echo: str) -> None:
    link = ShapedLink(echo, Shape(stalled=True))
    with pytest.raises(TimeoutError):
        exchange(link.address, b"x", timeout=0.2)
    link.shape.stalled = False
    assert exchange(link.address, b"y")[0] == b"y"
    link.close()


def test_corruption_changes_bytes_and_not_their_number(echo: str) -> None:
    link = ShapedLink(echo, Shape(corrupt=1.0))
    data = bytes(10_000)
    got, _ = exchange(link.address, data)
    link.close()
    assert len(got) == len(data)
    assert 1 <= sum(a != b for a, b in zip(got, data, strict=True)) <= 20


ECHO = """
import socket
with socket.create_server(("%s", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    peer, _ = listener.accept()
    while data := peer.recv(65536):
        peer.sendall(data)
    peer.close()
"""


def test_a_link_that_linux_shapes_keeps_its_rate() -> None:
    """A lower bound alone: the bucket holds a frame, and frames are more than what they carry."""
    try:
        link = NamespaceLink()
    except ToolError as error:
        pytest.skip(str(error))
    try:
        link.shape(100.0)
        command = [*link.prefix, sys.executable, "-c", ECHO % link.far]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            address = f"{link.far}:{server.stdout.readline().strip()}"
            data = bytes(20_000)
            got, took = exchange(address, data)
            server.wait(60)
    finally:
        link.close()
    assert got == data
    assert took >= (len(data) - 2 * LEAST_BURST) / 100.0 / 1e3
