"""Row streaming: other schedules, the same kernels, the same bits, less memory."""

from __future__ import annotations

import numpy as np
import pytest
from tflite_writer import ModelBuilder

from midge.runtime.backend import find_backend
from midge.runtime.errors import MissingTool, PlanError
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model
from midge.runtime.program import Loop, Program
from midge.runtime.replay import replay
from midge.runtime.schedule import Repeat, Work, roll


def two_convolutions(stride: int = 1, size: int = 16) -> bytes:
    """3x3 and 3x3 with a wide tensor between them: 16 x 16 x 2 -> 16 -> 2 channels."""
    model, rng = ModelBuilder(), np.random.default_rng(1)
    middle, out = size // stride, size // stride
    x = model.tensor((1, size, size, 2), "int8", 0.05, -3)
    hidden = model.tensor((1, middle, middle, 16), "int8", 0.06, 2)
    y = model.tensor((1, out, out, 2), "int8", 0.4, 5)
    for source, target, shape, step in (
        (x, hidden, (16, 3, 3, 2), stride),
        (hidden, y, (2, 3, 3, 16), 1),
    ):
        weights = model.constant(rng.integers(-127, 128, shape), "int8", scale=0.01)
        bias = model.constant(rng.integers(-500, 500, shape[0]), "int32", scale=0.0005)
        model.node(
            "CONV_2D",
            [source, weights, bias],
            [target],
            padding="SAME",
            stride_h=step,
            stride_w=step,
        )
    return model.build([x], [y])


STREAMED = Options(segments=((0, 1),))


def run(program: Program, target: str, inputs: list[np.ndarray]) -> list[np.ndarray]:
    executor = find_backend(target).build(program)
    try:
        return executor.run(inputs)
    finally:
        executor.close()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("target", ["host", "cortex-m4"])
def test_streamed_convolutions_have_the_same_bits(target: str, stride: int) -> None:
    model = two_convolutions(stride)
    inputs = [np.random.default_rng(2).integers(-128, 128, (1, 16, 16, 2)).astype(np.int8)]
    expected = run(compile_model(model, "reference"), "reference", inputs)
    program = compile_model(model, target, STREAMED)
    try:
        actual = run(program, target, inputs)
    except MissingTool as error:
        pytest.skip(str(error))
    np.testing.assert_array_equal(actual[0], expected[0])


def test_streaming_needs_a_ring_of_three_rows() -> None:
    whole = compile_model(two_convolutions(), "host", Options(overlap=False))
    streamed = compile_model(two_convolutions(), "host", STREAMED)
    rings = [b for b in streamed.buffers if b.kind == "activation"]
    assert [ring.size for ring in rings] == [3 * 16 * 16]
    assert any(isinstance(item, Loop) for item in streamed.items)
    assert len(streamed.items) <= 5  # filling, a loop, draining: not a call for each row
    assert without_scratch(streamed) < without_scratch(whole) / 2


def without_scratch(program: Program) -> int:
    """Most bytes of tensors that live at one time: a kernel's own buffer doesn't stream."""
    tensors = [b for b in program.buffers if b.kind != "scratch"]
    times = {b.first for b in tensors}
    return max(sum(b.size for b in tensors if b.first <= time <= b.last) for time in times)


@pytest.mark.parametrize("stride", [1, 2])
def test_streamed_plan_replays(stride: int) -> None:
    program = compile_model(two_convolutions(stride), "host", STREAMED)
    backend = find_backend("host")
    lowered = {i: backend.lower(program.graph, n) for i, n in enumerate(program.graph.nodes)}
    assert replay(program, lowered) > 0


def test_what_is_read_outside_the_segment_stays_whole() -> None:
    model = ModelBuilder()
    x, y, z = (model.tensor((1, 4, 4, 2), "int8", 0.05, 0) for _ in range(3))
    model.node("ADD", [x, x], [y])
    model.node("ADD", [y, x], [z])
    content = model.build([x], [y, z])
    program = compile_model(content, "host", STREAMED)
    assert set(program.graph.outputs) <= set(program.addresses)
    inputs = [np.random.default_rng(2).integers(-128, 128, (1, 4, 4, 2)).astype(np.int8)]
    expected = run(compile_model(content, "reference"), "reference", inputs)
    for actual, wanted in zip(run(program, "host", inputs), expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)


def test_segments_that_cannot_stream_are_refused() -> None:
    model = two_convolutions()
    with pytest.raises(PlanError, match=r"the segment \[1, 0\] must name neighbouring nodes"):
        compile_model(model, "host", Options(segments=((1, 0),)))
    with pytest.raises(PlanError, match="there is no strategy 'best'; the strategies are layers"):
        compile_model(model, "host", Options(strategy="best"))


def test_roll_finds_the_loop() -> None:
    works = [Work(0, 0, 2)]
    for row in range(5):
        works += [Work(1, row, row + 1), Work(0, row + 2, row + 3)]
    assert roll(works) == [
        Work(0, 0, 2),
        Repeat(5, (Work(1, 0, 1), Work(0, 2, 3)), (1, 1)),
    ]


def test_roll_leaves_irregular_work_alone() -> None:
    works = [Work(0, 0, 1), Work(1, 0, 1), Work(0, 1, 3), Work(1, 1, 2)]
    assert roll(works) == works
