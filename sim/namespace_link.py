"""A link that Linux shapes: a network namespace behind a pair of interfaces, `tc tbf` on both.

It needs the right to make namespaces (root). `sim/links.py` needs none, and can also delay, cut and
corrupt.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..runtime.errors import MissingTool, ToolError
from .qemu import run_tool

NEAR, FAR = "10.201.77.1", "10.201.77.2"
MTU = 576  # small frames, so that the bucket, which holds one, lets little through at once
PAYLOAD = (MTU - 52) / (MTU + 14)  # of an Ethernet frame that TCP with timestamps fills
LEAST_BURST = 640  # bytes; a frame must fit
LATENCY_MS = 5000  # that tbf holds packets before it drops one


class NamespaceLink:
    """A namespace `name`; what runs in it by `prefix` listens on `far` and is reached from here."""

    def __init__(self) -> None:
        number = os.getpid() % 100_000
        self.name, self._near, self._far_end = f"midge{number}", f"mg{number}a", f"mg{number}b"
        self.far = FAR
        _ip("netns", "add", self.name)
        try:
            _ip("link", "add", self._near, "type", "veth", "peer", "name", self._far_end)
            _ip("link", "set", self._far_end, "netns", self.name)
            _ip("addr", "add", f"{NEAR}/30", "dev", self._near)
            _ip("link", "set", self._near, "mtu", str(MTU), "up")
            for words in (
                ("addr", "add", f"{FAR}/30", "dev", self._far_end),
                ("link", "set", self._far_end, "mtu", str(MTU), "up"),
            ):
                _ip("-n", self.name, *words)
        except ToolError:
            self.close()
            raise

    @property
    def prefix(self) -> tuple[str, ...]:
        """What a command begins with that is to run behind the link."""
        return ("ip", "netns", "exec", self.name)

    def shape(self, rate: float) -> None:
        """Both ways at `rate` bytes a millisecond."""
        burst = max(LEAST_BURST, int(rate))
        bucket = ("tbf", "rate", f"{int(rate * 8000)}bit", "burst", str(burst))
        words = ("root", *bucket, "latency", f"{LATENCY_MS}ms")
        _tool("tc", "qdisc", "replace", "dev", self._near, *words)
        _tool("tc", "-n", self.name, "qdisc", "replace", "dev", self._far_end, *words)

    def close(self) -> None:
        """The interfaces go with their namespace."""
        _ip("netns", "del", self.name)


def _ip(*words: str) -> None:
    _tool("ip", *words)


def _tool(*words: str) -> None:
    try:
        run_tool(words, Path("/"), 60.0)
    except FileNotFoundError:
        raise MissingTool(
            f"{words[0]} is needed and is not installed; `apt install iproute2` has it"
        ) from None
    except ToolError as error:
        raise ToolError(
            f"a link shaped by tc needs root and network namespaces ({error}); --link process "
            "shapes it without"
        ) from None
