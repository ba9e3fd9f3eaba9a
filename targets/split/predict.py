"""What a model costs on a machine that isn't at hand, predicted kernel by kernel.

In the manner of nn-Meter (Zhang et al., MobiSys 2021): the unit is the kernel, fused as midge fuses
it, each kind has a regression of its own, and a model is the sum. The regressions are linear with
coefficients of at least 0 over what a kernel does (products, elements in and out, patches,
weights), fitted to relative errors, so that small kernels count as much as large ones: PALEO's
terms rather than nn-Meter's forests, since a few hundred kernels of our own profiles must do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np

from ...runtime.errors import InputError, TargetError
from ...runtime.graph import Graph, Node
from ...runtime.ops import OPERATORS
from ...runtime.options import Options
from ...runtime.pipeline import compile_graph
from ...runtime.program import Program
from .costs import Profile

TERMS = ("once", "macs", "inputs", "outputs", "patches", "weights")
LEAST = 8  # kernels of a kind, or it is predicted with all of its operator
RIDGE = 1e-4
OTHER = "other"


@dataclass(frozen=True)
class Sample:
    """A kernel that was measured: its kinds, the most particular first, its terms and its cost."""

    model: str
    kinds: tuple[str, ...]
    terms: tuple[float, ...]
    cost: float


def kinds_of(node: Node, kernel: str) -> tuple[str, ...]:
    """A kernel with its stride, the kernel, the operator, and everything.

    That ReLU is fused makes no kind of its own.
    """
    name = kernel.replace("_relu", "")
    stride = getattr(node.attrs, "stride", None)
    particular = (f"{name} stride {stride[0]}",) if stride is not None else ()
    return *particular, name, node.op, OTHER


def terms_of(graph: Graph, node: Node) -> tuple[float, ...]:
    """`TERMS` of a node."""
    products = OPERATORS[node.op].macs(graph, node)
    inputs = sum(graph.tensors[t].elements for t in node.operands if graph.is_activation(t))
    outputs = sum(graph.tensors[t].elements for t in node.outputs)
    channels = graph.tensors[node.outputs[0]].shape[-1:] or (1,)
    weights = sum(graph.tensors[t].elements for t in node.operands if graph.tensors[t].constant)
    return (
        1.0, float(products), float(inputs), float(outputs), products / channels[0], float(weights)
    )  # fmt: skip


def kernels_of(program: Program) -> Mapping[int, str]:
    """The kernel that makes each node; views have none."""
    return {call.node: call.kernel for call in program.calls()}


def samples_of(model: str, program: Program, node_costs: Mapping[int, float]) -> list[Sample]:
    """The kernels of a profiled model, those that cost nothing left out."""
    graph, kernels = program.graph, kernels_of(program)
    return [
        Sample(model, kinds_of(node, kernels[n]), terms_of(graph, node), cost)
        for n, cost in sorted(node_costs.items())
        for node in [graph.nodes[n]]
        if cost > 0
    ]


@dataclass(frozen=True)
class Predictor:
    """`coefficients[kind]` of `TERMS`, in `unit` (ms or instructions) of `target`.

    `cycles`: clock cycles of one unit, the mean of the models that it was trained on. `held_out`:
    the mean and the worst error of the sums of models that it was trained without, as shares.
    """

    target: str
    unit: str
    coefficients: Mapping[str, tuple[float, ...]]
    models: tuple[str, ...]
    cycles: float = 1.0
    held_out: tuple[float, float] | None = None

    def remarks(self, graph: Graph) -> list[str]:
        """How far the prediction can be trusted: its error elsewhere, and what is new to it."""
        told = ["predicted, and never held against a measurement"]
        if self.held_out is not None:
            mean, worst = self.held_out
            told = [
                f"predicted: sums of models that were held out were off by {mean:.1%} in the mean, "
                f"by {worst:.1%} at worst"
            ]
        program = compile_graph(graph, self.target, Options(strategy="layers"))
        costs = self.node_costs(graph)
        new: dict[str, float] = {}
        for n, kernel in kernels_of(program).items():
            particular = kinds_of(program.graph.nodes[n], kernel)[:-2]
            if not any(kind in self.coefficients for kind in particular):
                new[kernel] = new.get(kernel, 0.0) + costs[n]
        if new:
            told.append(
                f"{sum(new.values()) / max(sum(costs), 1e-30):.0%} of it is in kernels of which it "
                f"saw fewer than {LEAST}: {', '.join(sorted(new))}"
            )
        return told

    def node_costs(self, graph: Graph) -> list[float]:
        """The predicted cost of each node, by the kernels that the target would run it with."""
        program = compile_graph(graph, self.target, Options(strategy="layers"))
        costs = [0.0] * len(graph.nodes)
        for n, kernel in kernels_of(program).items():
            node = program.graph.nodes[n]
            costs[n] = self.cost(kinds_of(node, kernel), terms_of(program.graph, node))
        return costs

    def cost(self, kinds: Sequence[str], terms: Sequence[float]) -> float:
        kind = next((k for k in kinds if k in self.coefficients), None)
        if kind is None:
            raise TargetError(f"this predictor was trained without {kinds[-2]}; train it on more")
        pairs = zip(self.coefficients[kind], terms, strict=True)
        return sum(coefficient * term for coefficient, term in pairs)

    def profile(self, graph: Graph, hz: float | None = None) -> Profile:
        """A profile as if it had been measured; other units than ms need a clock."""
        if self.unit != "ms" and hz is None:
            raise TargetError(
                f"the predictor of {self.target} is in {self.unit}: name the board (--board), "
                "whose clock makes them milliseconds"
            )
        factor = 1.0 if self.unit == "ms" else 1e3 * self.cycles / (hz or 1.0)
        costs = [factor * cost for cost in self.node_costs(graph)]
        return Profile(
            graph.sha256, f"{self.target}, predicted", tuple(accumulate(costs, initial=0.0))
        )

    def save(self, path: Path) -> None:
        rounded = {k: [float(f"{c:.4g}") for c in v] for k, v in self.coefficients.items()}
        lines = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in rounded.items())
        head = json.dumps(asdict(self) | {"coefficients": 0}, indent=1)
        path.write_text(
            head.replace('"coefficients": 0', f'"coefficients": {{\n{lines}\n }}') + "\n"
        )

    @staticmethod
    def load(path: Path) -> Predictor:
        """`InputError` if it is no predictor."""
        try:
            read = json.loads(path.read_text())
            found = {str(k): tuple(map(float, v)) for k, v in read["coefficients"].items()}
            if any(len(v) != len(TERMS) or not np.isfinite(v).all() for v in found.values()):
                raise ValueError("a kind has other terms")
            models = tuple(map(str, read["models"]))
            cycles, errors = float(read["cycles"]), read["held_out"]
            held_out = None if errors is None else (float(errors[0]), float(errors[1]))
            target, unit = str(read["target"]), str(read["unit"])
            return Predictor(target, unit, found, models, cycles, held_out)
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}: not a predictor of `python -m midge.tools.split_predictor` ({error})"
            ) from None


def train(target: str, unit: str, samples: Iterable[Sample], cycles: float = 1.0) -> Predictor:
    """A regression for each kind of which there are enough kernels, each operator, and the rest."""
    groups: dict[str, list[Sample]] = {}
    seen = list(samples)
    for sample in seen:
        for kind in sample.kinds:
            groups.setdefault(kind, []).append(sample)
    operators = {sample.kinds[-2] for sample in seen} | {OTHER}
    kept = {k: g for k, g in groups.items() if k in operators or len(g) >= LEAST}
    return Predictor(
        target,
        unit,
        {kind: _fit(group) for kind, group in sorted(kept.items())},
        tuple(sorted({sample.model for sample in seen})),
        cycles,
    )


def _fit(group: Sequence[Sample]) -> tuple[float, ...]:
    """Least squares of relative errors with coefficients of at least 0, by coordinate descent.

    Columns are scaled to a mean of 1, and a little ridge decides between terms that go together.
    """
    terms = np.array([s.terms for s in group]) / np.array([s.cost for s in group])[:, None]
    scale = np.maximum(np.abs(terms).mean(0), 1e-30)
    columns = terms / scale
    gram = columns.T @ columns + RIDGE * len(group) * np.eye(len(scale))
    wanted = columns.sum(0)
    found = np.zeros(len(scale))
    for _ in range(5000):
        before = found.copy()
        for i in range(len(found)):
            rest = wanted[i] - gram[i] @ found + gram[i, i] * found[i]
            found[i] = max(0.0, rest / gram[i, i])
        if np.abs(found - before).max() < 1e-12:
            break
    return tuple(float(f) for f in found / scale)
