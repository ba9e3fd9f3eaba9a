"""ADCNN: Zhang et al., "Adaptive Distributed Convolutional Neural Network Inference at the Network
Edge with ADCNN", ICPP 2020: fully decomposable tiles (FDSP).

The answers are not the model's: a tile sees zeros where its neighbours are, and the paper retrains
the network for that. A plan says so (`identical`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ....runtime.errors import TargetError
from ..tiles.boxes import Box
from ..tiles.loads import fitting, tile_bytes
from ..tiles.plan import Step, Tile, TilePlan, TileProblem
from ..tiles.route import priced
from .deepthings import grid_of
from .strips import alone, prefix_points

GRIDS = ((2, 2), (2, 1), (1, 2))


def adcnn(problem: TileProblem) -> TilePlan:
    """A prefix in equal tiles without halos, the rest on the gateway. NOT identical to the model.

    `extras["grid"]` (default 2 x 2, or what divides), `extras["layers"]` (default: the longest
    prefix whose maps the grid divides) and `extras["rates"]`, the measured `Rates`.
    """
    grids = [tuple(problem.extras["grid"])] if "grid" in problem.extras else GRIDS
    for rows, columns in grids:
        for point in reversed(prefix_points(problem)):
            if point != problem.extras.get("layers", point):
                continue
            tiles = isolated_tiles(problem, point, rows, columns)
            if tiles is not None:
                return _plan(problem, point, (rows, columns), tiles)
    raise TargetError(
        "adcnn needs a prefix of padded layers whose maps the grid divides; there is none"
    )


def _plan(
    problem: TileProblem, point: int, grid: tuple[int, int], tiles: Sequence[dict[int, Box]]
) -> TilePlan:
    rates = problem.extras.get("rates") or Rates({
        number: device.speed for number, device in enumerate(problem.devices)
    })  # fmt: skip
    needed = max(tile_bytes(problem, Tile(0, tuple(boxes.items()))) for boxes in tiles)
    room = {
        number: None if device.memory_bytes is None else device.memory_bytes // needed
        for number, device in enumerate(problem.devices)
    }
    owners = rates.allocate(len(tiles), room)
    parts = tuple(
        Tile(device, tuple(boxes.items())) for device, boxes in zip(owners, tiles, strict=True)
    )
    steps = [Step(parts, isolated=True)]
    if point < len(problem.graph.nodes):
        steps.append(alone(problem, range(point, len(problem.graph.nodes))))
    same = all(
        problem.geometry.needs(n, box) == problem.geometry.isolated.needs(n, box)
        for tile in parts
        for n, box in tile.boxes
    )
    return fitting(problem, priced(problem, "adcnn", steps, same, grid=grid, layers=point))


def isolated_tiles(
    problem: TileProblem, point: int, rows: int, columns: int
) -> list[dict[int, Box]] | None:
    """Boxes of each tile at each node; None if the grid doesn't divide every map."""
    geometry = problem.geometry
    found: list[dict[int, Box]] = [{} for _ in range(rows * columns)]
    for number in range(point):
        (_, height), (_, width) = geometry.whole[geometry.output(number)]
        if height % rows or width % columns or not geometry.isolated.legal(number):
            return None
        boxes = grid_of(geometry.whole[geometry.output(number)], rows, columns)
        for boxes_of, box in zip(found, boxes.values(), strict=True):
            boxes_of[number] = box
    return found


@dataclass
class Rates:
    """Results that each device returned within the time limit, smoothed: s <- (1-g) s + g n."""

    values: dict[int, float]
    weight: float = 0.3
    counts: dict[int, int] = field(default_factory=dict)  # of the last allocation

    def observe(self, returned: Mapping[int, float]) -> None:
        for device, count in returned.items():
            old = self.values.get(device, 0.0)
            self.values[device] = (1 - self.weight) * old + self.weight * count

    def allocate(self, tiles: int, room: dict[int, int | None]) -> list[int]:
        """The device of each tile, one by one to the least (x + 1) / s with room for it."""
        self.counts = dict.fromkeys(self.values, 0)
        owners = []
        for _ in range(tiles):
            open_ = [
                d
                for d, speed in self.values.items()
                if speed > 0 and (room.get(d) is None or self.counts[d] < (room[d] or 0))
            ]
            if not open_:
                raise TargetError("the devices' memories can't hold all tiles; use smaller tiles")
            device = min(open_, key=lambda d: ((self.counts[d] + 1) / self.values[d], d))
            self.counts[device] += 1
            owners.append(device)
        return owners
