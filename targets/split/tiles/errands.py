"""What each device is told to do, from a plan: the pieces that it gets, gives and keeps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .plan import GATEWAY, Step, TileProblem
from .route import Fetch, Route
from .task import Piece, Task


@dataclass(frozen=True)
class Errand:
    """One tile's task, and the pieces that the gateway sends along.

    `bound`: it needs or leaves tiles on its device, so that no other can do it.
    """

    device: int
    task: Task
    given: tuple[Piece, ...]
    bound: bool


def errands(problem: TileProblem, steps: Iterable[Step]) -> list[list[Errand]]:
    """What each device is told, step by step: its boxes, what it gets, gives and keeps."""
    route = Route.start(problem)
    given: list[list[list[Piece]]] = []
    gives: dict[tuple[int, int], list[Piece]] = {}
    bounds: set[tuple[int, int]] = set()
    chosen = list(steps)
    for number, step in enumerate(chosen):
        taken = route.take(step)
        given.append([])
        for index, tile in enumerate(step.tiles):
            given[-1].append([])
            if not step.kept:
                for tensor in route.leaving(step, tile):
                    piece = (tensor, route.box_of(tile, tensor))
                    gives.setdefault((number, index), []).append(piece)
            for fetch in taken[index]:
                if fetch.source.device != tile.device or tile.device == GATEWAY:
                    given[-1][-1].append((fetch.tensor, fetch.box))
                else:
                    bounds.add((number, index))
                _ask(gives, fetch, tile.device)
    for fetch in route.finish():
        _ask(gives, fetch, GATEWAY)
    told: list[list[Errand]] = []
    for number, step in enumerate(chosen):
        told.append([])
        for index, tile in enumerate(step.tiles):
            keep = route.leaving(step, tile) if step.kept else ()
            give = tuple(dict.fromkeys(gives.get((number, index), ())))
            task = Task(tile.boxes, give, tuple(keep), step.isolated)
            pieces = tuple(given[number][index])
            bound = step.kept or (number, index) in bounds
            told[-1].append(Errand(tile.device, task, pieces, bound))
    return told


def _ask(gives: dict[tuple[int, int], list[Piece]], fetch: Fetch, device: int) -> None:
    """Let the maker of a piece send it, unless it is where it is needed or the gateway has it."""
    source = fetch.source
    if source.errand is None or source.given or source.device == device:
        return
    gives.setdefault(source.errand, []).append((fetch.tensor, fetch.box))
