"""Published planners that split layers over several devices: `TILE_ALGORITHMS[name](problem)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ....runtime.errors import TargetError
from ..tiles.plan import TilePlan, TileProblem
from .adcnn import adcnn
from .aofl import aofl, dpfp
from .coedge import coedge
from .deepslicing import deepslicing
from .deepthings import deepthings
from .mednn import mednn
from .modnn import modnn

TILE_ALGORITHMS: Mapping[str, Callable[[TileProblem], TilePlan]] = {
    "modnn": modnn,
    "mednn": mednn,
    "deepthings": deepthings,
    "aofl": aofl,
    "dpfp": dpfp,
    "deepslicing": deepslicing,
    "coedge": coedge,
    "adcnn": adcnn,
}


def plan_tiles(algorithm: str, problem: TileProblem) -> TilePlan:
    """The plan of a named algorithm; `TargetError` for an unknown name."""
    if algorithm not in TILE_ALGORITHMS:
        raise TargetError(
            f"there is no algorithm {algorithm!r} for several devices; there are "
            + ", ".join(sorted(TILE_ALGORITHMS))
        )
    return TILE_ALGORITHMS[algorithm](problem)
