"""A split under faults and under load: no answer wrong, none lost.

    python -m midge.tools.split_soak [--model digits] [--requests 2000]
    python -m midge.tools.split_soak --clients 64 --seconds 600 [--ray 2]

The first runs requests while the server is killed and started again, the link cut, stalled, slowed
a hundred times and made to corrupt bytes; `late` lists the requests that took longer than the
deadline and one local inference, and for how long nothing here was given a processor meanwhile. The
second runs many devices at once against one server and watches its memory. Both print one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.backend import find_backend
from ..runtime.importers import read_model
from ..runtime.options import Options
from ..runtime.pipeline import compile_graph, rewrite
from ..runtime.program import Program
from ..sim.links import Shape, ShapedLink
from ..targets.split.adaptive import AdaptiveExecutor
from ..targets.split.backend import ServerProcess, middle_cut
from ..targets.split.client import EdgeClient
from ..targets.split.costs import Profile, costs_of
from ..targets.split.executor import SplitExecutor
from ..targets.split.planners import Link, Problem
from .arguments import random_inputs
from .zoo import find_model

FAULTS = ("kill", "cut", "stall", "slow", "corrupt", "none")
LEAST_REQUESTS = 3  # of a client under load, however slow the machine is
RATE = 12_500.0  # bytes a millisecond of the healthy link: 100 Mbit/s
PAUSE_S = 0.02  # between requests of the command, so that a fault lasts for a second or two
STALL_S = 0.005
LOCAL_RUNS = 50
RECOVERY_S = 90.0  # the server must answer again within it


@dataclass(frozen=True)
class Late:
    """A request that took longer than it should have.

    `stalled_ms`: the longest that a thread here which only sleeps was woken too late meanwhile.
    """

    fault: str
    ms: float
    stalled_ms: float


class Stalls(threading.Thread):
    """Sleeps, and keeps by how much it was woken too late: the machine's own share of a delay."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.ended, self._worst_ms = threading.Event(), 0.0

    def run(self) -> None:
        while not self.ended.is_set():
            started = time.perf_counter()
            time.sleep(STALL_S)
            over = (time.perf_counter() - started - STALL_S) * 1e3
            self._worst_ms = max(self._worst_ms, over)

    def take(self) -> float:
        """The worst since it was last asked."""
        worst, self._worst_ms = self._worst_ms, 0.0
        return worst


@dataclass
class Told:
    """What happened. Latencies are milliseconds; `worst_ms` has the worst of each fault.

    `local_ms`: the slowest of some inferences on the device alone, before the first fault.
    """

    requests: int = 0
    wrong: int = 0
    remote: int = 0
    deadline_ms: float = 0.0
    local_ms: float = 0.0
    late: list[Late] = field(default_factory=list)
    worst_ms: dict[str, float] = field(default_factory=dict)
    recovered: int = 0
    log: list[str] = field(default_factory=list)


class Soak:
    """One device, one server process, one link between them."""

    def __init__(
        self, program: Program, deadline_ms: float, pause_s: float = 0.0, seed: int = 0
    ) -> None:
        self.program, self.deadline_ms, self.pause_s = program, deadline_ms, pause_s
        self.inputs = [random_inputs(program.graph, seed + i) for i in range(10)]
        local = find_backend("host").build(program)
        self.expected = [local.run(x) for x in self.inputs]
        taken = []
        for number in range(LOCAL_RUNS):
            started = time.perf_counter()
            local.run(self.inputs[number % len(self.inputs)])
            taken.append((time.perf_counter() - started) * 1e3)
        self.stalls = Stalls()
        self.stalls.start()
        self.server = ServerProcess(program)
        self.link = ShapedLink(self.server.address, self._healthy())
        client = EdgeClient(self.link.address, self.server.model, deadline_s=60)
        self.device = AdaptiveExecutor(program.graph, far_device(program), client, deadline_ms)
        self.told = Told(deadline_ms=deadline_ms, local_ms=max(taken))

    @staticmethod
    def _healthy() -> Shape:
        return Shape(up=RATE, down=RATE)

    def run(self, requests: int, faults: Sequence[str] = FAULTS) -> Told:
        """`requests` in equal shares under each fault, the link and server healed between them."""
        self.ask_until_remote()
        for number, fault in enumerate(faults):
            share = requests // len(faults) + (number < requests % len(faults))
            self._inflict(fault)
            worst = max((self.ask(fault) for _ in range(share)), default=0.0)
            self.told.worst_ms[fault] = max(worst, self.told.worst_ms.get(fault, 0.0))
            self._heal(fault)
            self.told.recovered += self.ask_until_remote()
        self.told.log = list(map(str, self.device.log))
        return self.told

    def ask(self, fault: str = "healed") -> float:
        """One request; its milliseconds."""
        which = self.told.requests % len(self.inputs)
        time.sleep(self.pause_s)
        self.stalls.take()
        started = time.perf_counter()
        answers = self.device.run(self.inputs[which])
        taken = (time.perf_counter() - started) * 1e3
        if taken > self.deadline_ms + self.told.local_ms:
            self.told.late.append(Late(fault, taken, self.stalls.take()))
        self.told.requests += 1
        self.told.remote += self.device.exchange_worked()
        same = all(np.array_equal(a, b) for a, b in zip(answers, self.expected[which], strict=True))
        self.told.wrong += not same
        return taken

    def ask_until_remote(self) -> bool:
        """Whether the server answers again within `RECOVERY_S`."""
        ends = time.monotonic() + RECOVERY_S
        while time.monotonic() < ends:
            self.ask()
            if self.device.exchange_worked():
                return True
        return False

    def _inflict(self, fault: str) -> None:
        shape = self.link.shape
        if fault == "kill":
            self.server.process.kill()
        elif fault == "cut":
            shape.cut = True
            self.link.break_connections()
        elif fault == "stall":
            shape.stalled = True
        elif fault == "slow":
            self.link.shape = replace(shape, up=RATE / 100, down=RATE / 100)
        elif fault == "corrupt":
            shape.corrupt = 0.3

    def _heal(self, fault: str) -> None:
        if fault == "kill":
            self.server.stop()
            self.server = ServerProcess(self.program)
            self.link.redirect(self.server.address)
        self.link.break_connections()
        self.link.shape = self._healthy()

    def close(self) -> None:
        self.stalls.ended.set()
        self.device.close()
        self.link.close()
        self.server.stop()


def far_device(program: Program) -> Problem:
    """A device of 40 ms beside a server of 1 ms: its plans ask for the server on a good link."""
    nodes = len(program.graph.nodes)
    device, server = (
        Profile(program.graph.sha256, "", tuple(t * k / nodes for k in range(nodes + 1)))
        for t in (40.0, 1.0)
    )
    return Problem(costs_of(program.graph, device, server), Link(RATE, RATE))


class RayServer:
    """`ServerProcess`, but the answers come from replicas of Ray Serve."""

    def __init__(self, path: Path, replicas: int, most: int | None) -> None:
        from ..targets.split.ray_server import RayService, Scale
        from ..targets.split.server import ModelServer

        self.model, self.service = "model", RayService(path, "model", Scale(replicas, most))
        self._server = ModelServer(None, self.model, service=self.service)
        self._server.start()
        self.address, self.pid = self._server.address, os.getpid()

    def stop(self) -> None:
        self._server.stop()


def load(program: Program, clients: int, seconds: float, server: Any = None) -> dict[str, object]:
    """`clients` devices at once against one server: answers counted, its memory watched."""
    server, cut = server or ServerProcess(program), middle_cut(program.graph)
    inputs = [random_inputs(program.graph, i) for i in range(10)]
    local = find_backend("host").build(program)
    expected = [local.run(x) for x in inputs]
    counts = [[0, 0, 0] for _ in range(clients)]  # right, wrong, of them from the server
    ends = time.monotonic() + seconds

    def device(own: list[int]) -> None:
        client = EdgeClient(server.address, server.model, deadline_s=60)
        split = SplitExecutor(program.graph, cut, client)
        number = 0
        while number < LEAST_REQUESTS or time.monotonic() < ends:
            answers = split.run(inputs[number % 10])
            own[not np.array_equal(answers[0], expected[number % 10][0])] += 1
            own[2] += split.exchange is not None and split.exchange.error is None
            number += 1
        split.close()

    threads = [threading.Thread(target=device, args=(own,)) for own in counts]
    for thread in threads:
        thread.start()
    memory = _watch(server.pid, lambda: time.monotonic() < ends)
    for thread in threads:
        thread.join()
    server.stop()
    right, wrong, remote = (sum(own[i] for own in counts) for i in range(3))
    return {
        "clients": clients,
        "seconds": seconds,
        "right": right,
        "wrong": wrong,
        "remote": remote,
        "least_of_a_client": min(sum(own[:2]) for own in counts),
        "server_memory_mb": memory,
    }


def _watch(process: int, going_on: Callable[[], bool]) -> list[float]:
    """The resident megabytes of a process, twenty times over the time."""
    seen = []
    while going_on():
        status = Path(f"/proc/{process}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        seen.append(int(line.split()[1]) / 1024)
        time.sleep(0.5)
    step = max(len(seen) // 20, 1)
    return [round(value, 1) for value in seen[::step]]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="digits")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=4, help="times that each fault comes")
    parser.add_argument("--deadline-ms", type=float, default=400.0)
    parser.add_argument("--clients", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--ray", type=int, default=0, metavar="N", help="replicas of Ray Serve")
    parser.add_argument(
        "--most-replicas", type=int, metavar="N", help="so many at most, as the load asks"
    )
    args = parser.parse_args(arguments)
    program = compile_graph(rewrite(read_model(find_model(args.model)), Options()))
    if args.clients:
        path, most = find_model(args.model), args.most_replicas
        server = RayServer(path, args.ray, most) if args.ray else None
        result = load(program, args.clients, args.seconds, server)
        if server is not None:
            result["answered_by_replica"] = dict(server.service.answered)
        print(json.dumps(result))
        return int(bool(result["wrong"]))
    soak = Soak(program, args.deadline_ms, PAUSE_S)
    try:
        told = soak.run(args.requests, FAULTS * args.rounds)
    finally:
        soak.close()
    print(json.dumps(asdict(told)))
    return int(told.wrong > 0 or told.recovered < len(FAULTS) * args.rounds)


if __name__ == "__main__":
    sys.exit(main())
