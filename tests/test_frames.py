"""One frame an inference: each answer is the reference's over the whole window."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import build_tflite as b
import numpy as np
import pytest
from build_compute import windows
from c_call import CTwin, aligned
from guarded import guard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import reference_interpreter
from random_networks import networks
from seeded_model import SeededModel
from test_input_by_row import OK, outputs_of, printed

import midge
from cases import model as model_case
from midge.runtime.backend import find_backend
from midge.runtime.errors import PlanError, ToolError
from midge.runtime.ops import total_macs
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model, lower_nodes
from midge.runtime.program import Program
from midge.runtime.replay import replay

WAKE_WORD = model_case("str_ww_ref_model")
KWS = model_case("kws_ref_model")
PROPERTY = {
    "max_examples": 60,
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much],
}


class Window:
    """What TFLite's reference answers for a window that frames are pushed into."""

    def __init__(self, model: bytes) -> None:
        self.reference = reference_interpreter(model)
        (self.input,) = self.reference.get_input_details()
        scale, zero = self.input["quantization"]
        self.rows = np.full(self.input["shape"], zero if scale else 0, self.input["dtype"])
        self.rows = self.rows.reshape(self.rows.shape[1], -1)

    def push(self, frames: np.ndarray) -> list[np.ndarray]:
        new = frames.reshape(frames.shape[1], -1)
        self.rows = np.concatenate([self.rows.reshape(-1, new.shape[1])[len(new) :], new])
        x = self.rows.reshape(self.input["shape"])
        self.reference.set_tensor(self.input["index"], x)
        self.reference.invoke()
        details = self.reference.get_output_details()
        return [self.reference.get_tensor(detail["index"]) for detail in details]


def drawn(program: Program, count: int, seed: int = 0) -> list[np.ndarray]:
    shape, rng = program.inputs[0].shape, np.random.default_rng(seed)
    return [rng.integers(-128, 128, shape).astype(np.int8) for _ in range(count)]


def assert_window(model: bytes, frames: list[np.ndarray], answers: list[list[np.ndarray]]) -> None:
    window = Window(model)
    for number, (taken, actual) in enumerate(zip(frames, answers, strict=True)):
        for ours, wanted in zip(actual, window.push(taken), strict=True):
            ours = ours.reshape(wanted.shape)
            np.testing.assert_array_equal(ours, wanted, err_msg=f"frame {number}")


@pytest.mark.parametrize("by_row", [False, True])
def test_a_hundred_frames_of_a_wake_word_on_the_board(by_row: bool) -> None:
    model = WAKE_WORD.model()
    program = compile_model(model, "cortex-m4", Options(frames=1, input_by_row=by_row))
    assert total_macs(program.graph) * 17 < total_macs(compile_model(model).graph)
    replay(program, lower_nodes(program.graph, find_backend("cortex-m4")))
    try:
        executor = find_backend("cortex-m4").build(program)
    except ToolError as error:
        pytest.skip(str(error))
    frames = drawn(program, 100)
    assert_window(model, frames, executor.run_many([[x] for x in frames]))  # type: ignore[attr-defined]
    assert executor.measurement.instructions is not None
    assert executor.measurement.instructions < 70_000  # the whole window takes 833,172
    executor.close()


def test_a_hundred_frames_pushed_into_an_interpreter() -> None:
    model = WAKE_WORD.model()
    ours = midge.Interpreter(model_content=model, frames=1, input_by_row=True)
    ours.allocate_tensors()
    x, y = (d[0]["index"] for d in (ours.get_input_details(), ours.get_output_details()))
    assert ours.get_input_details()[0]["shape"].tolist() == [1, 1, 1, 40]
    window = Window(model)
    frames = np.random.default_rng(1).integers(-128, 128, (100, 1, 1, 40)).astype(np.int8)
    for frame in frames:
        assert ours.push_rows(frame) == 0
        np.testing.assert_array_equal(ours.get_tensor(y), window.push(frame[None])[0])
    ours.reset_all_variables()
    ours.set_tensor(x, frames[0][None])
    ours.invoke()
    np.testing.assert_array_equal(ours.get_tensor(y), Window(model).push(frames[0][None])[0])


@pytest.mark.parametrize("frames", [2, 4])
def test_rows_that_padding_reaches_are_made_anew(frames: int) -> None:
    model = KWS.model()
    program = compile_model(model, "host", Options(frames=frames))
    assert total_macs(program.graph) * 2 < total_macs(compile_model(model).graph)
    executor, pushed = find_backend("host").build(program), drawn(program, 20)
    guarded = guard(executor)
    executor.reset()
    assert_window(model, pushed, [executor.run([x]) for x in pushed])
    guarded.check()


# ---- any network -------------------------------------------------------------------------------


class Stack(SeededModel):
    """Layers along time, one after the other; `shape`, `scale` and `last` are those of the last."""

    def __init__(self, seed: int, shape: tuple[int, ...]) -> None:
        super().__init__("int8", seed)
        self.shape, self.scale = shape, self.input_scale
        self.first = self.last = self.activation(shape)

    def window(self, name: str, kernel: tuple[int, int], **options: object) -> None:
        """A convolution, depthwise or not, of [1, height, width, 4]."""
        depthwise = name == "DEPTHWISE_CONV_2D"
        sizes = (1, *kernel, 4) if depthwise else (4, *kernel, 4)
        weights, scales = self.weights(sizes, 3 if depthwise else 0, True)
        bias = self.constant(self.rng.integers(-99, 99, 4), "int32", scale=scales * self.scale)
        extent = (kernel[0] - 1) * int(options.get("dilation_h_factor", 1)) + 1, kernel[1]  # type: ignore[call-overload]
        strides, padding = (options["stride_h"], options["stride_w"]), str(options["padding"])
        size = [windows(*sizes, padding) for sizes in zip(self.shape[1:3], extent, strides)]  # type: ignore[misc]
        options |= {"depth_multiplier": 1} if depthwise else {}
        self.add(name, [weights, bias], (1, *size, 4), 40 * self.scale, **options)

    def add(
        self, name: str, rest: list[int], shape: tuple[int, ...], scale: float, **options: object
    ) -> None:
        y = self.activation(shape, scale)
        self.node(name, [self.last, *rest], [y], **options)
        self.last, self.shape, self.scale = y, shape, scale

    def reshape(self, *shape: int) -> None:
        self.add("RESHAPE", [self.constant(shape, "int32")], shape, self.scale, new_shape=shape)

    def content(self) -> bytes:
        return self.build([self.first], [self.last])


@st.composite
def stacks(draw: st.DrawFn) -> bytes:
    """Any kernel, stride, dilation and padding along time, one column or a few."""
    model = Stack(
        draw(st.integers(0, 3)), (1, draw(st.integers(6, 30)), draw(st.integers(1, 3)), 4)
    )
    for _ in range(draw(st.integers(1, 4))):
        kernel, stride = draw(st.integers(1, 4)), draw(st.sampled_from([1, 1, 1, 2, 3]))
        dilation = draw(st.sampled_from([1, 2, 3])) if stride == 1 else 1
        fits = (kernel - 1) * dilation < model.shape[1]
        padding = draw(st.sampled_from(["SAME", "VALID"])) if fits else "SAME"
        name = draw(st.sampled_from(["CONV_2D", "DEPTHWISE_CONV_2D"]))
        steps = {"stride_h": stride, "stride_w": stride, "dilation_h_factor": dilation}
        model.window(name, (kernel, 1), padding=padding, dilation_w_factor=1, **steps)
    if draw(st.booleans()):
        axes = model.constant([1, 2], "int32")
        model.add("MEAN", [axes], (1, 4), model.scale / 2, keep_dims=False)
    return model.content()


@st.composite
def lying(draw: st.DrawFn) -> bytes:
    """Convolutions of [1, steps, 4] as converters write them, with time in the columns."""
    model = Stack(draw(st.integers(0, 3)), (1, draw(st.integers(6, 30)), 4))
    for _ in range(draw(st.integers(1, 4))):
        kernel = draw(st.integers(1, 4))
        padding = draw(st.sampled_from(["SAME", "VALID"])) if kernel <= model.shape[1] else "SAME"
        model.reshape(1, 1, *model.shape[1:])
        model.window("CONV_2D", (1, kernel), padding=padding, stride_h=1, stride_w=1)
        if draw(st.booleans()):
            model.add("RELU", [], model.shape, model.scale)
        model.reshape(1, *model.shape[2:])
    return model.content()


def assert_same_as_window(model: bytes, frames: int, target: str, twin: Callable) -> None:  # type: ignore[type-arg]
    whole = compile_model(model, target)
    try:
        program = compile_model(model, target, Options(frames=frames))
    except PlanError as error:
        assert "save no multiplication" in str(error)
        return
    assert total_macs(program.graph) < total_macs(whole.graph)
    replay(program, lower_nodes(program.graph, find_backend(target)))
    executor, pushed = twin(program), drawn(program, 7)
    assert_window(model, pushed, [executor.run([x]) for x in pushed])


@settings(**PROPERTY)
@given(st.one_of(networks(), stacks(), lying()), st.integers(1, 5))
def test_any_network_in_c(model: bytes, frames: int) -> None:
    if frames < compile_model(model, "reference").inputs[0].shape[1]:
        assert_same_as_window(model, frames, "cortex-m4", CTwin)


@settings(**PROPERTY)
@given(stacks(), st.integers(1, 5))
def test_stacks_on_the_host(model: bytes, frames: int) -> None:
    assert_same_as_window(model, frames, "host", find_backend("host").build)


# ---- what else takes them ----------------------------------------------------------------------


def dilated() -> bytes:
    return b.conv2d((1, 12, 3, 2), kernel=(3, 2), dilation=(2, 1), padding="VALID")


def test_printed_c_is_pushed_and_reset(tmp_path: Path) -> None:
    model = dilated()
    program = compile_model(model, "cortex-m4", Options(frames=2, input_by_row=True))
    library, arena = printed(program, tmp_path), aligned(program.arena_bytes, 0x5A)
    where, frames = ctypes.c_void_p(arena.ctypes.data), drawn(program, 9)
    for start in (library.midge_model_init, lambda at, _: library.midge_model_reset(at)):
        assert start(where, ctypes.c_size_t(len(arena))) == OK
        answers = []
        for frame in frames:
            for row in frame[0]:
                at = ctypes.c_void_p(np.ascontiguousarray(row).ctypes.data)
                assert library.midge_model_push_rows(where, at, 1) == OK
            answers.append(outputs_of(library, arena, program))
        assert_window(model, frames, answers)


@pytest.mark.parametrize("target", ["reference", "interpreter", "x86-64"])
def test_a_saved_program_goes_on(target: str, tmp_path: Path) -> None:
    model = dilated()
    compile_model(model, target, Options(frames=1)).save(tmp_path / "p")
    program = Program.load(tmp_path / "p")
    try:
        executor = find_backend(target).build(program)
    except ToolError as error:
        pytest.skip(str(error))
    frames = drawn(program, 5)
    assert_window(model, frames, [executor.run([x]) for x in frames])
    executor.close()


REFUSED = [
    (b.arithmetic("ADD"), 1, "a model of 2 inputs can't take frames; one is needed"),
    (b.softmax((1, 10)), 1, r"shape \[1, 10\] has no rows that could be frames"),
    (dilated(), 12, "takes 1 to 11 new frames of the window of 12, not 12"),
    (dilated(), 0, "takes 1 to 11 new frames of the window of 12, not 0"),
    (b.conv2d((1, 9, 3, 2), stride=(2, 2)), 1, "conv2d 0 '.*' makes a row of every 2 of its input"),
    (b.conv2d((1, 4, 3, 2), kernel=(7, 1)), 1, "has padding that reaches all its rows but the new"),
    (b.mean(), 1, "save no multiplication: mean 0 '.*' needs all rows of its input"),
]


@pytest.mark.parametrize(("model", "frames", "why"), REFUSED)
def test_what_cannot_be_is_refused(model: bytes, frames: int, why: str) -> None:
    with pytest.raises(PlanError, match=why):
        compile_model(model, "host", Options(frames=frames))
