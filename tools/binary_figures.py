"""Measure what bits save, and write docs/binary.md.

    python -m midge.tools.binary_figures

Accuracy is over the 1,000 held-out digits of tools/models; instructions are exact counts of QEMU;
cycles are those of the simulated array's jobs; host times are medians of interleaved runs on one
thread in one process. Larq's interpreter is measured if it is installed (`pip install --no-deps
larq-compute-engine==0.16.0`; its interpreter needs no TensorFlow).
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from ..kernels.native.processor import AVX512_VNNI, VARIABLE, instruction_set
from ..runtime.backend import find_backend
from ..runtime.errors import MidgeError
from ..runtime.graph import Graph
from ..runtime.importers import read_model
from ..runtime.ops import macs
from ..runtime.pipeline import compile_graph
from .figures import processor_name
from .larq_writer import LarqBuilder
from .zoo import OWN

PAGE = Path(__file__).parent.parent / "docs" / "binary.md"
MODELS = ("digits", "digits_bnn")
SIDE, CHANNELS = 14, 256  # of the layer: a 3x3 convolution, channels to as many
RUNS = 100
M4, M55 = "cortex-m4", "cortex-m55"
CORES = (M4, "cortex-m0", M55, "rv32imc")
HOST = "--host"  # print the host's layers alone


# ---- models ------------------------------------------------------------------------------------


def binary_layer(bitpacked: bool) -> bytes:
    """LceQuantize and LceBconv2d, to float32, or to bits and back with LceDequantize."""
    rng, model = np.random.default_rng(0), LarqBuilder()
    shape = (1, SIDE, SIDE, CHANNELS)
    x, y = model.tensor(shape, "float32"), model.tensor(shape, "float32")
    negative = rng.integers(0, 2, (CHANNELS, 3, 3, CHANNELS)) == 1
    packed = model.lce_quantize(x)
    if bitpacked:
        limits = np.full(CHANNELS, 9 * CHANNELS // 2)
        out = model.packed(shape)
        model.lce_bconv2d(packed, negative, out, CHANNELS, thresholds=limits)
        model.lce_dequantize(out, y)
    else:
        ones, zeros = np.ones(CHANNELS), np.zeros(CHANNELS)
        model.lce_bconv2d(packed, negative, y, CHANNELS, ones, zeros)
    return model.build([x], [y])


def int8_layer() -> bytes:
    """The same geometry as CONV_2D with int8 weights per channel."""
    rng, model = np.random.default_rng(0), LarqBuilder()
    shape = (1, SIDE, SIDE, CHANNELS)
    x = model.tensor(shape, "int8", 0.02, 3)
    weights = rng.integers(-127, 128, (CHANNELS, 3, 3, CHANNELS))
    scales = np.full(CHANNELS, 0.01)
    kernel = model.constant(weights, "int8", scale=scales, axis=0)
    bias = model.constant(np.zeros(CHANNELS), "int32", scale=scales * 0.02)
    y = model.tensor(shape, "int8", 0.9, -2)
    options: dict[str, Any] = {
        "stride_w": 1,
        "stride_h": 1,
        "dilation_w_factor": 1,
        "dilation_h_factor": 1,
    }
    model.node("CONV_2D", [x, kernel, bias], [y], padding="SAME", **options)
    return model.build([x], [y])


def alone(graph: Graph) -> Graph:
    """The binary convolution without what packs and unpacks around it."""
    (node,) = [node for node in graph.nodes if node.op == "bconv2d"]
    return graph.with_nodes([node], inputs=(node.operands[0],), outputs=node.outputs)


# ---- measuring ---------------------------------------------------------------------------------


def interleaved(runs: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Median microseconds of each, all of them measured in turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(RUNS):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - started) * 1e6)
    return {name: statistics.median(values[RUNS // 10 :]) for name, values in times.items()}


def on_host(graph: Graph) -> tuple[Any, list[np.ndarray]]:
    """An executor with inputs, which has run once."""
    executor = find_backend("host").build(compile_graph(graph, "host"))
    rng = np.random.default_rng(1)
    tensors = [graph.tensors[index] for index in graph.inputs]
    inputs = [
        rng.normal(size=t.shape).astype(np.float32)
        if t.dtype == "float32"
        else rng.integers(-128, 128, t.shape).astype(np.int8 if t.dtype == "int8" else np.int32)
        for t in tensors
    ]
    executor.run(inputs)
    return executor, inputs


def larq_interpreter(model: bytes) -> Any:
    """Larq Compute Engine's interpreter on one thread, or None where it isn't installed."""
    package = importlib.util.find_spec("larq_compute_engine")
    if package is None or not package.submodule_search_locations:
        return None
    folder = Path(package.submodule_search_locations[0]) / "tflite" / "python"
    name = "interpreter_wrapper_lite"
    (path,) = folder.glob(f"{name}*.so")
    loader = importlib.machinery.ExtensionFileLoader(name, str(path))
    found = importlib.util.spec_from_loader(name, loader)
    assert found is not None
    module = importlib.util.module_from_spec(found)
    loader.exec_module(module)
    indirect = True  # of its three kernels the fastest here
    return module.LiteInterpreter(model, 1, False, indirect, False)


def host_layers() -> Iterator[str]:
    graphs = {
        "bits to bits": alone(read_model(binary_layer(True))),
        "bits to float32": alone(read_model(binary_layer(False))),
        "int8": read_model(int8_layer()),
        "float32 to bits to float32": read_model(binary_layer(False)),
    }
    runs: dict[str, Callable[[], Any]] = {}
    for name, graph in graphs.items():
        executor, inputs = on_host(graph)
        runs[name] = partial(executor.run, inputs)
    larq = larq_interpreter(binary_layer(False))
    if larq is not None:
        x = np.random.default_rng(1).normal(size=(1, SIDE, SIDE, CHANNELS)).astype(np.float32)
        ours = (
            find_backend("host")
            .build(compile_graph(read_model(binary_layer(False)), "host"))
            .run([x])[0]
        )
        theirs = np.asarray(larq.predict([x])[0])
        assert theirs.tobytes() == ours.tobytes(), "Larq's interpreter answers otherwise"
        runs["Larq 0.16: float32 to bits to float32"] = partial(larq.predict, [x])
    found = interleaved(runs)
    yield "| one 3x3 convolution, one thread | microseconds | int8's time / its own |"
    yield "|---|---|---|"
    for name, micros in found.items():
        yield f"| {name} | {micros:.0f} | {found['int8'] / micros:.2f} |"


def least_host_layers() -> Iterator[str]:
    """The same by kernels for the least processor with AVX-512 VNNI: it has no `vpopcntdq`."""
    if instruction_set() != AVX512_VNNI:
        return
    command = [sys.executable, "-m", "midge.tools.binary_figures", HOST]
    least = {**os.environ, VARIABLE: AVX512_VNNI}
    done = subprocess.run(command, env=least, capture_output=True, text=True, check=True)
    yield from done.stdout.replace("one thread", f"one thread, `{VARIABLE}={AVX512_VNNI}`").split(
        "\n"
    )[:-1]


def single_layers() -> dict[str, Graph]:
    return {
        "bits to bits": alone(read_model(binary_layer(True))),
        "int8": read_model(int8_layer()),
    }


def array_layers() -> Iterator[str]:
    yield "| one 3x3 convolution | 8x8 array, cycles | MACs a cycle |"
    yield "|---|---|---|"
    for name, graph in single_layers().items():
        executor: Any = find_backend("fpga-sim").build(compile_graph(graph, "fpga-sim"))
        executor.run(on_host(graph)[1])
        cycles, total = executor.measurement.cycles, sum(macs(graph, n) for n in graph.nodes)
        yield f"| {name} | {cycles:,} | {total / cycles:.0f} |"
        executor.close()


def board_layers() -> Iterator[str]:
    yield "| one 3x3 convolution | core | instructions | a MAC | constants, bytes |"
    yield "|---|---|---|---|---|"
    for core, (name, graph) in itertools.product(CORES, single_layers().items()):
        executor: Any = find_backend(core).build(compile_graph(graph, core))
        executor.run(on_host(graph)[1])
        count, total = executor.measurement.instructions, sum(macs(graph, n) for n in graph.nodes)
        size = executor.report.constant_bytes
        yield f"| {name} | {core} | {count:,} | {count / total:.3f} | {size:,} |"
        executor.close()


def networks() -> Iterator[str]:
    yield (
        "| digit network | right of 1,000 | file | MACs | M4 instructions | M4 flash | M4 arena | "
        "M55 instructions | host, microseconds | 8x8 cycles |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    with np.load(OWN / "digits_heldout.npz") as held_out:
        images, labels = held_out["images"], held_out["labels"]
    inputs = (images.astype(np.int16) - 128).astype(np.int8)[:, None, :, :, None]
    executors = {}
    for name in MODELS:
        graph = read_model(OWN / f"{name}.tflite")
        executors[name] = find_backend("host").build(compile_graph(graph, "host"))
    micros = interleaved({name: partial(own.run, [inputs[0]]) for name, own in executors.items()})
    for name, host in executors.items():
        graph = read_model(OWN / f"{name}.tflite")
        answers = np.concatenate([host.run([image])[0] for image in inputs])
        board, wide, array = others = [
            cast(Any, find_backend(target).build(compile_graph(graph, target)))
            for target in (M4, M55, "fpga-sim")
        ]
        for other in others:
            assert (other.run([inputs[0]])[0] == answers[0]).all()
        report = board.report
        yield (
            f"| {name} | {(answers.argmax(1) == labels).sum()} "
            f"| {(OWN / f'{name}.tflite').stat().st_size:,} "
            f"| {sum(macs(graph, n) for n in graph.nodes):,} "
            f"| {board.measurement.instructions:,} | {report.flash_bytes:,} "
            f"| {report.arena_bytes:,} | {wide.measurement.instructions:,} "
            f"| {micros[name]:.0f} | {array.measurement.cycles:,} |"
        )
        for other in others:
            other.close()


def page() -> str:
    head = f"""# Bits

Measured by `python -m midge.tools.binary_figures`, which writes this page, on
{processor_name()} with the instruction set `{instruction_set()}`. The layer is a
3x3 convolution of {SIDE}x{SIDE} pixels, {CHANNELS} channels to {CHANNELS}, one pixel of padding.
Both networks read the same 28x28 digits. Instructions are QEMU's exact counts; cycles are of the
array's jobs, the binary mode's for layers of bits, without those of layers that the host runs
beside it. On Cortex-M55 a table counts the bits of a vector's 16 bytes by one instruction, a
gathering load that takes a real core more time than most. Larq is the fastest of its kernels on
this processor, the indirect one. With `{VARIABLE}={AVX512_VNNI}` kernels are those of the least
such processor, which counts no bits of lanes.

"""
    parts = (networks, host_layers, least_host_layers, board_layers, array_layers)
    return head + "\n\n".join("\n".join(part()) for part in parts) + "\n"


def main() -> int:
    try:
        if HOST in sys.argv[1:]:
            print("\n".join(host_layers()))
        else:
            PAGE.write_text(page())
    except MidgeError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
