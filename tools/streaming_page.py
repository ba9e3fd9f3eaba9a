"""Measure what row streaming does to time on a computer, and write docs/streaming.md.

    python -m midge.tools.streaming_page

A model's layers, up to its global pool, at larger inputs: there the tensors leave the processor's
second cache.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..kernels.native.processor import instruction_set
from ..runtime.backend import build
from ..runtime.errors import ModelError
from ..runtime.graph import Graph
from ..runtime.importers import read_model
from ..runtime.ops import OPERATORS
from ..runtime.options import Options
from ..runtime.pipeline import compile_graph, rewrite
from ..runtime.planner import FOOTPRINT
from ..runtime.program import Program
from .figures import processor_name
from .zoo import find_model

PAGE = Path(__file__).parent.parent / "docs" / "streaming.md"
CASES = (
    ("mobilenet_v2_1.0_224_quant", (224, 448)),
    ("pretrainedResnet_quant", (256, 512)),
    ("mobilenetv2_160_035", (160, 640)),
    ("vww_96_int8", (96, 768)),
    ("mobilenet_v1_0.25_128_quant", (128, 512)),
)
ENDS = ("average_pool2d", "mean")  # global pools: what follows takes one size only
PLANS = {name: Options(strategy=name) for name in ("layers", "rows")} | {"default": Options()}
RUNS = 40
HEAD = """# Time of streamed programs on a computer

Measured by `python -m midge.tools.streaming_page`, which writes this page, on {processor} with
the instruction set `{instructions}` and a second-level cache of {cache}, one thread, while the
machine did other things too. Arena bytes, and time as a part of that layer by layer: the least and
the median of {runs} interleaved runs in one process, processor time of the thread. The answers are
compared, all bytes. The layers are those before the model's global pool, at the size of input that
is stated.

`rows` is `--strategy rows`, the least arena; `default` streams the fewest layers that keep every
segment within {footprint:,} bytes. `midge bench M --vs layers` measures the default of a whole model.

| model | input | layers | rows | default | layers, ms | rows: least | median | default: least | median |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
"""  # noqa: E501


def rows() -> Iterator[str]:
    for name, sizes in CASES:
        for size in sizes:
            try:
                graph = resized(read_model(find_model(name)), size)
            except ModelError as error:
                print(error, file=sys.stderr)
                continue
            programs = [compile_graph(graph, "host", options) for options in PLANS.values()]
            least, median = timed(programs)
            cells = [f"{program.arena_bytes:,}" for program in programs]
            cells.append(f"{median[0] * 1e3:.2f}")
            for i in (1, 2):
                cells += [f"{least[i] / least[0]:.2f}", f"{median[i] / median[0]:.2f}"]
            yield f"| `{name}` | {size}x{size} | {' | '.join(cells)} |\n"


def resized(graph: Graph, size: int) -> Graph:
    """The layers before the global pool, for a square input; padding is that of the given size."""
    graph = rewrite(graph, Options())
    end = next((i for i, n in enumerate(graph.nodes) if n.op in ENDS), len(graph.nodes))
    graph = graph.with_nodes(graph.nodes[:end], outputs=graph.nodes[end - 1].outputs)
    (index,), tensors = graph.inputs, dict(graph.tensors)
    shape = tensors[index].shape
    tensors[index] = replace(tensors[index], shape=(shape[0], size, size, shape[3]))
    for node in graph.nodes:
        shapes = OPERATORS[node.op].shapes(replace(graph, tensors=tensors), node)
        for output, made in zip(node.outputs, shapes, strict=True):
            tensors[output] = replace(tensors[output], shape=made)
    return replace(graph, tensors=tensors)


def timed(programs: Sequence[Program]) -> tuple[list[float], list[float]]:
    """(least, median) seconds of each program, in turns."""
    x = programs[0].inputs[0]
    given = np.random.default_rng(0).integers(0, 128, x.shape).astype(x.dtype)
    executors = [build(program) for program in programs]
    first, *others = ([y.tobytes() for y in e.run([given])] for e in executors)
    assert all(other == first for other in others), "the plans' answers differ"
    taken: list[list[float]] = [[] for _ in programs]
    for _ in range(RUNS):
        for executor, times in zip(executors, taken, strict=True):
            start = time.thread_time()
            executor.run([given])
            times.append(time.thread_time() - start)
    return [min(times) for times in taken], [statistics.median(times) for times in taken]


def cache() -> str:
    """As Linux tells it."""
    path = Path("/sys/devices/system/cpu/cpu0/cache/index2/size")
    return path.read_text().strip() if path.is_file() else "unknown size"


def main() -> int:
    """Write the page."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    head = HEAD.format(
        processor=processor_name(),
        instructions=instruction_set(),
        cache=cache(),
        runs=RUNS,
        footprint=FOOTPRINT,
    )
    PAGE.write_text(head + "".join(rows()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
