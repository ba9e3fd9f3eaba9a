"""From calls to a program: which strategy, which segments, and the smallest arena of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property

from .assemble import assemble
from .errors import PlanError
from .feeding import FEED
from .flow import make_flow
from .graph import Graph
from .layout import LINGER, layer_distances
from .lowering import Lowered
from .memories import NoRoom
from .ops import total_macs
from .options import Grant
from .places import addresses_part, places_of, streamed_call
from .program import Program
from .room import a_few, calls_with_room, frugal, none, scratch_bytes
from .schedule import Schedule, layer_by_layer, schedule_segments, stream_rows
from .segments import UNREACHABLE, SegmentCosts, candidate_cuts, fewest_fused
from .strips import CLOSE, Point, StripCosts, front, least_bytes, least_extra, pareto
from .tiles import tile
from .two_passes import Excitation, excitations, in_two_passes

# strategy -> in words; the first that fits is the fastest
NAMES = {
    "layers": "layer by layer",
    "rows": "with row streaming",
    "patches": "in patches",
    "auto": "with row streaming where that is less",
    "fast": "layer by layer, with row streaming where that would leave the cache",
}
STRATEGIES = tuple(NAMES)
PACKING_TRIES = 9  # of plans whose bytes packing may add to
NEIGHBOURS = 4  # of these tries go on to the next point of the curve, the others further
MOST_EXTRA = 1.0  # part of the model's multiplications that patches, or a limit on memory, may add
# Segments of a computer's plan take no more than this, if they can: half of the smallest second
# level of a Raspberry Pi, an eighth of a server's; the rest is the weights'. What it saves is
# measured by `tools/streaming_page.py`.
FOOTPRINT = 1 << 18
APART_BYTES = 1 << 20  # of arena, to keep all buffers apart: the caches of two cores


@dataclass(frozen=True)
class Planner:
    """The calls of a graph, and what every plan of them must keep to."""

    graph: Graph
    lowered: Mapping[int, Lowered]
    target: str
    alignment: int
    exact: bool = True
    overlap: bool = True
    apart: bool = False
    lower: Callable[[Graph], Mapping[int, Lowered]] | None = None  # of a graph in parts
    given_macs: int | None = None  # of the model, where `graph` has more
    spare: Callable[[int], int] = a_few  # bytes that faster kernels may add to the least
    lots: bool = False  # streamed rows come in the lots of their calls
    room: int | None = None  # bytes that the arena may have for them, whatever the least is
    memories: tuple[Grant, ...] = ()  # that finished plans are to be spread over

    def plan(self, strategy: str, max_extra_macs: float | None = None) -> Program:
        """`layers`: node after node; `rows`: segments row by row; `patches`: the first nodes patch
        by patch, the rest as layers; `auto`: what needs fewest bytes.

        `fast` is what takes least time on a computer: layers, and those of them row by row that
        else would leave its cache. With `max_extra_macs`, a part of the model's multiplications,
        segments by row may run in strips that compute their halos anew; without, they don't, and
        patches may add as many as the model has. Raises `PlanError` for another strategy.
        """
        if strategy not in STRATEGIES:
            raise PlanError(
                f"there is no strategy {strategy!r}; the strategies are {', '.join(STRATEGIES)}"
            )
        if strategy == "rows":
            return self._rows_in_lots(max_extra_macs or 0.0)
        if strategy == "fast" and not max_extra_macs:
            return self._fast()
        plans = [self._assemble(layer_by_layer(self.graph, self.lowered))]
        if strategy == "patches" or (strategy == "auto" and max_extra_macs):
            most = MOST_EXTRA if max_extra_macs is None else max_extra_macs
            patches = self.in_strips(least_bytes(self.patch_costs(), self.macs(most)))
            plans += [patches] if patches is not None else []
        if strategy in ("auto", "fast"):
            plans.append(self._rows(max_extra_macs or 0.0))
        return min(plans, key=self.rank)

    def _fast(self) -> Program:
        layers = self._assemble(layer_by_layer(self.graph, self.lowered))
        if layers.arena_bytes <= FOOTPRINT:
            return layers
        costs = self.costs()
        cuts = fewest_fused(costs, FOOTPRINT)
        schedule = schedule_segments(self.graph, self.lowered, cuts, costs.streamed)
        return min(layers, self._assemble(schedule), key=self.rank)

    def rank(self, program: Program) -> tuple[bool, int, int]:
        """The lower the better: what fits into the memories, then little use of the slower ones."""
        cost = program.spread.cost if program.spread is not None else 0
        return bool(self.memories) and program.spread is None, cost, program.arena_bytes

    def least_arithmetic(self, ram: int, most_extra: float) -> Program | None:
        """In strips, patches or two passes within `ram` bytes, with the least extra arithmetic.

        None if nothing fits.
        """
        fitting = self._with_little_arithmetic(ram, self.macs(most_extra))
        return min(fitting, key=lambda plan: (plan.extra_macs, plan.arena_bytes), default=None)

    def least_in_patches(self, ram: int, most_extra: float) -> Program | None:
        """In patches, the rest as layers, within `ram` bytes, with the least extra arithmetic."""
        return self._least_in_parts(self.patch_costs(), ram, self.macs(most_extra))

    def _with_little_arithmetic(self, ram: int, most: int) -> Iterator[Program]:
        """The least of each way to spend arithmetic, those of later stages only where needed."""
        for planner in (self, *self._stages(most)):
            if planner is not self:
                rows = replace(planner, room=ram)._rows()
                if rows.arena_bytes <= ram:
                    yield rows
                    return  # another stage does no less
            for costs in (planner.strip_costs(), planner.patch_costs()):
                program = planner._least_in_parts(costs, ram, most)
                if program is not None:
                    yield program

    def _least_in_parts(self, costs: StripCosts, ram: int, most: int) -> Program | None:
        """The first that fits when packed: from point to point first, then by what is too much."""
        limit, granted = ram, replace(self, room=ram)
        for attempt in range(PACKING_TRIES):
            point = least_extra(costs, limit, most - self.extra_macs)
            if point is None:
                return None
            program = granted._of_point(point)
            if program is not None and program.arena_bytes <= ram:
                return program
            limit = min(limit, point.bytes) - 1
            if program is not None and attempt >= NEIGHBOURS:
                limit -= program.arena_bytes - ram
        return None

    def _of_point(self, point: Point) -> Program | None:
        """The program of these cuts, whether anything in it is in strips or not."""
        if point.tilings(list(self.lowered)):
            return self.in_strips(point)
        cuts = [(segment.begin, segment.end) for segment in point.segments]
        streamed = self.costs().streamed
        return self._assemble(schedule_segments(self.graph, self.lowered, cuts, streamed))

    def pareto(self, most_extra: float = 1.0) -> list[Point]:
        """From no extra arithmetic to that part of the model's: ever fewer bytes for ever more.

        Each point has the bytes of the arena before packing (which may add a little), the extra
        multiplications, and the segments, as positions in `lowered`. No other cuts into segments
        and strips, no patches and no tensors made in two passes need as few bytes for as little.
        """
        most = self.macs(most_extra)
        points = [*pareto(self.strip_costs(), most), *self.in_patches(most_extra)]
        for number, planner in enumerate(self._stages(most), 1):
            before = planner.extra_macs
            points += (
                replace(point, extra_macs=point.extra_macs + before, twice=number)
                for point in pareto(planner.strip_costs(), most - before)
            )
        return front(points)

    def in_patches(self, most_extra: float = 1.0) -> list[Point]:
        """The same for patches and whole layers alone; nothing if there are no such patches."""
        points = list(pareto(self.patch_costs(), self.macs(most_extra)))
        return points if any(s.patch_rows for point in points for s in point.segments) else []

    def macs(self, part: float) -> int:
        """A part of the model's multiplications."""
        return int(part * self._given)

    def segments(self, segments: Sequence[Sequence[int]]) -> Program:
        """With these segments (node numbers) row by row."""
        return self._assemble(stream_rows(self.graph, self.lowered, segments))

    def _rows(self, max_extra_macs: float = 0.0) -> Program:
        """The smallest arena of the candidates, up to the first that packs to its own peak."""
        costs = self.costs()
        plans: list[tuple[Schedule, Program]] = []
        for cuts in candidate_cuts(costs):
            schedule = schedule_segments(self.graph, self.lowered, cuts, costs.streamed)
            plans.append((schedule, self._least(schedule)))
            peak = max((costs.cost(begin, end) for begin, end in cuts), default=0)
            if plans[-1][1].arena_bytes <= peak:
                break
        rows = self._faster(*min(plans, key=lambda plan: plan[1].arena_bytes))
        more = self._recomputing(self.macs(max_extra_macs)) if max_extra_macs > 0 else ()
        return min((rows, *more), key=self.rank)

    def _rows_in_lots(self, max_extra_macs: float) -> Program:
        """Rows in the lots that kernels want, if there is room for them.

        Layers, then, if those take no more bytes: kernels with lots are slow without.
        """
        frugal = self.spare is none
        if frugal or all(call.lot == 1 for call in self.lowered.values()):
            return self._rows(max_extra_macs)
        rows = replace(self, lots=True)._rows(max_extra_macs)
        if self.room is not None and rows.arena_bytes > self.room:
            return self._rows(max_extra_macs)
        layers = self._assemble(layer_by_layer(self.graph, self.lowered))
        fed = any(call.kernel == FEED for call in self.lowered.values())
        return rows if fed or rows.arena_bytes < layers.arena_bytes else layers

    def _recomputing(self, most: int) -> Iterator[Program]:
        """The fewest bytes with at most so many extra multiplications, in strips or two passes."""
        twice = self.in_two_passes(most)
        for planner in [self] if twice is self else [self, twice]:
            point = least_bytes(planner.strip_costs(), most - planner.extra_macs)
            program = planner.in_strips(point)
            if program is not None:
                yield program
            elif planner is twice:
                yield planner._rows()

    def in_two_passes(self, most: int) -> Planner:
        """With those excitations run twice that set the peak, as long as that makes it less.

        Answers itself if there is none, or it would take more than `most` extra multiplications.
        """
        *_, planner = self, *self._stages(most)
        return planner

    def _stages(self, most: int) -> Iterator[Planner]:
        """With one excitation more in two passes each time, the one that saves most."""
        if self.lower is None or not any(True for _ in excitations(self.graph)):
            return
        planner, peak = self, least_bytes(self.strip_costs(), most)
        while True:
            options = [
                (least_bytes(other.strip_costs(), most - other.extra_macs), other)
                for other in map(planner.twice, planner._excitations_at(peak))
                if other.extra_macs <= most
            ]
            found = min(options, key=lambda option: option[0].bytes, default=None)
            if found is None or found[0].bytes >= peak.bytes:
                return
            peak, planner = found
            yield planner

    def _excitations_at(self, point: Point) -> list[Excitation]:
        """Those whose tensor is there in a segment that sets the peak."""
        lives = {life.home: life for life in self.costs().flow.lives}
        peaks = [s for s in point.segments if s.bytes >= point.bytes * (1 - CLOSE)]
        return [
            excitation
            for excitation in excitations(self.graph)
            for life in [lives.get(excitation.tensor)]
            if life and any(life.birth < s.end and s.begin <= life.death for s in peaks)
        ]

    def twice(self, excitation: Excitation) -> Planner:
        """For the graph in which this excitation takes two passes."""
        assert self.lower is not None
        graph = in_two_passes(self.graph, excitation)
        return replace(self, graph=graph, lowered=self.lower(graph), given_macs=self._given)

    @property
    def _given(self) -> int:
        return self.given_macs or total_macs(self.graph)

    @property
    def extra_macs(self) -> int:
        """Multiplications of the graph that the model as it was given hasn't."""
        return total_macs(self.graph) - self._given

    def in_strips(self, point: Point) -> Program | None:
        """The program of these cuts; None if nothing in it is in strips, or can't be lowered so."""
        tilings = point.tilings(list(self.lowered))
        if not tilings or self.lower is None:
            return None
        tiled = tile(self.graph, tilings)
        inner = replace(
            self, graph=tiled.graph, lowered=self.lower(tiled.graph), given_macs=self._given
        )
        parts = {
            tiling.nodes: numbers for tiling, numbers in zip(tilings, tiled.parts, strict=True)
        }
        nodes, cuts = list(self.lowered), []
        place = {number: position for position, number in enumerate(inner.lowered)}
        for segment in point.segments:
            own = tuple(nodes[segment.begin : segment.end])
            for numbers in parts.get(own, (tuple(tiled.kept.get(n, -1) for n in own),)):
                begin, end = place[numbers[0]], place[numbers[-1]] + 1
                patch = [(position, position + 1) for position in range(begin, end)]
                cuts += patch if segment.patch_rows else [(begin, end)]
        costs = inner.costs()
        places = costs.flow.places
        if any(addresses_part(inner.graph, call, places) for call in inner.lowered.values()):
            return None
        if any(costs.cost(begin, end) == UNREACHABLE for begin, end in cuts):
            return None
        schedule = schedule_segments(inner.graph, inner.lowered, cuts, costs.streamed)
        name = "patches" if any(s.patch_rows for s in point.segments) else "strips"
        return replace(inner._assemble(schedule), strategy=name)

    def strip_costs(self) -> StripCosts:
        """What segments in strips would take, and their extra arithmetic."""
        return self._strip_costs

    def patch_costs(self) -> StripCosts:
        """The same for patches and single nodes."""
        return StripCosts(self.costs(), self.graph, patches=True)

    def costs(self) -> SegmentCosts:
        """What each segment would take."""
        return self._costs

    @cached_property
    def _strip_costs(self) -> StripCosts:
        return StripCosts(self.costs(), self.graph)

    @cached_property
    def _costs(self) -> SegmentCosts:
        places = places_of(self.graph, self.lowered)

        def distance(node: int, home: int) -> int | None:
            if not self.overlap:
                return None
            return layer_distances(self.graph, self.lowered, node, places).get(home)

        @cache
        def scratch(node: int, alone: bool) -> int:
            call = self.lowered[node].choices[-1]
            return scratch_bytes(call if alone else streamed_call(self.graph, call, places))

        flow = make_flow(self.graph, self.lowered, self.lots)
        return SegmentCosts(flow, distance, scratch, self.alignment)

    def _assemble(self, schedule: Schedule) -> Program:
        return self._faster(schedule, self._least(schedule))

    def _least(self, schedule: Schedule) -> Program:
        """The smallest arena, by kernels that take least scratch."""
        return self._pack(schedule, frugal(self.lowered))

    def _faster(self, schedule: Schedule, least: Program) -> Program:
        """The same with faster kernels, as far as there is room for their scratch."""
        calls = frugal(self.lowered)
        limit = self.room or least.arena_bytes + self.spare(least.arena_bytes)
        chosen = calls_with_room(self.lowered, schedule, least.buffers, limit)
        if all(chosen[node] is call for node, call in calls.items()):
            return self._spread(schedule, calls, least)
        faster = self._pack(schedule, chosen)
        if faster.arena_bytes > max(limit, least.arena_bytes):
            return self._spread(schedule, calls, least)
        return self._spread(schedule, chosen, faster)

    def _spread(
        self, schedule: Schedule, calls: Mapping[int, Lowered], program: Program
    ) -> Program:
        """The same over the memories that were granted; as it is if there are none, or no room."""
        if not self.memories:
            return program
        with suppress(NoRoom):
            return self._pack(schedule, calls, self.memories)
        return program

    def _pack(
        self, schedule: Schedule, calls: Mapping[int, Lowered], memories: Sequence[Grant] = ()
    ) -> Program:
        settings = self.target, self.alignment, self.exact, self.overlap, memories
        # Apart from all others a buffer stays in the caches of those who made it.
        for linger in (len(schedule.items), LINGER) if self.apart else (0,):
            program = assemble(self.graph, calls, schedule, *settings, linger)
            if program.arena_bytes <= APART_BYTES:
                break
        return replace(program, extra_macs=self.extra_macs)
