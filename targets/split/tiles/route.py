"""What a plan moves and costs: who has which box of which tensor after each step.

What goes from one worker to another goes over the gateway. One radio serves all: transfers of a
step follow each other, their delays overlap, and the slowest device's arithmetic counts
(algorithms: C = scatter + max compute + gather).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ....runtime.errors import TargetError
from .boxes import Box, bytes_of, hull, meet, minus
from .loads import extra_macs
from .plan import GATEWAY, Step, Tile, TilePlan, TileProblem

NOWHERE = -1  # lies with the device that made it, which sends it when another needs it


@dataclass(frozen=True)
class Holding:
    """A box of a tensor: on which device it lies, and which errand made it (None: no device's)."""

    box: Box
    device: int
    errand: tuple[int, int] | None = None
    maker: int = GATEWAY
    given: bool = False  # the gateway has it already


@dataclass(frozen=True)
class Fetch:
    """A box that a tile takes from elsewhere."""

    tensor: int
    box: Box
    source: Holding


@dataclass
class Route:
    """Follows a plan: who has what after each step, what moves, and what that costs."""

    problem: TileProblem
    held: dict[int, tuple[Holding, ...]]
    asked: set[tuple[object, int, Box]] = field(default_factory=set)  # sent up already
    steps: int = 0
    ms: float = 0.0
    sent_bytes: int = 0

    @staticmethod
    def start(problem: TileProblem) -> Route:
        graph = problem.graph
        whole = problem.geometry.whole
        return Route(problem, {t: (Holding(whole[t], GATEWAY),) for t in graph.inputs})

    def copy(self) -> Route:
        return replace(self, held=dict(self.held), asked=set(self.asked))

    def take(self, step: Step) -> list[list[Fetch]]:
        """Go on by a step; what each of its tiles fetches."""
        fetches = [self._fetches(tile, step) for tile in step.tiles]
        made: dict[int, list[Holding]] = {}
        for number, tile in enumerate(step.tiles):
            for tensor in self._public(step, tile):
                made.setdefault(tensor, []).append(self._holding(step, tile, number, tensor))
        self._charge(step, fetches)
        for tensor, holdings in made.items():
            self.held[tensor] = (*self.held.get(tensor, ()), *holdings)
        self.steps += 1
        return fetches

    def leaving(self, step: Step, tile: Tile) -> list[int]:
        """The tensors that a step is for."""
        geometry = self.problem.geometry
        if step.shared:  # of a tile that leaves inner nodes to others: the last one's
            return [geometry.output(tile.boxes[-1][0])]
        return geometry.leaving([n for n, _ in tile.boxes])

    def _public(self, step: Step, tile: Tile) -> list[int]:
        """The tensors of a tile that others can have."""
        nodes = [number for number, _ in tile.boxes]
        if step.shared:
            return [t for n in nodes for t in self.problem.graph.nodes[n].outputs]
        return self.problem.geometry.leaving(nodes)

    def _holding(self, step: Step, tile: Tile, number: int, tensor: int) -> Holding:
        box = self.box_of(tile, tensor)
        leaving = tensor in self.leaving(step, tile)
        errand = (self.steps, number)
        if not leaving:
            return Holding(box, NOWHERE, errand, tile.device)
        if tile.device == GATEWAY or not step.kept:
            return Holding(box, GATEWAY, errand, tile.device, given=True)
        return Holding(box, tile.device, errand, tile.device)

    def _fetches(self, tile: Tile, step: Step) -> list[Fetch]:
        key = (tile.boxes, step.isolated)
        if key not in self.problem.wanted:
            self.problem.wanted[key] = self._wanted(tile, step.isolated)
        return [
            fetch
            for tensor, box in self.problem.wanted[key]
            for fetch in self.sources(tensor, box, tile.device)
        ]

    def _wanted(self, tile: Tile, isolated: bool) -> tuple[tuple[int, Box], ...]:
        """What a tile needs and doesn't make, no pixel twice."""
        nodes = self.problem.graph.nodes
        own = {t: self.box_of(tile, t) for n, _ in tile.boxes for t in nodes[n].outputs}
        wanted: dict[int, Box] = {}  # a program takes boxes, so of all needs of a tensor the hull
        for number, box in tile.boxes:
            for tensor, need in self.needs(number, box, isolated).items():
                wanted[tensor] = hull([need, wanted[tensor]]) if tensor in wanted else need
        return tuple(
            (tensor, part)
            for tensor, box in wanted.items()
            for part in (minus(box, own[tensor]) if tensor in own else [box])
        )

    def needs(self, number: int, box: Box, isolated: bool) -> Mapping[int, Box]:
        geometry = self.problem.geometry
        found = geometry.isolated.needs(number, box) if isolated else geometry.needs(number, box)
        if found is None:
            raise TargetError(f"node {number} can't be made in the part {box}")
        return found

    def sources(self, tensor: int, box: Box, device: int) -> list[Fetch]:
        """Whence a device takes a box: from itself, then the gateway, then the others."""
        holdings = sorted(
            self.held.get(tensor, ()),
            key=lambda h: (h.device != device, h.device != GATEWAY),
        )
        found, left = [], [box]
        for holding in holdings:
            for part in left:
                common = meet(part, holding.box)
                if common is not None:
                    found.append(Fetch(tensor, common, holding))
            left = [rest for part in left for rest in minus(part, holding.box)]
        if left:
            raise TargetError(f"no device has the part {left[0]} of tensor {tensor}")
        return found

    def _charge(self, step: Step, fetches: Sequence[Sequence[Fetch]]) -> None:
        devices, tensors = self.problem.devices, self.problem.graph.tensors
        moved: dict[tuple[int, bool], int] = {}  # (device, towards it) -> bytes
        compute = [0.0] * len(devices)
        for tile, taken in zip(step.tiles, fetches, strict=True):
            for fetch in taken:
                size = bytes_of(tensors[fetch.tensor], fetch.box)
                source = fetch.source
                if source.device != tile.device and tile.device != GATEWAY:
                    moved[tile.device, True] = moved.get((tile.device, True), 0) + size
                if source.device == tile.device or source.given or source.maker == GATEWAY:
                    continue
                if (source.errand, fetch.tensor, fetch.box) not in self.asked:
                    self.asked.add((source.errand, fetch.tensor, fetch.box))
                    moved[source.maker, False] = moved.get((source.maker, False), 0) + size
            compute[tile.device] += self.compute_ms(tile)
            if not step.kept and tile.device != GATEWAY:
                for tensor in self.leaving(step, tile):
                    size = bytes_of(tensors[tensor], self.box_of(tile, tensor))
                    moved[tile.device, False] = moved.get((tile.device, False), 0) + size
        self._spend(moved, max(compute))

    def box_of(self, tile: Tile, tensor: int) -> Box:
        number, box = next(
            (n, b) for n, b in tile.boxes if tensor in self.problem.graph.nodes[n].outputs
        )
        first = tensor == self.problem.geometry.output(number)
        return box if first else self.problem.geometry.whole[tensor]

    def _spend(self, moved: Mapping[tuple[int, bool], int], compute_ms: float) -> None:
        links = {device: self.problem.devices[device].link for device, _ in moved}
        self.ms += compute_ms + max((link.delay_ms for link in links.values()), default=0.0)
        for (device, towards), size in moved.items():
            self.ms += size / (links[device].up if towards else links[device].down)
            self.sent_bytes += size

    def compute_ms(self, tile: Tile) -> float:
        problem = self.problem
        work = sum(problem.node_ms[n] * problem.geometry.share(n, box) for n, box in tile.boxes)
        return work / problem.devices[tile.device].speed

    def finish(self) -> list[Fetch]:
        """The model's outputs go to the gateway."""
        graph, whole = self.problem.graph, self.problem.geometry.whole
        fetches = [f for t in graph.outputs for f in self.sources(t, whole[t], GATEWAY)]
        moved: dict[tuple[int, bool], int] = {}
        for fetch in fetches:
            source = fetch.source
            key = (source.errand, fetch.tensor, fetch.box)
            if source.device != GATEWAY and source.maker != GATEWAY and key not in self.asked:
                size = bytes_of(graph.tensors[fetch.tensor], fetch.box)
                moved[source.maker, False] = moved.get((source.maker, False), 0) + size
        self._spend(moved, 0.0)
        return fetches


def priced(
    problem: TileProblem,
    algorithm: str,
    steps: Iterable[Step],
    identical: bool = True,
    **evidence: Any,
) -> TilePlan:
    """The plan of these steps with what it costs."""
    chosen = tuple(steps)
    route = Route.start(problem)
    for step in chosen:
        route.take(step)
    route.finish()
    extra = extra_macs(problem, chosen)
    return TilePlan(algorithm, chosen, route.ms, route.sent_bytes, extra, identical, evidence)
