"""What tiles take of a device: arithmetic done twice, and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ....runtime.errors import TargetError
from ....runtime.ops import macs
from .boxes import area, bytes_of
from .plan import Step, Tile, TilePlan, TileProblem

NO_ROOM = "no plan fits into the devices' memories; give them more or add devices"


def extra_macs(problem: TileProblem, steps: Iterable[Step]) -> int:
    """Multiplications of all tiles together beyond the model's."""
    graph, geometry = problem.graph, problem.geometry
    done: dict[int, int] = {}
    for step in steps:
        for tile in step.tiles:
            for number, box in tile.boxes:
                done[number] = done.get(number, 0) + area(box)
    extra = 0
    for number, pixels in done.items():
        full = area(geometry.whole[geometry.output(number)])
        extra += macs(graph, graph.nodes[number]) * (pixels - full) // full
    return extra


def within_memory(problem: TileProblem, make: Callable[[tuple[int, ...]], TilePlan]) -> TilePlan:
    """The plan that `make(devices)` gives for those that can hold their tiles.

    The device that is furthest over its memory is left out, and the plan made again.
    """
    left = tuple(range(len(problem.devices)))
    while left:
        plan = make(left)
        over = {d: e for d, e in excess(problem, plan.steps).items() if e > 0}
        if not over:
            return plan
        over = {d: e for d, e in over.items() if d in left}
        if not over:  # what the gateway must do in any plan is too large for it
            break
        worst = max(over, key=lambda d: over[d])
        left = tuple(d for d in left if d != worst)
    raise TargetError(NO_ROOM)


def fitting(problem: TileProblem, plan: TilePlan) -> TilePlan:
    """The plan, if every device can hold its tiles."""
    if any(over > 0 for over in excess(problem, plan.steps).values()):
        raise TargetError(NO_ROOM)
    return plan


def excess(problem: TileProblem, steps: Iterable[Step]) -> dict[int, int]:
    """By how many bytes each device's largest tile passes its memory."""
    over: dict[int, int] = {}
    for step in steps:
        for tile in step.tiles:
            limit = problem.devices[tile.device].memory_bytes
            if limit is not None:
                needed = tile_bytes(problem, tile) - limit
                over[tile.device] = max(over.get(tile.device, needed), needed)
    return over


def tile_bytes(problem: TileProblem, tile: Tile) -> int:
    """Memory of a tile: the most that a layer's input and output boxes and its weights take."""
    graph, geometry = problem.graph, problem.geometry
    most = 0
    for number, box in tile.boxes:
        needs = geometry.needs(number, box) or {}
        size = sum(bytes_of(graph.tensors[t], b) for t, b in needs.items())
        size += bytes_of(graph.tensors[geometry.output(number)], box)
        operands = dict.fromkeys(graph.nodes[number].operands)
        size += sum(graph.tensors[t].bytes for t in operands if graph.tensors[t].constant)
        most = max(most, size)
    return most
