"""TFLM's signal library: reference and native kernels have the bits of TFLM's own interpreter."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import build_signal as s
import numpy as np
import pytest
from native_call import run_native
from tflm_oracle import tflm_runs

from midge.kernels import table
from midge.runtime.graph import DTYPES, Graph, Node
from midge.runtime.importers.tflite import read_tflite

RUNS = 7
MODELS: dict[str, Callable[[], bytes]] = {
    "window": s.window,
    "window_rows": partial(s.window, count=7, rows=3, shift=3),
    "auto_scale": s.auto_scale,
    **{
        f"rfft_{length}_{dtype}": partial(s.rfft, length, dtype=dtype)
        for length in (4, 6, 12, 20, 30, 64, 90, 128)
        for dtype in s.TYPES
    },
    "rfft_padded": partial(s.rfft, 64, 50, rows=2),
    **{
        f"irfft_{length}_{dtype}": partial(s.irfft, length, dtype=dtype, rows=2)
        for length in (4, 18, 40, 64)
        for dtype in s.TYPES
    },
    "energy": s.energy,
    "filter_bank": s.filter_bank,
    "square_root": s.square_root,
    "subtraction": s.subtraction,
    "subtraction_clamped": partial(s.subtraction, clamping=True, smoothing_bits=0),
    "pcan": s.pcan,
    "pcan_wild": partial(s.pcan, wild=True, snr_shift=20),
    "log": s.log,
    "log_scaled": partial(s.log, output_scale=1 << 20, input_correction_bits=0),
    "framer": s.framer,
    "framer_prefilled": partial(s.framer, prefill=True, outer=(2,)),
    "framer_rows": partial(s.framer, count=6, size=3, step=3, outer=(2, 2)),
    "stacker": s.stacker,
    "stacker_apart": partial(s.stacker, left=0, right=2, step=3),
    "delay": s.delay,
    "delay_long": partial(s.delay, (3,), 8),
    "overlap_add": s.overlap_add,
    "overlap_add_float32": partial(s.overlap_add, dtype="float32", outer=(2,)),
    "overlap_add_apart": partial(s.overlap_add, size=4, step=4),
}


def inputs_of(graph: Graph, seed: int) -> list[np.ndarray]:
    """Numbers of any magnitude; the first of every third draw are all at an end of the type."""
    rng, drawn = np.random.default_rng(seed), []
    for index in graph.inputs:
        shape, dtype = graph.tensors[index].shape, DTYPES[graph.tensors[index].dtype]
        if dtype.kind == "f":
            drawn.append(rng.normal(size=shape).astype(dtype))
            continue
        limits = np.iinfo(dtype)
        values = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        if seed % 3 == 0:
            ends = np.array([limits.min, limits.max], dtype)
            values = ends[rng.integers(0, 2, shape)]
        if seed % 3 == 1:
            values >>= rng.integers(0, 8 * dtype.itemsize - 1, shape).astype(dtype)
        drawn.append(np.asarray(values & 31 if shape == () else values, dtype))
    return drawn


def carried(graph: Graph, node: Node, runs: list, native: bool) -> list[list[np.ndarray]]:
    """All answers of the reference or of the native kernel, the state carried on."""
    make = run_native if native else table.OPERATIONS[node.op].reference
    arrays = {i: t.data for i, t in graph.tensors.items() if t.constant}
    arrays |= {
        i: np.zeros(t.shape, DTYPES[t.dtype]) for i, t in graph.tensors.items() if t.variable
    }
    answers = []
    for values in runs:
        arrays |= dict(zip(graph.inputs, values, strict=True))
        answers.append(make(graph, node, [arrays[index] for index in node.inputs]))
    return answers


@pytest.mark.parametrize("name", MODELS)
def test_every_operator_has_tflms_bits(name: str) -> None:
    model = MODELS[name]()
    graph = read_tflite(model)
    (node,) = graph.nodes
    assert table.refusal(graph, node, 0) is None
    runs = [inputs_of(graph, seed) for seed in range(RUNS)]
    wanted = tflm_runs(model, runs)
    assert len(wanted) == RUNS
    for native in (False, True):
        for answers, rights in zip(carried(graph, node, runs, native), wanted, strict=True):
            # TFLM leaves frames that aren't valid as they were in memory.
            known = slice(None) if rights[-1].dtype != bool or rights[-1] else slice(1, None)
            for answer, right in zip(answers[known], rights[known], strict=True):
                assert (answer.dtype, answer.shape) == (right.dtype, right.shape)
                np.testing.assert_array_equal(answer, right, err_msg=f"native: {native}")
