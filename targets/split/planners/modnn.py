"""MoDNN: Mao et al., "MoDNN: Local Distributed Mobile Computing System for Deep Neural Network",
DATE 2017. Its clustering of pruned dense layers is in `modnn_dense.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..tiles.loads import within_memory
from ..tiles.plan import Step, TilePlan, TileProblem
from ..tiles.route import priced
from .modnn_dense import deploy
from .strips import alone, in_strips, layers


def modnn(problem: TileProblem) -> TilePlan:
    """Each layer in strips along its longer side, by capability, mapped out and reduced (BODP).

    `evidence["dense"]` has who would multiply how many weights of each pruned dense layer, and the
    inputs that would be sent for it; the plan itself leaves such layers to the gateway.
    """
    dense = list(_pruned(problem))
    return within_memory(
        problem, lambda devices: priced(problem, "modnn", _steps(problem, devices), dense=dense)
    )


def _pruned(problem: TileProblem) -> Iterator[dict[str, Any]]:
    speeds = [device.speed for device in problem.devices]
    for number, node in enumerate(problem.graph.nodes):
        weights = problem.graph.input(node, 1).data if node.op == "fully_connected" else None
        if weights is None or np.count_nonzero(weights) * 2 > weights.size:
            continue
        made = deploy(weights, speeds)
        devices = range(len(speeds))
        yield {
            "node": number,
            "products": [int((made.where == device).sum()) for device in devices],
            "remote_inputs": [len(made.remote_inputs(device)) for device in devices],
        }


def _steps(problem: TileProblem, devices: Sequence[int]) -> list[Step]:
    return [
        in_strips(problem, nodes, devices) or alone(problem, nodes) for nodes in layers(problem)
    ]
