"""Cutting a graph in two: what the device runs, what the server runs, what goes over the link."""

from __future__ import annotations

from dataclasses import dataclass

from ...runtime.errors import TargetError
from ...runtime.graph import Graph


@dataclass(frozen=True, eq=False)
class Cut:
    """The device runs nodes 0 .. position-1 (`head`), the server the rest (`tail`).

    `sent` are the tensors that cross, each once, however many nodes of the tail read it. An output
    of the model that the head makes stays on the device.
    """

    position: int
    head: Graph
    tail: Graph
    sent: tuple[int, ...]

    @property
    def sent_bytes(self) -> int:
        return sum(self.head.tensors[index].bytes for index in self.sent)


def legal_cuts(graph: Graph) -> list[int]:
    """All positions at which a graph may be cut; the last is the whole model on the device.

    Any prefix of an executable order is closed under predecessors, so the link is crossed in one
    direction only. State must stay on the device: a server that fails would take it along.
    """
    stateful = [
        i
        for i, node in enumerate(graph.nodes)
        if any(graph.tensors[t].variable for t in node.operands)
    ]
    first = stateful[-1] + 1 if stateful else 0
    return list(range(first, len(graph.nodes) + 1))


def cut_at(graph: Graph, position: int) -> Cut:
    """Cut a graph before node `position`."""
    legal = legal_cuts(graph)
    if position not in legal:
        raise TargetError(
            f"the model can be cut before node {legal[0]} to {legal[-1]}, not before {position}"
            + ("; nodes with state stay on the device" if 0 <= position < legal[0] else "")
        )
    before, after = graph.nodes[:position], graph.nodes[position:]
    made_late = {t for node in after for t in node.outputs}
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
    return Cut(position, head, tail, sent)
