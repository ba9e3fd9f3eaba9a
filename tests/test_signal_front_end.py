"""A front end as part of the model, over a second of sound: TFLM's features, frame by frame."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from hashlib import sha256

import build_signal as s
import numpy as np
import pytest
from cores import on_board
from tflm_oracle import tflm_runs

from cases import apart
from midge.runtime.backend import find_backend
from midge.runtime.errors import MissingTool
from midge.runtime.interpreter import Interpreter
from midge.runtime.pipeline import compile_model

STEP, FRAMES = 320, 50  # of 20 ms, at 16 kHz
# Of TFLM's own answers, so that they are known where it isn't installed.
FRONT_END_SHA256 = "0fd4c450eef10ad4be3151c5ea771b7416e68f029606fdb1486759e4696bbec6"


def second_of_sound() -> np.ndarray:
    """A voice that comes and goes in noise, and clips; silence at first. int16 [FRAMES, STEP]."""
    time = np.arange(FRAMES * STEP) / 16000
    phase = 2 * np.pi * np.cumsum(130 + 40 * np.sin(2 * np.pi * 1.3 * time)) / 16000
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    noise = np.random.default_rng(3).normal(0, 200, len(time))
    sound = 26000 * np.clip(np.sin(2 * np.pi * 2.1 * time), 0, 1) ** 2 * voice + noise
    sound[: 3 * STEP] = 0
    return np.round(sound).clip(-32768, 32767).astype(np.int16).reshape(FRAMES, STEP)


@cache
def front_end_answers() -> list[list[np.ndarray]]:
    """What the reference makes of each frame, which is what TFLM makes of it."""
    runs = [[frame] for frame in second_of_sound()]
    executor = find_backend("reference").build(compile_model(s.front_end(), "reference"))
    answers = [executor.run(frame) for frame in runs]
    features = np.stack([values for values, _ in answers])
    assert features.shape == (FRAMES, 40) and len(np.unique(features)) > 200
    assert sha256(features.astype("<i2").tobytes()).hexdigest() == FRONT_END_SHA256
    return answers


def assert_frames(answers: Iterable[list[np.ndarray]]) -> None:
    for answer, right in zip(answers, front_end_answers(), strict=True):
        for actual, wanted in zip(answer, right, strict=True):
            assert actual.dtype == wanted.dtype
            np.testing.assert_array_equal(actual, wanted)


def test_a_front_end_has_tflms_bits_frame_by_frame() -> None:
    assert_frames(tflm_runs(s.front_end(), [[frame] for frame in second_of_sound()]))


def test_a_front_end_has_the_same_bits_on_the_host_and_after_a_reset() -> None:
    interpreter = Interpreter(model_content=s.front_end())
    interpreter.allocate_tensors()
    (end,) = interpreter.get_input_details()
    answers = []
    for frame in [*second_of_sound(), *second_of_sound()]:
        if len(answers) == FRAMES:
            interpreter.reset_all_variables()
        interpreter.set_tensor(end["index"], frame)
        interpreter.invoke()
        made = interpreter.get_output_details()
        answers.append([interpreter.get_tensor(each["index"]) for each in made])
    assert_frames(answers[:FRAMES])
    assert_frames(answers[FRAMES:])


def test_a_front_end_has_the_same_bits_on_a_microcontroller() -> None:
    case = apart("front_end", s.front_end)
    try:
        answers = on_board("cortex-m4", {case: [[frame] for frame in second_of_sound()]})
    except MissingTool as error:
        pytest.skip(str(error))
    assert_frames(answers["front_end"])
