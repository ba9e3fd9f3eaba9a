"""What the tile planners share: rows by capability, steps in strips, places to cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..tiles.boxes import Box, whole
from ..tiles.plan import GATEWAY, Step, Tile, TileProblem

ROWS, COLUMNS = 0, 1


def shares(total: int, weights: Sequence[float]) -> list[int]:
    """`total` in proportion to the weights, by the largest remainder, each within one."""
    exact = [total * weight / sum(weights) for weight in weights]
    counts = [int(x) for x in exact]
    order = sorted(range(len(exact)), key=lambda i: (counts[i] - exact[i], i))
    for i in order[: total - sum(counts)]:
        counts[i] += 1
    return counts


def cut_along(box: Box, axis: int, counts: Sequence[int]) -> list[Box | None]:
    """A box in strips of so many rows (axis 0) or columns; None for those that get none."""
    found: list[Box | None] = []
    at = box[axis][0]
    for count in counts:
        edges = (at, at + count)
        found.append(None if not count else (edges, box[1]) if axis == ROWS else (box[0], edges))
        at += count
    return found


def alone(problem: TileProblem, nodes: Sequence[int], device: int = GATEWAY) -> Step:
    """All nodes on one device."""
    geometry = problem.geometry
    return Step((Tile(device, tuple((n, geometry.whole[geometry.output(n)]) for n in nodes)),))


def tiled(
    problem: TileProblem, nodes: Sequence[int], parts: Sequence[tuple[int, Box]], kept: bool = False
) -> Step | None:
    """The nodes fused, each device with its box of the last one's output; None if one can't be."""
    tiles = []
    for device, box in parts:
        boxes = problem.geometry.trace(nodes, box)
        if boxes is None:
            return None
        tiles.append(Tile(device, tuple(boxes.items())))
    return Step(tuple(tiles), kept)


def in_strips(
    problem: TileProblem,
    nodes: Sequence[int],
    devices: Sequence[int],
    weights: Sequence[float] | None = None,
    kept: bool = False,
    axis: int | None = None,
) -> Step | None:
    """Strips in proportion to speed (or `weights`), along the longer side unless `axis` says."""
    if not problem.geometry.is_segment(nodes):
        return None
    tensor = problem.graph.tensors[problem.geometry.output(nodes[-1])]
    box = whole(tensor)
    chosen = axis if axis is not None else ROWS if box[0][1] >= box[1][1] else COLUMNS
    speeds = weights or [problem.devices[d].speed for d in devices]
    boxes = cut_along(box, chosen, shares(box[chosen][1], speeds))
    parts = [(d, part) for d, part in zip(devices, boxes, strict=True) if part is not None]
    return tiled(problem, nodes, parts, kept)


def layers(problem: TileProblem) -> Iterator[list[int]]:
    """Nodes that can be made in parts one by one, the others in runs."""
    run: list[int] = []
    for number in range(len(problem.graph.nodes)):
        if problem.geometry.is_segment([number]):
            if run:
                yield run
            run = []
            yield [number]
        else:
            run.append(number)
    if run:
        yield run


def cut_points(problem: TileProblem) -> list[int]:
    """Numbers of nodes before which one tensor alone is alive: where a graph is a chain."""
    graph = problem.graph
    readers = {t: graph.consumers[t] for t in graph.tensors if graph.is_activation(t)}
    made = {t: i for i, node in enumerate(graph.nodes) for t in node.outputs}
    points = [0]
    for point in range(1, len(graph.nodes)):
        alive = [t for t, read in readers.items() if read and made.get(t, -1) < point <= read[-1]]
        if alive == [problem.geometry.output(point - 1)]:
            points.append(point)
    return [*points, len(graph.nodes)]


def prefix_points(problem: TileProblem) -> list[int]:
    """Ends of the prefixes that can be made in parts as a whole."""
    points = cut_points(problem)
    return [p for p in points[1:] if problem.geometry.is_segment(range(p))]
