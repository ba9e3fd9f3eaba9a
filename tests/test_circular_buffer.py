"""Circular buffers that let one of several inferences go on, beside TFLM's own interpreter.

On every target their bits are those of the case `circular_buffer_ending`.
"""

from __future__ import annotations

import build_cycles as c
import numpy as np
import pytest
from tflite_writer import ModelBuilder
from tflm_oracle import tflm_runs

from midge.runtime.backend import build
from midge.runtime.errors import MissingTool, PlanError, UnsupportedModel
from midge.runtime.importers import read_model
from midge.runtime.importers.tflite_file import parse
from midge.runtime.importers.tflite_micro import cycles_of
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model
from midge.runtime.program_file import from_bytes, to_bytes
from midge.runtime.while_loop import WHILE

RUNS, RESET = 15, 8
FIRST, SECOND = 3, 2
# The outputs of `ending` that are made behind buffers: in one of so many inferences.
BEHIND = {2: FIRST, 4: FIRST * SECOND}


def inputs() -> list[list[np.ndarray]]:
    rng = np.random.default_rng(3)
    return [[rng.integers(-40, 40, c.ROW).astype(np.int8)] for _ in range(RUNS)]


def as_tflm_has_them() -> list[list[np.ndarray]]:
    """TFLM's answers. In an inference that a buffer ends, an output behind it is whatever lies in
    TFLM's arena, mostly another tensor: it is the last here, and zeros before there was one."""
    answers = tflm_runs(c.ending(FIRST, SECOND), inputs(), reset_before=RESET)
    for number, outputs in enumerate(answers):
        since = number - RESET if number >= RESET else number
        for output, cycles in BEHIND.items():
            if (since + 1) % cycles:
                zeros = np.zeros_like(outputs[output])
                outputs[output] = answers[number - 1][output] if since else zeros
    return answers


@pytest.mark.parametrize("target", ["reference", "host", "cortex-m4"])
def test_one_of_several_inferences_goes_on(target: str) -> None:
    """A reset, and a program that was saved and read, begin with a new count."""
    program = compile_model(c.ending(FIRST, SECOND), target)
    again = from_bytes(to_bytes(program))
    assert to_bytes(again) == to_bytes(program)
    try:
        executor = build(again)
    except MissingTool as error:
        pytest.skip(str(error))
    for number, (x, wanted) in enumerate(zip(inputs(), as_tflm_has_them(), strict=True)):
        if number == RESET:
            executor.reset()
        for output, (y, right) in enumerate(zip(executor.run(x), wanted, strict=True)):
            message = f"inference {number}, output {output}"
            np.testing.assert_array_equal(y, right, err_msg=message)
    executor.close()


def test_what_is_behind_a_buffer_is_a_loops_body() -> None:
    graph = read_model(c.ending())
    (loop,) = [node for node in graph.nodes if node.op == WHILE]
    assert [node.op for node in loop.attrs.body.nodes].count(WHILE) == 1
    assert WHILE not in [node.op for node in read_model(c.ending(1, 1)).nodes]


def test_buffers_that_do_not_say_are_those_of_tflms_models() -> None:
    """As TFLM's own interpreter counted: by rows, and the fifth by its width and channels."""
    model = ModelBuilder()
    x, kept = model.tensor((1, 1, 2, 96), *c.Q), []
    for rows in (4, 4, 25, 4, 4, 4, 4, 4, 4):
        kept.append(model.tensor((1, rows, 2, 96), *c.Q, variable=True))
        model.node("CUSTOM", [x], kept[-1:], custom_code="CIRCULAR_BUFFER")
    assert list(cycles_of(parse(model.build([x], kept))).values()) == [2, 2, 1, 2, 2, 2, 2, 1, 2]


def test_other_states_behind_a_buffer_are_refused() -> None:
    with pytest.raises(UnsupportedModel, match=r"svdf.*it keeps a state, and a CIRCULAR_BUFFER"):
        read_model(c.keeping())


def test_rows_in_another_scale_behind_a_buffer_are_refused() -> None:
    model = ModelBuilder()
    x = model.tensor(c.ROW, *c.Q)
    row = c.pooled(model, c.buffered(model, x, 4, 2), 4)
    with pytest.raises(UnsupportedModel, match="rows come in another scale"):
        read_model(model.build([x], [c.buffered(model, row, 3, 1, scale=0.1)]))


def test_too_many_buffers_are_refused() -> None:
    model = ModelBuilder()
    x = last = model.tensor(c.ROW, *c.Q)
    for _ in range(18):
        last = c.pooled(model, c.buffered(model, last, 2, 2), 2)
    with pytest.raises(UnsupportedModel, match="more than 16 CIRCULAR_BUFFERs"):
        read_model(model.build([x], [last]))


def test_input_by_row_is_refused() -> None:
    with pytest.raises(PlanError, match=r"CIRCULAR_BUFFER.*leave out input by row"):
        compile_model(c.ending(), "cortex-m4", Options(input_by_row=True))
