"""UNIDIRECTIONAL_SEQUENCE_LSTM in integers: TFLite's reference, ours and the native kernel agree
on answers and states, over several inferences."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import build_tflite as build
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_call import run_native
from one_operator import read_operator
from oracle import reference_interpreter, tflite_reference_runs
from stateful import assert_states_are_carried, tflite_runs
from tflm_oracle import tflm_runs

from midge.kernels import table
from midge.kernels.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from midge.kernels.gemmlowp_int16 import logistic, tanh
from midge.kernels.lstm import output_of
from midge.kernels.native import gemmlowp_int16 as native
from midge.runtime.backend import find_backend
from midge.runtime.errors import UnsupportedModel
from midge.runtime.importers.tflite import read_tflite
from midge.runtime.options import Options
from midge.runtime.passes.lstm_in_steps import MOST_STEPS
from midge.runtime.passes.time_as_rows import time_as_rows
from midge.runtime.pipeline import compile_model
from midge.tools.arguments import random_inputs

GATE_NAMES = ("input", "forget", "cell", "output")  # in the order of TFLite's operands


@dataclass
class LstmModel:
    """A one-operator model with everything that the integer kernel depends on."""

    batch: int = 1
    steps: int = 4
    depth: int = 3
    units: int = 5
    x: tuple[float, int] = (0.01, -5)
    state: tuple[float, int] = (1 / 128, 0)
    hidden: tuple[float, int] = (1 / 128, 0)
    cell_log2: int = -11
    cell_clip: float = 0.0
    time_major: bool = False
    coupled: bool = False  # CIFG: no input gate
    seed: int = 0
    weights: dict[str, np.ndarray] = field(default_factory=dict)  # gate or recurrent_gate
    weight_scales: dict[str, float] = field(default_factory=dict)
    biases: dict[str, np.ndarray] = field(default_factory=dict)
    extra: dict[int, tuple[tuple[int, ...], str]] = field(default_factory=dict)

    def content(self) -> bytes:
        model, rng = build.ModelBuilder(), np.random.default_rng(self.seed)
        lead = (self.steps, self.batch) if self.time_major else (self.batch, self.steps)
        x = model.tensor((*lead, self.depth), "int8", *self.x)
        inputs: list[int | None] = [x, *[None] * 23]
        for i, gate in enumerate(GATE_NAMES):
            if not (self.coupled and gate == "input"):
                inputs[1 + i] = self._matrix(model, rng, gate, self.depth)
                inputs[5 + i] = self._matrix(model, rng, f"recurrent_{gate}", self.units)
                bias = self.biases.get(gate, rng.integers(-9999, 10000, self.units))
                inputs[12 + i] = model.constant(bias, "int32", scale=1e-4)
        for position, (shape, dtype) in self.extra.items():
            inputs[position] = model.tensor(shape, dtype, 0.01, data=np.ones(shape, dtype))
        inputs[18] = model.tensor((self.batch, self.units), "int8", *self.state, variable=True)
        cell = 2.0**self.cell_log2
        inputs[19] = model.tensor((self.batch, self.units), "int16", cell, variable=True)
        middle = [model.tensor((0,), "float32") for _ in range(4)]
        middle.append(model.tensor((0,), "int8", *self.hidden))
        y = model.tensor((*lead, self.units), "int8", *self.state)
        options: dict[str, Any] = {"cell_clip": self.cell_clip, "time_major": self.time_major}
        model.node(
            "UNIDIRECTIONAL_SEQUENCE_LSTM",
            inputs,
            [y],
            fused_activation_function="TANH",
            intermediates=middle,
            **options,
        )
        return model.build([x], [y])

    def _matrix(self, model: Any, rng: np.random.Generator, name: str, depth: int) -> int:
        data = self.weights.get(name, rng.integers(-127, 128, (self.units, depth)))
        scale = self.weight_scales.get(name, rng.uniform(0.002, 0.02))
        return int(model.constant(data, "int8", scale=scale))


zero_points = st.sampled_from([-128, -3, 0, 1, 127])
models = st.builds(
    LstmModel,
    batch=st.integers(1, 3),
    steps=st.integers(1, 5),
    depth=st.sampled_from([1, 3, 17, 64]),
    units=st.sampled_from([1, 3, 17, 32]),
    x=st.tuples(st.floats(0.002, 0.1), zero_points),
    state=st.tuples(st.floats(0.004, 0.02), zero_points),
    hidden=st.tuples(st.floats(0.003, 0.02), zero_points),
    cell_log2=st.integers(-15, -9),
    cell_clip=st.sampled_from([0.0, 0.0, 0.3, 1.7, 100.0]),
    time_major=st.booleans(),
    coupled=st.booleans(),
    seed=st.integers(0, 1000),
)


@settings(max_examples=200, deadline=None)
@given(models, st.integers(0, 9))
def test_answers_and_states(model, seed):
    assert_states_are_carried(model.content(), seed)


@pytest.mark.parametrize("time_major", [False, True])
def test_as_converters_write_it(time_major):
    content = build.lstm(batch=2, depth=20, units=12, time_major=time_major)
    assert_states_are_carried(content)


EVERY_INT16 = np.arange(-(1 << 15), 1 << 15)


def exhaustive(gate: str) -> np.ndarray:
    """TFLite's cell states where the named gate, before its activation, is each int16 in turn.

    Unit u of batch b gets bias 256 * u and adds x = b - 128. The other gates are shut or open, so
    that in Q0.15 the new cell state is the gate's activation times 32767 / 32768.
    """
    shut, opened = -(1 << 15), (1 << 15) - 1
    units = np.arange(256)
    biases = {"forget": shut, "input": opened, "output": 0, "cell": opened}
    biases = {name: np.full(256, value) for name, value in biases.items()}
    biases[gate] = 256 * (units - 128) + 128
    none = np.zeros((256, 1), np.int8)
    model = LstmModel(
        batch=256,
        steps=1,
        depth=1,
        units=256,
        x=(1.0, 0),
        cell_log2=-15,
        weights={name: none + (name == gate) for name in GATE_NAMES}
        | {f"recurrent_{name}": np.zeros((256, 256), np.int8) for name in GATE_NAMES},
        weight_scales=dict.fromkeys(GATE_NAMES, 2.0**-12),
        biases=biases,
    )
    x = np.arange(-128, 128, dtype=np.int8).reshape(256, 1, 1)
    ((_, cell),) = tflite_runs(model.content(), [x], [state_index(model)])
    return cell.T.reshape(-1)


def state_index(model: LstmModel) -> int:
    """The file's tensor index of the cell state; the hidden value's scale doesn't change it."""
    _, node = read_operator(replace(model, hidden=LstmModel.hidden).content())
    return int(node.inputs[19])


def times_open(value: np.ndarray, gate: int) -> np.ndarray:
    """value * gate / 2**15, to nearest, ties away from zero: TFLite's product of two gates."""
    product = value.astype(np.int64) * gate
    return np.sign(product) * ((np.abs(product) + (1 << 14)) >> 15)


def test_tanh_of_every_int16():
    opened = int(logistic(32767, 3))
    np.testing.assert_array_equal(exhaustive("cell"), times_open(tanh(EVERY_INT16, 3), opened))


def test_logistic_of_every_int16():
    opened = int(tanh(32767, 3))
    wanted = times_open(logistic(EVERY_INT16, 3), opened)
    np.testing.assert_array_equal(exhaustive("input"), wanted)


@pytest.mark.parametrize("cell_bits", range(7))
def test_tanh_of_cell_states(cell_bits):
    """Hidden values at full resolution, seen through windows of 256 of the 65,536 there are."""
    model, opened, met = open_cells(cell_bits), int(logistic(32767, 3)), 0
    one = quantize_multiplier(2.0**-15)
    for window in (-128, -100, -31, 0, 7, 64, 127):
        shifted = replace(model, hidden=(2.0**-15, -256 * window))
        y, cell = with_cells(shifted, EVERY_INT16.reshape(256, 256).astype(np.int16))
        assert len(np.unique(cell)) > 65000
        product = opened * tanh(cell, cell_bits).astype(np.int64)
        wanted = multiply_by_quantized_multiplier(product, *one) - 256 * window
        np.testing.assert_array_equal(y, np.clip(wanted, -128, 127))
        met += np.count_nonzero(np.abs(wanted) < 127)
    assert met > 600


def open_cells(cell_bits: int) -> LstmModel:
    """65,536 cells whose forget and output gates are open, and whose candidate is 0."""
    side = np.zeros((256, 256))
    return LstmModel(
        batch=256,
        steps=1,
        depth=1,
        units=256,
        cell_log2=cell_bits - 15,
        weights=dict.fromkeys(GATE_NAMES, side[:, :1])
        | {f"recurrent_{name}": side for name in GATE_NAMES},
        biases={name: side[0] + 1 * (name in ("forget", "output")) for name in GATE_NAMES},
        weight_scales=dict.fromkeys(GATE_NAMES, 8.0),
        x=(1.0, 0),
    )


def test_hidden_multiplier_is_float32():
    """With this scale, a multiplier computed in double gives another answer for some cell."""
    scale = float(np.float32(0.01023))
    cell = times_open(EVERY_INT16, int(logistic(32767, 3)))
    product = int(logistic(32767, 3)) * tanh(cell, 3).astype(np.int64)
    single, double = (
        np.clip(multiply_by_quantized_multiplier(product, *quantize_multiplier(real)), -128, 127)
        for real in (float(np.float32(2.0**-30 / scale)), 2.0**-30 / scale)
    )
    assert np.any(single != double)
    model = replace(open_cells(3), hidden=(scale, 0))
    y, _ = with_cells(model, EVERY_INT16.reshape(256, 256).astype(np.int16))
    np.testing.assert_array_equal(y.reshape(-1), single)
    output = output_of(*read_operator(model.content()))
    scaled = multiply_by_quantized_multiplier(product, output.multiplier, output.shift)
    np.testing.assert_array_equal(np.clip(scaled, -128, 127), single)


@pytest.mark.parametrize("integer_bits", range(7))
def test_native_functions_of_every_int16(integer_bits):
    for ours, twin in ((tanh, native.tanh), (logistic, native.logistic)):
        found = [twin(value, integer_bits) for value in EVERY_INT16.tolist()]
        np.testing.assert_array_equal(found, ours(EVERY_INT16, integer_bits))


def with_cells(model: LstmModel, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """TFLite's output and cell state after one time step of x = 0 from a given cell state."""
    interpreter, state = reference_interpreter(model.content()), state_index(model)
    (x,), (y,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(x["index"], np.zeros(x["shape"], np.int8))
    interpreter.set_tensor(state, cell)
    interpreter.invoke()
    return interpreter.get_tensor(y["index"])[:, 0], interpreter.get_tensor(state)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"extra": {9: ((5,), "int16"), 10: ((5,), "int16"), 11: ((5,), "int16")}}, "peephole"),
        ({"extra": {16: ((5, 5), "int8")}}, "projection"),
        ({"extra": dict.fromkeys((20, 21, 22, 23), ((5,), "int16"))}, "layer normalization"),
        ({"cell_log2": -8}, "power of two between"),
        ({"cell_log2": -16}, "power of two between"),
    ],
)
def test_refusals(changes, why):
    graph, node = read_operator(replace(LstmModel(), **changes).content())
    refused = table.refusal(graph, node, 0)
    assert refused is not None and why in refused.why


@pytest.mark.parametrize(
    "settings", [{"steps": MOST_STEPS + 1}, {"dtype": "int16", "coupled": True}]
)
def test_what_is_not_written_out_is_refused(settings):
    content = build.lstm(**{"dtype": "float32", **settings})
    with pytest.raises(UnsupportedModel, match="in at most 256 time steps, which are written out"):
        compile_model(content)


WRITTEN_OUT = [
    {},
    {"batch": 3, "depth": 17, "units": 9, "time_major": True},
    {"steps": 1, "cell_clip": 0.05},
    {"batch": 2, "steps": 9, "units": 16, "cell_clip": 0.3},
]


def inputs_of(content, seed):
    return random_inputs(read_tflite(content), seed)


@pytest.mark.parametrize("settings", WRITTEN_OUT, ids=str)
def test_int16_has_the_bits_of_tflm(settings):
    content = build.lstm(dtype="int16", **settings)
    runs = [inputs_of(content, seed) for seed in range(4)]
    executor = find_backend("host").build(compile_model(content))
    for inputs, wanted in zip(runs, tflm_runs(content, runs), strict=True):
        np.testing.assert_array_equal(executor.run(inputs), wanted)


@pytest.mark.parametrize("settings", [*WRITTEN_OUT, {"coupled": True}], ids=str)
def test_float32_differs_by_the_tanh_of_a_c_library_alone(settings):
    """From TFLite's too, whose logistic is Eigen's: by a few units of the last place of 1."""
    content = build.lstm(dtype="float32", **settings)
    runs = [inputs_of(content, seed) for seed in range(4)]
    executor = find_backend("host").build(compile_model(content))
    oracles = (
        [tflite_reference_runs] if settings.get("coupled") else [tflm_runs, tflite_reference_runs]
    )
    answers = [executor.run(inputs) for inputs in runs]
    for oracle in oracles:
        for actual, wanted in zip(answers, oracle(content, runs), strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=0, atol=8 * 2.0**-24)


def test_states_of_steps_written_out_are_kept_until_reset():
    content = build.lstm(dtype="int16")
    executor = find_backend("host").build(compile_model(content))
    inputs = inputs_of(content, 3)
    first, second = executor.run(inputs), executor.run(inputs)
    assert not np.array_equal(first, second)
    executor.reset()
    np.testing.assert_array_equal(executor.run(inputs), first)


def test_the_layer_of_a_real_model(shared):
    """Three inferences in a row of TFLM's MNIST example, of which the LSTM is the first layer."""
    content = (shared / "models/mnist_lstm_int8.tflite").read_bytes()
    graph = time_as_rows(read_tflite(content))
    node = next(node for node in graph.nodes if node.op == "lstm")
    interpreter = reference_interpreter(content, preserve_all_tensors=True)
    rng = np.random.default_rng(0)
    arrays = {i: t.data for i, t in graph.tensors.items() if t.constant}
    hidden, cell = np.zeros((1, 20), np.int8), np.zeros((1, 20), np.int16)
    native = [hidden.copy(), cell.copy()]
    for _ in range(3):
        x = rng.integers(-128, 128, (1, 28, 28)).astype(np.int8)
        interpreter.set_tensor(graph.inputs[0], x)
        interpreter.invoke()
        y = interpreter.get_tensor(graph.nodes[1 + graph.nodes.index(node)].outputs[0])
        wanted = [y.reshape(1, 28, 1, 20), *map(interpreter.get_tensor, node.inputs[18:20])]
        for states, run in (
            ((hidden, cell), table.OPERATIONS["lstm"].reference),
            (native, run_native),
        ):
            arrays |= {
                node.inputs[0]: x.reshape(1, 28, 1, 28),
                node.inputs[18]: states[0],
                node.inputs[19]: states[1],
            }
            (y,) = run(graph, node, [None if i is None else arrays[i] for i in node.inputs])
            for ours, theirs in zip((y, *states), wanted, strict=True):
                np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("target", ["reference", "host"])
def test_a_real_model_keeps_its_state_until_reset(shared, target):
    content = (shared / "models/mnist_lstm_int8.tflite").read_bytes()
    rng = np.random.default_rng(3)
    runs = [[rng.normal(0.3, 0.4, (1, 28, 28)).clip(0, 1)] for _ in range(4)]
    runs = [[np.round(x * 255 - 128).astype(np.int8)] for (x,) in runs]
    wanted = tflite_reference_runs(content, runs)
    executor = find_backend(target).build(compile_model(content, target))
    for repetition in range(2):
        for inputs, outputs in zip(runs, wanted, strict=True):
            np.testing.assert_array_equal(executor.run(inputs), outputs, err_msg=str(repetition))
        executor.reset()
    executor.close()


@pytest.mark.parametrize("time_major", [False, True])
def test_time_steps_may_come_one_by_one(time_major):
    """The input is a ring of one step, and the states are carried from inference to inference."""
    batch = 2 if time_major else 1
    content = LstmModel(batch=batch, steps=6, depth=20, time_major=time_major).content()
    rng = np.random.default_rng(0)
    shape = (6, batch, 20) if time_major else (1, 6, 20)
    runs = [rng.integers(-128, 128, shape).astype(np.int8) for _ in range(3)]
    executor = find_backend("host").build(
        compile_model(content, options=Options(input_by_row=True))
    )
    whole = compile_model(content, options=Options(strategy="layers")).arena_bytes
    assert executor.program.arena_bytes < whole - runs[0].nbytes // 2
    wanted = tflite_reference_runs(content, [[x] for x in runs])
    for x, (y,) in zip(runs, wanted, strict=True):
        steps = x.reshape(6, batch, 20)
        left = [executor.push_rows(steps[i : i + 1]) for i in range(6)]
        assert left == [5, 4, 3, 2, 1, 0]
        np.testing.assert_array_equal(executor.copy_out()[0], y)
    executor.close()
