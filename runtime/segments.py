"""Where to cut a graph into segments that run row by row, so that the arena is smallest.

The cost of a segment is the most bytes alive while it runs: whole tensors that exist before or
after it, the rings inside, and scratch; a dying input and an output may share bytes as far as the
safe distance allows. The cuts minimize the greatest cost: an exact bottleneck shortest path over
cut points. A segment of one node is that node layer by layer, so that cutting everywhere is always
one of the choices. Costs are worked out only where the path search asks for them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from .flow import Flow, Life
from .memory import shared_bytes
from .streaming import Stream, can_stream, stream

Cuts = tuple[tuple[int, int], ...]  # segments begin .. end-1, as positions in `Flow.operations`
Edge = Callable[[int, int], float]  # cost of a segment
UNREACHABLE = float("inf")
SLACKS = (1.0, 1.02, 1.05)  # how far above the least peak candidates may go


@dataclass
class SegmentCosts:
    """Bytes of each segment, worked out once, when first asked for.

    `layer_distance` gives the safe distance between an input and the output of a single node, by
    (node, input home), or None where they may not overlap; `scratch` the kernel's own bytes by
    (node, whether it runs alone).
    """

    flow: Flow
    layer_distance: Callable[[int, int], int | None]
    scratch: Callable[[int, bool], int]
    alignment: int = 1
    _streams: dict[tuple[int, int], Stream] = field(default_factory=dict)
    _costs: dict[tuple[int, int], float] = field(default_factory=dict)
    _whole_bytes: dict[tuple[int, int], int] = field(default_factory=dict)

    def streamed(self, begin: int, end: int) -> Stream:
        """The simulation of a segment of several nodes."""
        if (begin, end) not in self._streams:
            self._streams[begin, end] = stream(self.flow, begin, end)
        return self._streams[begin, end]

    def cost(self, begin: int, end: int) -> float:
        """Bytes; infinite for nodes that can't run row by row together."""
        if (begin, end) not in self._costs:
            self._costs[begin, end] = self._cost(begin, end)
        return self._costs[begin, end]

    def floor(self, begin: int, end: int) -> float:
        """Bytes that the segment takes at least, without simulating it."""
        if end - begin == 1:
            return self.cost(begin, end)
        if not can_stream(self.flow, begin, end):
            return UNREACHABLE
        whole = self._whole(begin, end)
        dying = [v.size for v in whole if v.death < end and not v.variable]
        born = [v.size for v in whole if v.birth >= begin]
        saved = min(max(dying, default=0), max(born, default=0))
        return sum(self.up(v.size) for v in whole) - self.up(saved)

    def _cost(self, begin: int, end: int) -> float:
        if end - begin > 1 and not can_stream(self.flow, begin, end):
            return UNREACHABLE
        whole = self._whole(begin, end)
        alone = end - begin == 1
        total = self.whole_bytes(begin, end)
        if alone:
            return total - self._saved(whole, begin, end, self._layer_distances(begin))
        run = self.streamed(begin, end)
        return total - self._saved(whole, begin, end, run.distances) + self.up(run.ring_bytes)

    def whole_bytes(self, begin: int, end: int) -> int:
        """Bytes of what isn't a ring: tensors that no other lies on, and scratch."""
        if (begin, end) not in self._whole_bytes:
            alone = end - begin == 1
            scratch = max(self.scratch(op.node, alone) for op in self.flow.operations[begin:end])
            size = sum(self.up(life.size) for life in self._whole(begin, end))
            self._whole_bytes[begin, end] = size + self.up(scratch)
        return self._whole_bytes[begin, end]

    def up(self, size: int) -> int:
        """To the next multiple of the alignment."""
        return -(-size // self.alignment) * self.alignment

    def _whole(self, begin: int, end: int) -> list[Life]:
        """What is alive during the segment and isn't a ring of it."""
        alone = end - begin == 1
        return [
            life
            for life in self.flow.lives
            if life.birth < end
            and life.death >= begin
            and (alone or life.birth < begin or life.death >= end or not life.ring)
        ]

    def _layer_distances(self, position: int) -> dict[tuple[int, int], int]:
        operation = self.flow.operations[position]
        distances = {}
        for read in operation.reads:
            distance = self.layer_distance(operation.node, read.home)
            if distance is not None:
                distances[read.home, operation.home] = distance
        return distances

    def _saved(
        self, whole: list[Life], begin: int, end: int, distances: Mapping[tuple[int, int], int]
    ) -> int:
        """Most that one dying input and one output save by sharing bytes."""
        dying = {v.home: v.size for v in whole if v.birth < begin and v.death < end}
        born = {v.home: v.size for v in whole if v.birth >= begin}
        return max(
            (
                shared_bytes(self.up(dying[i]), self.up(born[o]), self.up(distance))
                for (i, o), distance in distances.items()
                if i in dying and o in born
            ),
            default=0,
        )


def least_peak(count: int, cost: Edge, floor: Edge) -> float:
    """The least greatest cost of a way from cut 0 to cut `count`.

    Bottleneck shortest path: cuts are reached in the order of their peak. A segment waits at its
    cheap `floor` until its turn comes, and only then has its true cost worked out.
    """
    waiting: list[tuple[float, int, int, int]] = [(0.0, -1, 0, 0)]
    reached: set[int] = set()
    while waiting:
        peak, is_floor, end, begin = heapq.heappop(waiting)
        if -end in reached:
            continue
        if is_floor == 1:
            heapq.heappush(waiting, (max(peak, cost(begin, -end)), -1, end, begin))
            continue
        reached.add(-end)
        if -end == count:
            return peak
        for following in range(-end + 1, count + 1):
            bound = floor(-end, following)
            if following not in reached and bound < UNREACHABLE:
                heapq.heappush(waiting, (max(peak, bound), 1, -following, -end))
    return UNREACHABLE


def shortest_way(count: int, weight: Edge, allowed: Callable[[int, int], bool]) -> Cuts:
    """The way of least total weight over allowed segments; `allowed` is asked as late as may be."""
    waiting: list[tuple[float, int, int, Cuts]] = [(0.0, 0, 0, ())]
    reached: set[int] = set()
    while waiting:
        total, end, begin, way = heapq.heappop(waiting)
        if end in reached or (end and not allowed(begin, end)):
            continue
        reached.add(end)
        way = (*way, (begin, end)) if end else ()
        if end == count:
            return way
        for following in range(end + 1, count + 1):
            if following not in reached:
                heapq.heappush(waiting, (total + weight(end, following), following, end, way))
    return ()


def candidate_cuts(costs: SegmentCosts) -> Iterator[Cuts]:
    """Ways to cut whose greatest cost is the least possible, then close to it.

    Those of few fused nodes come before those of few segments. They differ in what can be packed.
    """
    count = len(costs.flow.operations)
    peak = least_peak(count, costs.cost, costs.floor)
    known = set()
    for slack in SLACKS:
        for weight in (lambda begin, end: end - begin - 1, lambda begin, end: 1.0):
            cuts = _way(costs, slack * peak, weight)
            if cuts not in known:
                known.add(cuts)
                yield cuts


def fewest_fused(costs: SegmentCosts, limit: float) -> Cuts:
    """The cuts that fuse fewest nodes and take at most `limit` bytes, or the least there is."""
    least = least_peak(len(costs.flow.operations), costs.cost, costs.floor)
    return _way(costs, max(limit, least), lambda begin, end: end - begin - 1)


def _way(costs: SegmentCosts, limit: float, weight: Edge) -> Cuts:
    def allowed(begin: int, end: int) -> bool:
        return costs.floor(begin, end) <= limit and costs.cost(begin, end) <= limit

    return shortest_way(len(costs.flow.operations), weight, allowed)
