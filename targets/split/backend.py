"""The `split` target: half of the model here, half in a server process of its own."""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...runtime.backend import elsewhere, find_backend
from ...runtime.errors import ExecutionError, Refusal
from ...runtime.graph import Graph, Node
from ...runtime.lowering import Lowered
from ...runtime.program import Program
from .client import EdgeClient
from .cut import Cut, cut_at, legal_cuts
from .executor import SplitExecutor

START_S = 60.0  # a cold start compiles kernels
DEADLINE_S = 10.0


class SplitBackend:
    """Refuses and lowers as the host does, which must be able to finish alone."""

    strategy = None
    progress_bytes = 0
    several_memories = False
    rounds_in_floats = True

    def __init__(self, name: str = "split") -> None:
        self.name = name
        self._host = find_backend("host")
        self.alignment = self._host.alignment

    def refuse(self, graph: Graph, node: Node) -> Refusal | None:
        return self._host.refuse(graph, node)

    def lower(self, graph: Graph, node: Node) -> Lowered:
        return self._host.lower(graph, node)

    def elsewhere(self, graph: Graph, node: Node) -> Iterator[Lowered]:
        return elsewhere(self._host, graph, node)

    def build(self, program: Program, out: Path | None = None) -> SplitExecutor:
        """Cut in the middle, and start a server for the tail that ends with the executor."""
        server = ServerProcess(program)
        client = EdgeClient(server.address, server.model, DEADLINE_S)
        cut = middle_cut(program.graph)
        return SplitExecutor(program.graph, cut, client, release=server.stop)


def middle_cut(graph: Graph) -> Cut:
    """The cheapest link of the middle half: planners that weigh both sides come later."""
    legal = legal_cuts(graph)
    middle = legal[len(legal) // 4 : max(3 * len(legal) // 4, len(legal) // 4 + 1)]
    return min((cut_at(graph, position) for position in middle), key=lambda cut: cut.sent_bytes)


class ServerProcess:
    """`midge.targets.split.server` in a process of its own, for one program."""

    def __init__(
        self,
        program: Program,
        model: str = "model",
        slowdown: float = 1.0,
        host: str = "127.0.0.1",
        prefix: Sequence[str] = (),
    ) -> None:
        """`prefix` begins the command where it runs in a namespace, whose address is `host`."""
        self.model = model
        self._folder = tempfile.TemporaryDirectory(prefix="midge-split-")
        path = Path(self._folder.name) / "model.midge"
        program.save(path)
        package = __package__ or "midge.targets.split"
        words = [str(path), model, str(slowdown), host]
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", f"{package}.server", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.address = self._wait_for_address()

    def _wait_for_address(self) -> str:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            ready = selector.select(START_S)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.stop()
            raise ExecutionError(
                f"the server process did not start within {START_S:.0f} s; "
                "try `midge serve MODEL` to see why"
            )
        return str(json.loads(line)["address"])

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()
        self._folder.cleanup()
