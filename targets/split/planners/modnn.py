"""MoDNN: Mao et al., "MoDNN: Local Distributed Mobile Computing System for Deep Neural Network",
DATE 2017. Its clustering of sparse dense layers is in `modnn_dense.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..tiles.loads import within_memory
from ..tiles.plan import Step, TilePlan, TileProblem
from ..tiles.route import priced
from .strips import alone, in_strips, layers


def modnn(problem: TileProblem) -> TilePlan:
    """Each layer in strips along its longer side, by capability, mapped out and reduced (BODP)."""
    return within_memory(
        problem, lambda devices: priced(problem, "modnn", _steps(problem, devices))
    )


def _steps(problem: TileProblem, devices: Sequence[int]) -> list[Step]:
    return [
        in_strips(problem, nodes, devices) or alone(problem, nodes) for nodes in layers(problem)
    ]
