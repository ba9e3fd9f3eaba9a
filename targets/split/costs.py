"""From a graph and two measured profiles to what a planner needs.

A profile is the time of every prefix of the nodes, each compiled and run as one program: layers
that are fused or follow each other in the cache cost less together than alone, so sums of layers
mislead. A node's time is the difference of two prefixes.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np

from ...runtime.backend import Executor, find_backend
from ...runtime.errors import InputError
from ...runtime.graph import Graph
from ...runtime.pipeline import compile_graph
from .coding_costs import CodingCost, choose
from .cut import cut_between, stateful_nodes
from .planners.problem import INPUT, Costs, Problem, Wire

ROUNDS = 9
BUDGET_S = 20.0  # of measuring; slow models get fewer rounds, but at least three


@dataclass(frozen=True)
class Profile:
    """`prefix_ms[k]`: the time of nodes 0 .. k-1 on `target`, so that `prefix_ms[0]` is 0."""

    sha256: str
    target: str
    prefix_ms: tuple[float, ...]

    @property
    def node_ms(self) -> tuple[float, ...]:
        return tuple(b - a for a, b in pairwise(self.prefix_ms))

    def scaled(self, factor: float) -> Profile:
        """The same machine, `factor` times as slow."""
        return Profile(self.sha256, self.target, tuple(factor * t for t in self.prefix_ms))

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @staticmethod
    def load(path: Path, graph: Graph) -> Profile:
        """`InputError` if it is no profile, or one of another model."""
        try:
            read = json.loads(path.read_text())
            times = tuple(float(t) for t in read["prefix_ms"])
            profile = Profile(str(read["sha256"]), str(read["target"]), times)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: not a profile of `midge split profile MODEL -o F.json` ({error})"
            ) from None
        if profile.sha256 != graph.sha256 or len(times) != len(graph.nodes) + 1:
            raise InputError(
                f"{path}: a profile of model {profile.sha256[:12]} with {len(times) - 1} nodes, "
                f"not of {graph.sha256[:12]} with {len(graph.nodes)}; make it from the same file"
            )
        if any(b < a for a, b in pairwise(times)) or not all(np.isfinite(times)):
            raise InputError(f"{path}: the times of prefixes must rise")
        return profile


def measure(
    graph: Graph,
    inputs: Sequence[np.ndarray],
    target: str = "host",
    tick: Callable[[int, int], None] = lambda done, of: None,
) -> Profile:
    """Time every prefix, interleaved; `tick(done, of)` reports progress.

    A prefix takes at most what any longer one does: a median that other work on the machine has
    lifted is brought down to that.
    """
    heads, count = [], len(graph.nodes)
    for length in range(1, count + 1):
        heads.append(_executor(prefix_of(graph, length), target))
        tick(length, count)
    try:
        times = _interleaved(heads, inputs)
    finally:
        for head in heads:
            head.close()
    rising = list(accumulate(reversed(times), min))[::-1]
    return Profile(graph.sha256, target, (0.0, *rising))


def prefix_of(graph: Graph, length: int) -> Graph:
    """The head of a prefix, legal or not: state may be cut off from a graph that is only timed."""
    if length >= max([i + 1 for i in stateful_nodes(graph)], default=0):
        return cut_between(graph, range(length)).head
    nodes = graph.nodes[:length]
    return graph.with_nodes(nodes, outputs=tuple(nodes[-1].outputs))


def _executor(graph: Graph, target: str) -> Executor:
    return find_backend(target).build(compile_graph(graph, target))


def _interleaved(executors: Sequence[Executor], inputs: Sequence[np.ndarray]) -> list[float]:
    samples: list[list[float]] = [[] for _ in executors]
    for executor in executors:
        executor.run(inputs)
    ends = time.perf_counter() + BUDGET_S
    for done in range(ROUNDS):
        for executor, taken in zip(executors, samples, strict=True):
            executor.run(inputs)  # in use, a program meets the caches as its last run left them
            started = time.perf_counter()
            executor.run(inputs)
            taken.append((time.perf_counter() - started) * 1e3)
        if done >= 2 and time.perf_counter() > ends:
            break
    return [statistics.median(taken) for taken in samples]


def costs_of(
    graph: Graph, device: Profile, server: Profile, coded: Mapping[int, CodingCost] | None = None
) -> Costs:
    """What planners see of a graph; `coded` as in `wires_of`."""
    made = {t: i for i, node in enumerate(graph.nodes) for t in node.outputs}
    answers = [0] * len(graph.nodes)
    for index in graph.outputs:
        if index in made:
            answers[made[index]] += wire_bytes(graph, index)
    return Costs(
        device.node_ms,
        server.node_ms,
        wires_of(graph, coded or {}),
        tuple(answers),
        tuple(_constant_bytes(graph, node.operands) for node in graph.nodes),
        frozenset(stateful_nodes(graph)),
    )


def wires_of(graph: Graph, coded: Mapping[int, CodingCost]) -> tuple[Wire, ...]:
    """What may cross. Bytes are those on the wire, each tensor's description in.

    `coded` says what each tensor's coding costs; those that it doesn't name cross as they are.
    """
    made = {t: i for i, node in enumerate(graph.nodes) for t in node.outputs}
    wires = []
    for index, readers in graph.consumers.items():
        if readers and graph.is_activation(index) and (index in made or index in graph.inputs):
            cost = coded.get(index)
            size, times = wire_bytes(graph, index), (0.0, 0.0)
            if cost is not None and cost.name != "raw":
                size += cost.bytes - graph.tensors[index].bytes + CODING_BYTES
                times = cost.encode_ms, cost.decode_ms
            wires.append(Wire(made.get(index, INPUT), readers, size, *times))
    return tuple(wires)


@dataclass(frozen=True)
class Codings:
    """What each tensor may be coded as, at what cost; the device's times count `slowdown` times."""

    graph: Graph
    measured: Mapping[int, tuple[CodingCost, ...]]
    slowdown: float = 1.0

    def best(self, problem: Problem) -> Mapping[int, CodingCost]:
        """Each tensor's coding of the least time at the problem's link and load."""
        return choose(self.measured, problem.link.up, self.slowdown, problem.server_load)

    def applied(self, problem: Problem, chosen: Mapping[int, CodingCost]) -> Problem:
        """The problem with tensors that cross as chosen."""
        return replace(problem, costs=replace(problem.costs, wires=wires_of(self.graph, chosen)))


def wire_bytes(graph: Graph, index: int) -> int:
    """A tensor's bytes in a request: contents and description."""
    from .protocol import messages  # gRPC's messages are of the extra midge[split]

    tensor = graph.tensors[index]
    describe = messages.ModelInferRequest.InferInputTensor
    message = messages.ModelInferRequest(
        inputs=[describe(name=tensor.name, datatype="INT8", shape=tensor.shape)]
    )
    return tensor.bytes + message.ByteSize() + 4  # the tag and length of the raw contents


def request_bytes(graph: Graph) -> int:
    """What a request and its answer carry beside tensors: names, digest, frames and headers."""
    from .protocol import codec, messages

    serialize, _ = codec("ModelInfer")
    message = messages.ModelInferRequest(model_name="model", id="0" * 32)
    message.parameters["midge_sha256"].string_param = graph.sha256
    return len(serialize(message)) + FRAMES


CODING_BYTES = 30  # of the parameter that names a tensor's coding
FRAMES = 400  # gRPC's and HTTP/2's headers and frames of one call in both directions, measured


def _constant_bytes(graph: Graph, operands: Iterable[int]) -> int:
    return sum(graph.tensors[t].bytes for t in dict.fromkeys(operands) if graph.tensors[t].constant)


def head_bytes(graph: Graph) -> Callable[[frozenset[int]], int]:
    """Device memory of a head: its constants and the most activation bytes alive at once.

    An upper bound of what the planner packs, quick enough to be asked for every cut.
    """
    made = {t: i for i, node in enumerate(graph.nodes) for t in node.outputs}

    def needed(device: frozenset[int]) -> int:
        last_read: dict[int, int] = {}
        for i in sorted(device):
            for t in graph.nodes[i].operands:
                last_read[t] = i
        leaving = {
            t
            for t in last_read | dict.fromkeys(made)
            if any(reader not in device for reader in graph.consumers[t]) or t in graph.outputs
        }
        live = {t for t in graph.inputs if t in last_read}
        peak = 0
        for i in sorted(device):
            node = graph.nodes[i]
            live.update(node.outputs)
            peak = max(peak, sum(graph.tensors[t].bytes for t in live))
            live = {t for t in live if t in leaving or last_read.get(t, -1) > i}
        constants = {t for i in device for t in graph.nodes[i].operands}
        return peak + _constant_bytes(graph, sorted(constants))

    return needed
