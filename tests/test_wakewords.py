"""Streaming models that keep their state in resource variables: those of pymicro-wakeword."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import pytest
from oracle import tflite_reference_runs

from midge import Interpreter
from midge.runtime.backend import find_backend
from midge.runtime.pipeline import compile_model

wakewords = pytest.importorskip(
    "pymicro_wakeword", reason="the package pymicro-wakeword is missing"
)
NAMES = [model.value for model in wakewords.Model]
RATE, SECONDS, CHUNK = 16000, 10, 160


def path_of(name: str) -> Path:
    return Path(wakewords.__file__).parent / "models" / f"{name}.tflite"


@pytest.fixture(scope="module")
def features() -> list[np.ndarray]:
    """Ten seconds of voiced and unvoiced sounds, by the package's own front end."""
    time = np.arange(RATE * SECONDS) / RATE
    pitch = 110 + 40 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voiced = sum(np.sin(k * phase) / k for k in range(1, 24))
    noise = np.random.default_rng(3).normal(0, 0.3, len(time))
    loudness = np.clip(np.sin(2 * np.pi * 1.9 * time), 0, 1) ** 2
    audio = (6000 * loudness * voiced + 2000 * noise).astype(np.int16)
    front = wakewords.MicroWakeWordFeatures()
    return list(front.process_streaming(audio.tobytes()))


@pytest.mark.parametrize("name", NAMES)
def test_frame_by_frame_over_ten_seconds(name: str, features: list[np.ndarray]) -> None:
    """The bits of TFLite's reference kernels, and the package's probabilities but for rounding.

    The package's own library has optimized kernels, which round once where the reference rounds
    twice; steps are of 1/256.
    """
    theirs = wakewords.MicroWakeWord.from_config(path_of(name).with_suffix(".json"))
    theirs.sliding_window_size = 1  # each frame's probability, not the mean of several
    theirs._probabilities = deque(maxlen=1)
    targets = [
        find_backend(target).build(compile_model(path_of(name), target))
        for target in ("reference", "host")
    ]
    graph = targets[0].program.graph
    x, y = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    frames, wanted = [], []
    for first in range(0, len(features) - theirs.stride + 1, theirs.stride):
        group = features[first : first + theirs.stride]
        wanted.append([theirs.process_streaming_prob(feature) for feature in group][-1])
        real = np.concatenate(group, axis=1)
        numbers = np.round(real / theirs.input_scale + theirs.input_zero_point).astype(x.dtype)
        frames.append([numbers.reshape(x.shape)])
    truth = tflite_reference_runs(path_of(name).read_bytes(), frames)
    steps = []
    for frame, (answer,), probability in zip(frames, truth, wanted, strict=True):
        for executor in targets:
            np.testing.assert_array_equal(executor.run(frame)[0], answer)
        steps.append(abs((float(answer.reshape(-1)[0]) - y.zero_point) - probability / y.scale))
    assert len(frames) > 300
    assert np.mean(np.array(steps) < 1.01) > 0.85
    assert max(steps) < 26


def test_reset_forgets_what_was_heard() -> None:
    model = path_of(NAMES[0]).read_bytes()
    rng = np.random.default_rng(5)
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    detail = interpreter.get_input_details()[0]
    frames = [rng.integers(-128, 128, detail["shape"]).astype(np.int8) for _ in range(8)]
    wanted = [answer[0] for answer in tflite_reference_runs(model, [[x] for x in frames])]
    for _ in range(2):
        interpreter.reset_all_variables()
        for x, answer in zip(frames, wanted, strict=True):
            interpreter.set_tensor(detail["index"], x)
            interpreter.invoke()
            output = interpreter.get_output_details()[0]["index"]
            np.testing.assert_array_equal(interpreter.get_tensor(output), answer)
