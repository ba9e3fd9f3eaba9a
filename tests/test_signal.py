"""TFLM's signal library: reference and native kernels have the bits of TFLM's own interpreter."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import build_signal as s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_call import run_native
from tflm_oracle import tflm_runs

from midge.kernels import table
from midge.runtime.errors import ModelError, UnsupportedModel
from midge.runtime.graph import DTYPES, Graph, Node
from midge.runtime.importers.tflite import read_tflite
from midge.runtime.pipeline import compile_model

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


# ---- what is refused ----------------------------------------------------------------------------

X = (8,), "int16"
FRAMED = [((1, 10), "int16"), ((), "bool")]
BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "no options": (
        partial(s.signal, "SignalDelay", [X], [X], content=b""),
        "its custom options have no delay_length",
    ),
    "damaged options": (
        partial(s.signal, "SignalDelay", [X], [X], content=s.flexbuffer(delay_length=4)[:-2]),
        "its custom options are",
    ),
    "a vector of options": (
        partial(s.signal, "SignalDelay", [X], [X], content=b"\x01\x00\x04"),
        "its custom options are no map",
    ),
    "text": (
        partial(s.signal, "SignalDelay", [X], [X], delay_length="long"),
        "delay_length must be a whole number from 1 to 2147483647, not 'long'",
    ),
    "a fraction": (
        partial(s.signal, "SignalDelay", [X], [X], delay_length=0.5),
        "delay_length must be a whole number from 1 to 2147483647, not 0.5",
    ),
    "far too long": (
        partial(s.signal, "SignalDelay", [X], [X], delay_length=1 << 40),
        "delay_length must be a whole number from 1 to 2147483647, not 1099511627776",
    ),
    "a step over the frame": (partial(s.framer, size=3), "frame_step must be a whole number from"),
    "a step that divides nothing": (
        partial(s.signal, "SignalFramer", [X], FRAMED, frame_size=10, frame_step=5, prefill=True),
        "8 samples in steps of 5",
    ),
    "more samples than a transform takes": (
        partial(s.rfft, 8, 10), "10 samples for a transform of 8"
    ),
    "another type than T": (
        partial(s.signal, "SignalRfft", [X], [((10,), "int16")], T=2, fft_length=8),
        "its option T says int32, its input is int16",
    ),
    "frames along one axis": (
        partial(s.signal, "SignalOverlapAdd", [X], [X], T=7, frame_step=2),
        "its input must have frames along its last two axes",
    ),
    "other channels": (
        partial(
            s.signal, "SignalFilterBankSpectralSubtraction", [((8,), "uint32")],
            [((8,), "uint32")] * 2, num_channels=9, **s.SMOOTHING,
        ),
        "num_channels is 9, its input has the shape [8]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_sentence(name: str) -> None:
    make, sentence = BAD[name]
    with pytest.raises(ModelError, match=re.escape(sentence)) as caught:
        read_tflite(make())
    assert "\n" not in str(caught.value)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "a factor of 7": (partial(s.rfft, 28), "half of it a product of 2, 3 and 5"),
    "a length of 2": (partial(s.irfft, 2), "must be even, 4 to 32768"),
    "int32 frames": (
        partial(s.overlap_add, dtype="int32"), "Input and output must be int16 or float32"
    ),
    "weights that divide nothing": (
        partial(s.signal, "SignalWindow", [X], [X], [np.zeros(3, np.int16)], shift=1),
        "whose size divides the input's last axis",
    ),
    "bins behind the spectrum": (partial(s.energy, 4, end=5), "must be bins of the spectrum"),
    "channels behind the spectrum": (
        partial(
            s.signal, "SignalFilterBank", [((20,), "uint32")], [((7,), "uint64")],
            s.bank_tables(33, 7), num_channels=7,
        ),
        "Each channel's bins must lie in the spectrum",
    ),
    "too few gains": (
        partial(
            s.signal, "SignalPCAN", [((8,), "uint32")] * 2, [((8,), "uint32")],
            [np.zeros(124, np.int16)], snr_shift=6,
        ),
        "at least 125 numbers",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_kernel_takes_is_refused(name: str) -> None:
    make, sentence = REFUSED[name]
    with pytest.raises(UnsupportedModel, match=re.escape(sentence)):
        compile_model(make(), "reference")


@pytest.mark.parametrize("code", ["IF", "WHILE"])
def test_no_state_is_kept_in_a_part_that_may_not_run(code: str) -> None:
    with pytest.raises(UnsupportedModel, match=r"keeps a state|IF"):
        read_tflite(s.in_a_part(code))


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_damaged_options_are_a_sentence(data: st.DataObject) -> None:
    content = bytearray(s.flexbuffer(num_channels=5, **s.SMOOTHING))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    x = (5,), "uint32"
    code = "SignalFilterBankSpectralSubtraction"
    try:
        read_tflite(s.signal(code, [x], [x, x], content=bytes(content)))
    except ModelError as error:
        assert "\n" not in str(error)
