"""Cutting a graph in two: what the device runs, what the server runs, what goes over the link."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ...runtime.errors import TargetError
from ...runtime.graph import Graph


@dataclass(frozen=True, eq=False)
class Cut:
    """The device runs the nodes `device` (`head`), the server the others (`tail`).

    `sent` are the tensors that cross, each once, however many nodes of the tail read it. An output
    of the model that the head makes stays on the device.
    """

    device: tuple[int, ...]
    server: tuple[int, ...]
    head: Graph
    tail: Graph
    sent: tuple[int, ...]
    partial: bool = False  # some of the tail's outputs only

    def wanting(self, outputs: Iterable[int]) -> Cut:
        """The same cut for some of the tail's outputs: what they don't need isn't sent or run."""
        named = set(outputs)
        wanted = [t for t in self.tail.outputs if t in named]
        if not wanted or wanted == list(self.tail.outputs):
            return self
        needed, nodes = set(wanted), []
        for node in reversed(self.tail.nodes):
            if needed & set(node.outputs):
                nodes.append(node)
                needed.update(node.operands)
        sent = tuple(t for t in self.sent if t in needed)
        fixed = {t: v for t, v in self.tail.fixed_inputs.items() if t in sent}
        tail = self.tail.with_nodes(
            nodes[::-1], inputs=sent, outputs=tuple(wanted), fixed_inputs=fixed
        )
        return replace(self, tail=tail, sent=sent, partial=True)

    @property
    def sent_bytes(self) -> int:
        return sum(self.head.tensors[index].bytes for index in self.sent)

    @property
    def position(self) -> int:
        """How many nodes run on the device."""
        return len(self.device)

    @property
    def agreement(self) -> str:
        """The device's nodes, and where it wants some of the outputs only, which."""
        return self.name + (" " + ",".join(map(str, self.tail.outputs)) if self.partial else "")

    @property
    def name(self) -> str:
        """The device's nodes as ranges, which is how a request says them: `0-11,14`."""
        return ranges(self.device)


def legal_cuts(graph: Graph) -> list[int]:
    """All prefix lengths at which a graph may be cut; the last is the whole model on the device.

    Any prefix of an executable order is closed under predecessors, so the link is crossed in one
    direction only. State must stay on the device: a server that fails would take it along.
    """
    stateful = stateful_nodes(graph)
    first = stateful[-1] + 1 if stateful else 0
    return list(range(first, len(graph.nodes) + 1))


def stateful_nodes(graph: Graph) -> list[int]:
    """Nodes that keep something from one inference to the next."""
    return [
        i
        for i, node in enumerate(graph.nodes)
        if any(graph.tensors[t].variable for t in node.operands)
    ]


def cut_at(graph: Graph, position: int) -> Cut:
    """Cut a graph before node `position`."""
    legal = legal_cuts(graph)
    if position not in legal:
        raise TargetError(
            f"the model can be cut before node {legal[0]} to {legal[-1]}, not before {position}"
            + ("; nodes with state stay on the device" if 0 <= position < legal[0] else "")
        )
    return cut_between(graph, range(position))


def cut_between(graph: Graph, device: Iterable[int]) -> Cut:
    """Cut a graph into the nodes `device`, which need nothing from the server, and the others."""
    here = sorted(set(device))
    chosen = frozenset(here)
    if not chosen <= set(range(len(graph.nodes))):
        raise TargetError(
            f"the model has the nodes 0 to {len(graph.nodes) - 1}, the cut names {here[-1]}"
        )
    missing = [i for i in stateful_nodes(graph) if i not in chosen]
    if missing:
        raise TargetError(f"nodes with state stay on the device, and node {missing[0]} is one")
    there = [i for i in range(len(graph.nodes)) if i not in chosen]
    before, after = [graph.nodes[i] for i in here], [graph.nodes[i] for i in there]
    made_late = {t for node in after for t in node.outputs}
    for i in here:
        if made_late & set(graph.nodes[i].operands):
            raise TargetError(f"node {i} can't be on the device: it reads what the server makes")
    read_late = {t for node in after for t in node.operands}
    early = [*graph.inputs, *(t for node in before for t in node.outputs)]
    sent = tuple(t for t in early if t in read_late)
    kept = tuple(t for t in graph.outputs if t not in made_late and t not in sent)
    head = graph.with_nodes(before, outputs=(*sent, *kept))
    tail = graph.with_nodes(
        after,
        inputs=sent,
        outputs=tuple(t for t in graph.outputs if t in made_late),
        fixed_inputs={t: v for t, v in graph.fixed_inputs.items() if t in sent},
    )
    return Cut(tuple(here), tuple(there), head, tail, sent)


def ranges(numbers: Iterable[int]) -> str:
    """Rising numbers as ranges: 0, 1, 2, 5 is `0-2,5`."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(f"{a}-{b}" if b > a else str(a) for a, b in found)


def parse_ranges(text: str, most: int) -> list[int]:
    """The numbers of `ranges`; `TargetError` for anything else, or for a number above `most`."""
    numbers: list[int] = []
    for part in text.split(",") if text else []:
        match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last or last > most or (numbers and first <= numbers[-1]):
            raise TargetError(
                f"a cut is rising ranges of nodes up to {most}, as in 0-11,14, not {text[:40]!r}"
            )
        numbers.extend(range(first, last + 1))
    return numbers
