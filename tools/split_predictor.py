"""Train a predictor of kernels' costs from profiles made here, and measure its error.

    python -m midge.tools.split_predictor --target cortex-m4 -o predictor.json MODEL...

Each model in turn is held out: a predictor of the others says what it costs, kernel by kernel and
in all. What is written is trained on all of them. `midge split profile M --predict F` uses it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..runtime.backend import find_backend
from ..runtime.importers import read_model
from ..runtime.options import Options
from ..runtime.pipeline import compile_graph, rewrite
from ..targets.split.predict import Predictor, Sample, samples_of, train
from .arguments import load_inputs
from .zoo import find_model

ROUNDS = 5  # profiles of a host, of which each call's least counts


def profile_kernels(model: str, target: str) -> tuple[Any, list[Sample]]:
    """A profile and its kernels, of a model that runs here or in the emulator."""
    path = find_model(model)
    graph = compile_graph(rewrite(read_model(path), Options()), "reference").graph
    program = compile_graph(graph, target, Options(strategy="layers"))
    executor = find_backend(target).build(program)
    inputs = load_inputs(graph, None, 0)
    try:
        rounds = ROUNDS if target == "host" else 1
        made = [executor.profile(inputs) for _ in range(rounds)]  # type: ignore[attr-defined]
    finally:
        executor.close()
    spent: dict[int, float] = {}
    for number, cost in enumerate(made[0].calls):
        least = min(profile.calls[number].cost for profile in made)
        spent[cost.call.node] = spent.get(cost.call.node, 0.0) + least
    return made[0], samples_of(path.stem, program, spent)


def held_out(target: str, unit: str, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """For each model, what a predictor trained without it says."""
    rows = []
    for model in dict.fromkeys(s.model for s in samples):
        others = train(target, unit, [s for s in samples if s.model != model])
        own = [s for s in samples if s.model == model]
        errors = [others.cost(s.kinds, s.terms) / s.cost - 1 for s in own]
        total = sum(s.cost for s in own)
        rows.append(
            {
                "model": model,
                "kernels": len(own),
                unit: total,
                "error": sum(others.cost(s.kinds, s.terms) for s in own) / total - 1,
                "median_kernel_error": statistics.median(map(abs, errors)),
                "within_10_percent": sum(abs(e) <= 0.1 for e in errors) / len(own),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--target", default="host", metavar="T", help="default host")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="F.json")
    args = parser.parse_args()
    samples: list[Sample] = []
    unit, cycles = "", [1.0]
    for model in args.models:
        profile, own = profile_kernels(model, args.target)
        unit = profile.unit
        if profile.modelled_cycles is not None:
            cycles.append(profile.modelled_cycles / profile.total)
        samples += own
        print(
            f"{model}: {len(own)} kernels, {sum(s.cost for s in own):,.3f} {unit}", file=sys.stderr
        )
    rows = held_out(args.target, unit, samples)
    predictor: Predictor = train(args.target, unit, samples, statistics.fmean(cycles[1:] or cycles))
    errors = [abs(row["error"]) for row in rows]
    replace(predictor, held_out=(statistics.fmean(errors), max(errors))).save(args.output)
    result = {
        "target": args.target,
        "held_out": rows,
        "mean_error": statistics.fmean(errors),
        "worst_error": max(errors),
        "kernels": len(samples),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
