"""Measure single layers on the host, and write docs/layers.md.

    python -m midge.tools.layer_page [--keep F.json]

Each layer is a model of its own. Times are medians of short bursts on one thread, without copying
inputs in and answers out; LiteRT's, measured in turn with them in the same process, are those of
`invoke` alone. The machine's peak is measured beside each burst, so that both see the same load; a
share of it is that of the best burst.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from importlib import import_module, metadata
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..kernels.host import HostBackend, HostExecutor
from ..kernels.native.processor import instruction_set
from ..kernels.peak import peak_products
from ..kernels.windows import windows
from ..runtime.graph import Graph
from ..runtime.importers.tflite import read_tflite
from ..runtime.ops import macs
from ..runtime.options import Options
from ..runtime.pipeline import compile_graph, rewrite
from .figures import processor_name
from .kept import Kept, add_keep
from .tflite_writer import ModelBuilder

PAGE = Path(__file__).parent.parent / "docs" / "layers.md"
BURSTS, BURST_S, PEAK_RUNS = 25, 1e-3, 5
TYPES = ("int8", "int16", "float32")


@dataclass(frozen=True)
class Layer:
    """A convolution (`filters`), a depthwise one (none), or a fully connected layer of a vector."""

    name: str
    shape: tuple[int, ...]
    filters: int | None
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1


LAYERS = (
    Layer("1x1, M=196, K=512, N=512", (1, 14, 14, 512), 512),
    Layer("1x1, M=2304, K=64, N=64", (1, 48, 48, 64), 64),
    Layer("3x3, 16x16, 32 to 32", (1, 16, 16, 32), 32, (3, 3)),
    Layer("3x3, 14x14, 256 to 256", (1, 14, 14, 256), 256, (3, 3)),
    Layer("first, 96x96, 3 to 8, stride 2", (1, 96, 96, 3), 8, (3, 3), 2),
    Layer("first, 224x224, 3 to 32, stride 2", (1, 224, 224, 3), 32, (3, 3), 2),
    Layer("first, 10x4, 49x10, 1 to 64, stride 2", (1, 49, 10, 1), 64, (10, 4), 2),
    Layer("depthwise 3x3, 48x48x16", (1, 48, 48, 16), None, (3, 3)),
    Layer("depthwise 3x3, 25x5x64", (1, 25, 5, 64), None, (3, 3)),
    Layer("depthwise 3x3, 28x28x96, stride 2", (1, 28, 28, 96), None, (3, 3), 2),
    Layer("depthwise 5x5, 20x20x72", (1, 20, 20, 72), None, (5, 5)),
    Layer("fully connected, 640 to 128", (1, 640), 128),
    Layer("fully connected, 1280 to 1001", (1, 1280), 1001),
)
BY_WINOGRAD = tuple(
    Layer(f"3x3, {size}x{size}, {depth} to {depth}", (1, size, size, depth), depth, (3, 3))
    for size, depth in ((32, 16), (16, 32), (28, 64), (56, 64), (14, 128))
)


# ---- models ------------------------------------------------------------------------------------


def model_of(layer: Layer, dtype: str) -> bytes:
    """A .tflite file of the layer: random weights, a scale for each filter, ReLU."""
    rng, model = np.random.default_rng(0), ModelBuilder()
    vector, depthwise = len(layer.shape) == 2, layer.filters is None
    filters = layer.filters or layer.shape[-1]
    lead = (1, *layer.kernel) if depthwise else (filters, *(() if vector else layer.kernel))
    weights = (*lead, filters if depthwise else layer.shape[-1])
    size = () if vector else tuple(-(-n // layer.stride) for n in layer.shape[1:3])
    products = prod(weights) / filters
    scale = {"int8": 0.02, "int16": 1e-4}.get(dtype)
    spread = 3 * 0.6 * 0.5 * products**0.5 / (127 if dtype == "int8" else 32767)
    x = model.tensor(layer.shape, dtype, scale, 0)
    y = model.tensor((1, *size, filters), dtype, spread if scale else None, 0)
    constants = _constants(rng, model, weights, 3 if depthwise else 0, filters, scale)
    options: dict[str, Any] = {"fused_activation_function": "RELU"}
    if not vector:
        across = layer.stride
        options |= {"padding": "SAME", "stride_w": across, "stride_h": across}
        options |= {"dilation_w_factor": 1, "dilation_h_factor": 1}
    if depthwise:
        options["depth_multiplier"] = 1
    names = ("FULLY_CONNECTED",) if vector else ("CONV_2D", "DEPTHWISE_CONV_2D")
    model.node(names[int(depthwise)], [x, *constants], [y], **options)
    return model.build([x], [y])


def _constants(
    rng: np.random.Generator,
    model: ModelBuilder,
    shape: Sequence[int],
    axis: int,
    filters: int,
    scale: float | None,
) -> list[int]:
    """Weights and bias; `scale` is the input's, None for floats."""
    if scale is None:
        floats = model.constant(rng.normal(0, 0.3, shape), "float32")
        return [floats, model.constant(rng.normal(0, 1, filters), "float32")]
    scales = rng.uniform(0.003, 0.006, filters).astype(np.float32)
    whole = model.constant(rng.integers(-127, 128, shape), "int8", scale=scales, axis=axis)
    bias = model.constant(
        np.zeros(filters),
        "int32" if scale > 1e-3 else "int64",
        scale=scales * np.float32(scale),
    )
    return [whole, bias]


# ---- measuring ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """Median microseconds, the best burst's share of the peak, time divided by LiteRT's."""

    microseconds: float
    share: float
    ratio: float | None


def measure(layer: Layer, dtype: str) -> Measured:
    """Bursts of both, and the peak, in turn."""
    content = model_of(layer, dtype)
    graph = read_tflite(content)
    executor = HostBackend().build(compile_graph(graph, "host"))
    runs: dict[str, Callable[[], object]] = {"own": lambda: executor.run_item(0)}
    _draw(executor)
    other = _litert(content)
    if other is not None:
        runs["litert"] = other
    times, peak = _in_turn(runs)
    executor.close()
    own = statistics.median(times["own"])
    ratio = own / statistics.median(times["litert"]) if other is not None else None
    products = sum(macs(graph, node) for node in graph.nodes)
    return Measured(own * 1e6, products / min(times["own"]) / peak, ratio)


def _cells(layer: Layer, dtype: str) -> tuple[float | None, ...]:
    return astuple(measure(layer, dtype))


def _in_turn(runs: Mapping[str, Callable[[], object]]) -> tuple[dict[str, list[float]], float]:
    """Seconds of a run, in each burst; and the peak."""
    bursts = {name: _burst_length(run) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    peaks = []
    for _ in range(BURSTS):
        for name, run in runs.items():
            times[name].append(_timed(run, bursts[name]))
        peaks.append(peak_products(PEAK_RUNS))
    return times, max(peaks)


def measure_winograd(layer: Layer) -> list[list[float]]:
    """[microseconds, error] of the direct kernel, and by Winograd's algorithm.

    The error is the largest of an output, out of the largest output; float64 sums are without one.
    """
    graph, executors, errors = read_tflite(model_of(layer, "float32")), {}, {}
    x = np.random.default_rng(1).normal(size=layer.shape).astype(np.float32)
    exact = _exact_sums(graph, x)
    for winograd in (False, True):
        options = Options(winograd=winograd)
        program = compile_graph(rewrite(graph, options), "host", options)
        executor = executors[str(winograd)] = HostBackend().build(program)
        (answer,) = executor.run([x])
        errors[str(winograd)] = float(np.abs(answer - exact).max() / np.abs(exact).max())
        _draw(executor)
    times, _ = _in_turn({n: partial(each.run_item, 0) for n, each in executors.items()})
    for executor in executors.values():
        executor.close()
    return [[statistics.median(times[name]) * 1e6, errors[name]] for name in executors]


def _exact_sums(graph: Graph, x: np.ndarray) -> np.ndarray:
    """A layer's answer, in float64."""
    (node,) = graph.nodes
    weights, bias = (graph.input(node, position).data for position in (1, 2))
    assert weights is not None and bias is not None
    attrs = node.attrs
    size = weights.shape[1], weights.shape[2]
    seen = windows(x.astype(np.float64), size, attrs.stride, attrs.padding, attrs.dilation)
    sums = np.tensordot(seen, weights.astype(np.float64), ((3, 4, 5), (1, 2, 3))) + bias
    return np.maximum(sums, 0)  # ReLU


def _draw(executor: HostExecutor) -> None:
    """A random input, in its place."""
    (index,) = executor.program.graph.inputs
    place, rng = executor.tensor(index), np.random.default_rng(1)
    floats = place.dtype == np.float32
    drawn = rng.normal(size=place.shape) if floats else rng.integers(-128, 128, place.shape)
    place[...] = drawn.astype(place.dtype)


def _litert(content: bytes) -> Callable[[], object] | None:
    try:
        module: Any = import_module("ai_edge_litert.interpreter")
    except ImportError:
        return None
    interpreter = module.Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter.invoke


def _burst_length(run: Callable[[], object]) -> int:
    """How many runs take about BURST_S."""
    run()
    return max(1, int(BURST_S / _timed(run, 1)))


def _timed(run: Callable[[], object], count: int) -> float:
    """Seconds of one of `count` runs."""
    started = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - started) / count


# ---- the page ----------------------------------------------------------------------------------

HEAD = """# Single layers on a computer

Measured by `python -m midge.tools.layer_page`, which writes this page, on {processor} with
the instruction set `{instructions}`, one thread, while the machine did other things too; each layer
has a ReLU. *Peak* is the best burst's share of the measured peak for int8 products with these
instructions, which was {peak:.0f} G a second; int16 can reach half of it, and float32, where a
product and a sum must not be fused, an eighth. *Ratio* is midge's time divided by that of
LiteRT {litert}, whose answers have other bits: its float32 is fused, and for int16 it has no
kernels but the reference's. Where the ratio is far above 1, LiteRT's rate is above that peak: by
AMX, where a processor has it, which midge does not use.

| layer | int8 us | peak | ratio | int16 us | ratio | float32 us | ratio |
|---|---|---|---|---|---|---|---|
"""


WINOGRAD = """
## 3x3 layers of float32 by Winograd's algorithm

What `--winograd` makes of them, against the direct kernel. *Error* is the largest of an output, out
of the largest output, against sums in float64.

| layer | direct us | error | Winograd us | error | ratio |
|---|---|---|---|---|---|
"""


def row(layer: Layer, found: Mapping[str, Measured]) -> str:
    cells = [layer.name]
    for dtype, each in found.items():
        cells.append(f"{each.microseconds:.1f}")
        if dtype == "int8":
            cells.append(f"{each.share:.0%}")
        cells.append("-" if each.ratio is None else f"{each.ratio:.2f}")
    return f"| {' | '.join(cells)} |\n"


def rows(kept: Kept) -> Iterator[str]:
    for layer in LAYERS:
        print(f"measuring {layer.name}", file=sys.stderr)
        found = {
            dtype: kept.answer(f"{layer.name} {dtype}", partial(_cells, layer, dtype))
            for dtype in TYPES
        }
        yield row(layer, {dtype: Measured(*each) for dtype, each in found.items()})


def winograd_rows(kept: Kept) -> Iterator[str]:
    for layer in BY_WINOGRAD:
        print(f"measuring {layer.name} by Winograd's algorithm", file=sys.stderr)
        direct, fewer = kept.answer(f"{layer.name} winograd", partial(measure_winograd, layer))
        cells = [f"{cell[0]:.1f} | {cell[1]:.1e}" for cell in (direct, fewer)]
        yield f"| {layer.name} | {' | '.join(cells)} | {fewer[0] / direct[0]:.2f} |\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add_keep(parser)
    kept = Kept(parser.parse_args().keep)
    try:
        litert = metadata.version("ai-edge-litert")
    except metadata.PackageNotFoundError:
        litert = "(not installed)"
    head = HEAD.format(
        processor=processor_name(),
        instructions=instruction_set(),
        peak=kept.answer("peak", peak_products) / 1e9,
        litert=litert,
    )
    PAGE.write_text("".join([head, *rows(kept), WINOGRAD, *winograd_rows(kept)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
