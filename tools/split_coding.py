"""How tensors are coded at a cut: `--coding`, its costs on sample frames, and all cuts tried.

    python -m midge.tools.split_coding MODEL...

runs every legal cut of models over a server, uncoded and with each lossless coding, and says how
many answers had the bits of a local run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.backend import check_inputs, find_backend
from ..runtime.errors import InputError
from ..runtime.graph import Graph
from ..runtime.importers import read_model
from ..runtime.options import Options
from ..runtime.pipeline import compile_graph, rewrite
from ..targets.split.coding import CODINGS, LOSSLESS
from ..targets.split.coding_costs import CodingCost, choose, measure_codings
from ..targets.split.costs import Codings
from .arguments import load_inputs
from .zoo import find_model

AUTO = "auto"


def add_coding(parser: argparse.ArgumentParser) -> None:
    lossy = ", ".join(name for name, coding in CODINGS.items() if not coding.lossless)
    parser.add_argument(
        "--coding",
        choices=(AUTO, *CODINGS),
        default="raw",
        help="of what crosses (default raw); auto takes the best lossless one for each tensor; "
        f"{lossy} change the answer",
    )


def add_samples(parser: Any) -> None:
    parser.add_argument(
        "--samples",
        type=Path,
        metavar="F.npy",
        help="consecutive inputs [n, ...] that codings are measured on (default: one at random)",
    )


def chosen_codings(
    args: argparse.Namespace, graph: Graph, rate: float
) -> Mapping[int, CodingCost] | None:
    """The coding of each tensor that the arguments ask for, None for raw ones."""
    codings = codings_of(args, graph)
    if codings is None:
        return None
    return choose(codings.measured, rate, codings.slowdown, args.server_load)


def codings_of(args: argparse.Namespace, graph: Graph) -> Codings | None:
    """What the codings that the arguments allow cost, measured; None for raw ones."""
    if getattr(args, "coding", "raw") == "raw":
        return None
    names = LOSSLESS if args.coding == AUTO else (args.coding,)
    measured = measure_codings(graph, load_samples(graph, args.samples), names)
    return Codings(graph, measured, args.device_slowdown)


def load_samples(graph: Graph, path: Path | None) -> list[Sequence[np.ndarray]]:
    """Inputs of consecutive frames; without a file a random one."""
    if path is None:
        return [load_inputs(graph, None, 0)]
    if len(graph.inputs) != 1:
        raise InputError(f"--samples is for models of one input, and this has {len(graph.inputs)}")
    try:
        frames = np.load(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not an array that NumPy can load ({error})") from None
    shape = graph.tensors[graph.inputs[0]].shape
    if frames.ndim < 1 or not len(frames) or frames[0].size != np.prod(shape):
        raise InputError(
            f"{path}: inputs [n, {str(list(shape))[1:]} are needed, not {frames.shape}"
        )
    return [check_inputs(graph, [frame.reshape(shape)]) for frame in frames]


def try_cuts(model: str, cuts: Sequence[int] | None = None) -> dict[str, Any]:
    """Cuts (all legal ones) with each lossless coding, three frames each, against local runs."""
    from ..targets.split.client import EdgeClient
    from ..targets.split.coder import Coder
    from ..targets.split.cut import cut_at, legal_cuts
    from ..targets.split.executor import SplitExecutor
    from ..targets.split.server import ModelServer

    graph = compile_graph(rewrite(read_model(find_model(model)), Options())).graph
    frames = [load_inputs(graph, None, seed) for seed in (0, 1)]
    frames.append([np.roll(x, 1) for x in frames[1]])
    whole = find_backend("host").build(compile_graph(graph))
    expected = [whole.run(inputs) for inputs in frames]
    server = ModelServer(graph, "model")
    server.start()
    client = EdgeClient(server.address, "model", deadline_s=300)
    result: dict[str, Any] = {"model": model, "bytes": {}}
    result |= dict.fromkeys(("cuts", "runs", "equal", "alone"), 0)
    for position in legal_cuts(graph) if cuts is None else cuts:
        executor = SplitExecutor(graph, cut_at(graph, position), client)
        result["cuts"] += 1
        for name in LOSSLESS:
            executor.coder = Coder(name)
            for inputs, wanted in zip(frames, expected, strict=True):
                answer = executor.run(inputs)
                equal = all(np.array_equal(a, b) for a, b in zip(answer, wanted, strict=True))
                asked = executor.exchange is not None and executor.exchange.error is None
                result["runs"] += 1
                result["equal"] += equal
                result["alone"] += not asked and bool(executor.cut.server)
            sent = executor.exchange.sent_bytes if executor.exchange else 0
            result["bytes"][name] = result["bytes"].get(name, 0) + sent
        executor.close_parts()
    client.close()
    server.stop()
    whole.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    for model in parser.parse_args().models:
        print(json.dumps(try_cuts(model)), flush=True)


if __name__ == "__main__":
    main()
