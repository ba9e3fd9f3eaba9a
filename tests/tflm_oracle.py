"""TFLM's own interpreter, the first link of the truth chain where TFLite has no kernel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from midge.runtime.importers.tflite_file import parse

ARENA_BYTES = 1 << 20


def tflm_runs(
    model: bytes, runs: Sequence[Sequence[np.ndarray]], reset_before: int = -1
) -> list[list[np.ndarray]]:
    """Several inferences one after the other (state is kept), inputs and outputs in file order.

    The interpreter is reset before inference `reset_before`.

    The calling test is skipped if tflite-micro isn't installed.
    """
    runtime = pytest.importorskip(
        "tflite_micro.python.tflite_micro.runtime",
        reason="the oracle needs tflite-micro, which is missing",
    )
    outputs = len(parse(model).outputs)
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=ARENA_BYTES)
    answers = []
    for number, inputs in enumerate(runs):
        if number == reset_before:
            interpreter.reset()
        for position, value in enumerate(inputs):
            interpreter.set_input(np.asarray(value), position)
        interpreter.invoke()
        answers.append([np.array(interpreter.get_output(i)) for i in range(outputs)])
    return answers
