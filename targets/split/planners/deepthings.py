"""DeepThings: Zhao, Barijough, Gerstlauer, "DeepThings: Distributed Adaptive Deep Learning
Inference on Resource-Constrained IoT Edge Clusters", IEEE TCAD 2018: fused tiles with reuse of
their halos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ....runtime.errors import TargetError
from ..tiles.boxes import Box, hull, minus
from ..tiles.loads import excess, tile_bytes
from ..tiles.plan import Step, Tile, TilePlan, TileProblem
from ..tiles.route import Route, priced
from .strips import alone, prefix_points

GRIDS = ((1, 2), (2, 1), (2, 2), (2, 3), (3, 3), (4, 4))


def deepthings(problem: TileProblem) -> TilePlan:
    """A fused prefix in a grid of tiles (FTP); tiles between others reuse what those made.

    `extras["grid"]` (rows, columns), `extras["layers"]` (nodes of the prefix) and `extras["reuse"]`
    (True unless stated) fix what is otherwise searched for the least predicted latency. Idle
    devices take tiles from the queues of others, so plan and run may differ in who made which.
    """
    points = [p for p in prefix_points(problem) if p == problem.extras.get("layers", p)]
    grids = [problem.extras["grid"]] if "grid" in problem.extras else GRIDS
    reuse = bool(problem.extras.get("reuse", True))
    best = None
    for point in points:
        for grid in grids:
            plan = _plan(problem, point, tuple(grid), reuse)
            if plan is None or any(over > 0 for over in excess(problem, plan.steps).values()):
                continue
            if best is None or plan.predicted_ms < best.predicted_ms:
                best = plan
    if best is None:
        raise TargetError(
            "deepthings needs a prefix of layers that can be made in tiles, and tiles that fit "
            "into the devices' memories; there is none"
        )
    return best


def _plan(problem: TileProblem, point: int, grid: tuple[int, int], reuse: bool) -> TilePlan | None:
    nodes = range(point)
    geometry = problem.geometry
    boxes = grid_of(geometry.whole[geometry.output(point - 1)], *grid)
    full = {place: geometry.trace(nodes, box) for place, box in boxes.items()}
    if any(made is None for made in full.values()):
        return None
    traced = {place: made for place, made in full.items() if made is not None}
    even = [place for place in traced if not reuse or sum(place) % 2 == 0]
    odd = [place for place in traced if place not in even]
    less = {place: _reusing(problem, nodes, traced, place) for place in odd}
    steps = [_queued(problem, [traced[place] for place in even], bool(odd))]
    if odd:
        steps.append(_queued(problem, [less[place] for place in odd], True))
    if point < len(problem.graph.nodes):
        steps.append(alone(problem, range(point, len(problem.graph.nodes))))
    memory = max(tile_bytes(problem, t) for step in steps[: 2 if odd else 1] for t in step.tiles)
    return priced(
        problem, "deepthings", steps, grid=grid, layers=point, reuse=reuse, tile_bytes=memory,
        stealing=True,
    )  # fmt: skip


def grid_of(box: Box, rows: int, columns: int) -> dict[tuple[int, int], Box]:
    """Tiles of equal size, the last ones with the rest; empty ones are dropped."""
    sizes = [-(-end // parts) for (_, end), parts in zip(box, (rows, columns), strict=True)]
    tiles = {}
    for i in range(rows):
        for j in range(columns):
            (top, bottom), (left, right) = (
                (at * size, min((at + 1) * size, end))
                for at, size, (_, end) in zip((i, j), sizes, box, strict=True)
            )
            if top < bottom and left < right:
                tiles[i, j] = ((top, bottom), (left, right))
    return tiles


def _reusing(
    problem: TileProblem,
    nodes: Sequence[int],
    traced: Mapping[tuple[int, int], Mapping[int, Box]],
    place: tuple[int, int],
) -> dict[int, Box]:
    """The boxes of a tile without what the four tiles round it have made already."""
    geometry = problem.geometry
    i, j = place
    near = [p for p in ((i, j - 1), (i, j + 1), (i - 1, j), (i + 1, j)) if p in traced]
    wanted = {geometry.output(nodes[-1]): [traced[place][nodes[-1]]]}
    boxes = {}
    for number in reversed(nodes):
        asked = wanted.get(geometry.output(number))
        box = hull(asked) if asked else None
        for neighbour in near if number != nodes[-1] else ():
            left = minus(box, traced[neighbour][number]) if box else []
            box = None if not left else left[0] if len(left) == 1 else box
        if box is None:
            continue
        boxes[number] = box
        for tensor, need in (geometry.needs(number, box) or {}).items():
            wanted.setdefault(tensor, []).append(need)
    return {number: boxes[number] for number in nodes if number in boxes}


def _queued(problem: TileProblem, tiles: Sequence[Mapping[int, Box]], shared: bool) -> Step:
    """Each tile, the largest first, to the device that is done with it soonest."""
    route = Route.start(problem)
    busy = [0.0] * len(problem.devices)
    found = []
    costs = [route.compute_ms(Tile(0, tuple(boxes.items()))) for boxes in tiles]
    for index in sorted(range(len(tiles)), key=lambda i: -costs[i]):
        work = costs[index] * problem.devices[0].speed
        device = min(range(len(busy)), key=lambda d: (busy[d] + work / problem.devices[d].speed, d))
        busy[device] += work / problem.devices[device].speed
        found.append(Tile(device, tuple(tiles[index].items())))
    return Step(tuple(found), shared=shared)
