"""Graphs with early exits: which outputs are exits, how sure they are, when to leave.

- BranchyNet: Teerapittayanon, McDanel, Kung, ICPR 2016 (entropy against a threshold of each exit).
- SPINN: Laskaridis et al., MobiCom 2020 (the greatest probability).

An exit is an output of the graph that holds probabilities; all exits have the same shape. Its depth
is the work of the nodes that feed it, and exits are numbered by it, the shallowest first.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...runtime.errors import InputError, TargetError
from ...runtime.graph import Graph, Tensor
from ...runtime.ops import OPERATORS
from .cut import stateful_nodes

MEASURES = ("entropy", "top")
CANDIDATES = 40_000  # combinations of thresholds that are tried


@dataclass(frozen=True)
class ExitPoint:
    """`nodes` feed the output tensor `output`; the first `trunk` of them feed deeper exits too."""

    output: int
    nodes: tuple[int, ...]
    trunk: tuple[int, ...]
    macs: int


def exits_of(graph: Graph) -> tuple[ExitPoint, ...]:
    """The exits, the shallowest first; `TargetError` if the graph has none beside its end."""
    shapes = {graph.tensors[t].shape for t in graph.outputs}
    if len(graph.outputs) < 2 or len(shapes) > 1:
        raise TargetError(
            f"a model with early exits has several outputs of one shape, and this one has "
            f"{len(graph.outputs)} of {len(shapes)}"
        )
    if stateful_nodes(graph):
        raise TargetError("a model with state can't leave early: its state would miss a step")
    fed = {t: ancestors(graph, t) for t in graph.outputs}
    macs = {t: sum(_macs(graph, n) for n in nodes) for t, nodes in fed.items()}
    order = sorted(graph.outputs, key=lambda t: (macs[t], len(fed[t])))
    last = fed[order[-1]]
    points = []
    for t in order:
        trunk = tuple(n for n in fed[t] if n in last) if t != order[-1] else fed[t]
        points.append(ExitPoint(t, fed[t], trunk, macs[t]))
    return tuple(points)


def ancestors(graph: Graph, tensor: int) -> tuple[int, ...]:
    """The nodes that a tensor needs, in order."""
    needed, wanted = [], {tensor}
    for number in reversed(range(len(graph.nodes))):
        node = graph.nodes[number]
        if wanted & set(node.outputs):
            needed.append(number)
            wanted.update(node.operands)
    return tuple(reversed(needed))


def _macs(graph: Graph, number: int) -> int:
    node = graph.nodes[number]
    return OPERATORS[node.op].macs(graph, node)


def part_of(graph: Graph, nodes: Iterable[int]) -> Graph:
    """Some nodes as a graph: what they read from others is its inputs, what leaves its outputs."""
    chosen = sorted(nodes)
    inside = set(chosen)
    made = [t for i in chosen for t in graph.nodes[i].outputs]
    read = dict.fromkeys(t for i in chosen for t in graph.nodes[i].operands)
    inputs = [t for t in read if t not in set(made) and not graph.tensors[t].constant]
    leaving = [
        t
        for t in made
        if t in graph.outputs or any(reader not in inside for reader in graph.consumers[t])
    ]
    return graph.with_nodes(
        [graph.nodes[i] for i in chosen],
        inputs=tuple(inputs),
        outputs=tuple(leaving),
        fixed_inputs={t: v for t, v in graph.fixed_inputs.items() if t in inputs},
    )


def probabilities(answer: np.ndarray, tensor: Tensor) -> np.ndarray:
    """An exit's answer [..., classes] as float64 that sums to 1 over the classes."""
    real = answer.astype(np.float64)
    if tensor.quantization is not None and answer.dtype.kind in "iu":
        real = (real - tensor.zero_point) * tensor.scale
    real = np.clip(real, 0.0, None).reshape(-1, answer.shape[-1])
    return real / np.maximum(real.sum(1, keepdims=True), 1e-12)


def confidence(shares: np.ndarray, measure: str) -> np.ndarray:
    """How sure each row is, 0 to 1: its greatest share, or 1 - its entropy / log(classes)."""
    if measure == "top":
        return np.asarray(shares.max(1))
    logs = np.log(np.where(shares > 0, shares, 1.0))
    return np.asarray(1.0 + (shares * logs).sum(1) / np.log(max(shares.shape[1], 2)))


@dataclass(frozen=True)
class ExitRules:
    """Thresholds of all exits but the last: at exit i an answer leaves if it is that sure.

    `shares`, `accuracies` are of the calibration set: of all answers, those that leave at each exit
    and of each exit, on its own, those that are right; `accuracy` is the whole policy's.
    """

    sha256: str
    measure: str
    thresholds: tuple[float, ...]
    shares: tuple[float, ...]
    accuracies: tuple[float, ...]
    accuracy: float
    mean_macs: float
    samples: int
    # One threshold for all exits: (threshold, shares, accuracy), which SPINN chooses from.
    table: tuple[tuple[float, tuple[float, ...], float], ...] = ()

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @staticmethod
    def load(path: Path, graph: Graph) -> ExitRules:
        """`InputError` if it is no such file, or one of another model."""
        try:
            read: dict[str, Any] = json.loads(path.read_text())
            table = tuple((float(t), tuple(s), float(a)) for t, s, a in read.pop("table"))
            lists = {k: tuple(map(float, v)) for k, v in read.items() if isinstance(v, list)}
            rules = ExitRules(**(read | lists | {"table": table}))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}: not thresholds of `midge split exits MODEL -o F.json` ({error})"
            ) from None
        if rules.sha256 != graph.sha256 or len(rules.thresholds) != len(graph.outputs) - 1:
            raise InputError(f"{path}: thresholds of model {rules.sha256[:12]}, not of this one")
        return rules


def tune(
    graph: Graph,
    answers: Sequence[np.ndarray],
    labels: np.ndarray,
    loss: float = 0.0,
    measure: str = "entropy",
) -> ExitRules:
    """The thresholds of least mean work whose accuracy is at most `loss` below the last exit's.

    `answers[i]` are exit i's probabilities [samples, classes]. All combinations of the quantiles of
    each exit's confidence are compared; the exits that nothing passes are left at a threshold of 2.
    """
    exits = exits_of(graph)
    sure = np.stack([confidence(a, measure) for a in answers])
    right = np.stack([a.argmax(1) == labels for a in answers])
    macs = np.array([e.macs for e in exits], float)
    wanted = right[-1].mean() - loss - 1e-12
    early = len(exits) - 1
    points = max(2, int(CANDIDATES ** (1 / early)) if early > 1 else 400)
    grids = [
        [*np.unique(np.quantile(sure[i], np.linspace(0, 1, min(points, 60)))), 2.0]
        for i in range(early)
    ]
    best: tuple[float, float, tuple[float, ...]] | None = None
    for thresholds in itertools.product(*grids):
        left = leaves_at(sure, thresholds)
        accuracy = right[left, np.arange(len(labels))].mean()
        found = (float(macs[left].mean()), -float(accuracy), thresholds)
        if accuracy >= wanted and (best is None or found < best):
            best = found
    assert best is not None, "leaving at the last exit only is always allowed"
    table = [
        (t, *outcome(sure, right, (t,) * early)) for t in np.round(np.linspace(0.5, 1.0, 11), 3)
    ]
    shares, accuracy = outcome(sure, right, best[2])
    return ExitRules(
        graph.sha256,
        measure,
        tuple(map(float, best[2])),
        shares,
        tuple(map(float, right.mean(1))),
        accuracy,
        best[0],
        len(labels),
        tuple((float(t), s, a) for t, s, a in table),
    )


def leaves_at(sure: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """The exit of each sample: the first whose confidence reaches its threshold, else the last."""
    passed = sure[:-1] >= np.asarray(thresholds)[:, None]
    return np.where(passed.any(0), passed.argmax(0), len(sure) - 1)


def outcome(
    sure: np.ndarray, right: np.ndarray, thresholds: Sequence[float]
) -> tuple[tuple[float, ...], float]:
    """(share of answers that leave at each exit, accuracy)."""
    left = leaves_at(sure, thresholds)
    shares = tuple(float((left == i).mean()) for i in range(len(sure)))
    return shares, float(right[left, np.arange(right.shape[1])].mean())
