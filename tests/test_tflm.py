"""What TFLM alone has, or does in its own way, with answers of TFLM itself.

Its interpreter is that of the package tflite-micro (0.dev20261023182759): `runtime.Interpreter
.from_bytes(model)`, `set_input`, `invoke`, `get_output`. It isn't needed here: its answers are.
"""

from __future__ import annotations

import zlib

import build_general as g
import general_cases
import numpy as np
import pytest
from flatbuffers import flexbuffers
from oracle import random_inputs, tflite_reference
from tflite_writer import ModelBuilder

from midge.runtime.backend import find_backend
from midge.runtime.errors import MidgeError, UnsupportedModel
from midge.runtime.importers.tflite import read_tflite
from midge.runtime.pipeline import compile_model

TARGETS = ("reference", "host")
# Of rng.integers(-128, 128, (1, 1, 4, 3)), drawn one after the other with seed 4.
BUFFERED = [
    [20, -28, -22, 127, 117, 127],
    [127, -128, 35, 71, -128, 62],
    [127, -128, 79, 127, 62, 127],
    [127, -35, -35, 127, -128, 127],
    [127, -4, 94, 36, -118, 127],
    [127, -128, -19, 127, 109, -128],
    [127, -128, 127, 127, 127, 127],
]


@pytest.mark.parametrize("target", TARGETS)
def test_a_circular_buffer_keeps_what_came(target: str) -> None:
    executor = find_backend(target).build(compile_model(g.circular_buffer(cycles_max=1), target))
    rng = np.random.default_rng(4)
    for wanted in BUFFERED:
        (y,) = executor.run([rng.integers(-128, 128, (1, 1, 4, 3)).astype(np.int8)])
        np.testing.assert_array_equal(y.reshape(-1), wanted)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(6,), (2, 3)], ids=["a row", "rows"])
def test_a_classifier_says_which_numbers_reach_their_thresholds(
    target: str, shape: tuple[int, ...]
) -> None:
    executor = find_backend(target).build(compile_model(g.classifier(shape), target))
    reached, picked = executor.run([np.array([8, 1, 2, 9, 4, -7], np.int32).reshape(shape)])
    assert picked.tolist() == [9, 8, 9, -7]
    assert reached.tolist() == [True, True, False, False]


def test_what_vela_made_is_refused_with_a_remedy() -> None:
    model = ModelBuilder()
    x, y = model.tensor((1, 8), *g.Q), model.tensor((1, 8), *g.Q)
    model.node("CUSTOM", [x], [y], custom_code="ethos-u", custom_options=b"COP1")
    with pytest.raises(UnsupportedModel, match=r"give midge the \.tflite file that Vela was given"):
        read_tflite(model.build([x], [y]))


# Classes, scores and the first box of the last of twelve inputs, many scores alike.
DETECTED = {
    False: ([0, 2, 1, 1, 1, 2, 1, 2], [1, 1, 1, 1, 1, 1, 1, 0.9375]),
    True: ([0, 0, 1, 1, 1, 1, 2, 2], [1, 1, 1, 1, 1, 1, 1, 1]),
}
FIRST_BOX = np.array([0x3E704658, 0x3F50F362, 0x3F37CE8A, 0x3F7A3220], np.uint32)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("regular", DETECTED)
def test_detections_are_those_of_tflm(target: str, regular: bool) -> None:
    rng = np.random.default_rng(11)
    x = [rng.normal(size=(1, 60, 4)), rng.integers(0, 17, (1, 60, 4)) / 16]
    executor = find_backend(target).build(compile_model(g.detector(regular), target))
    boxes, classes, scores, count = executor.run([each.astype(np.float32) for each in x])
    wanted = DETECTED[regular]
    np.testing.assert_array_equal(classes[0], np.array(wanted[0], np.float32))
    np.testing.assert_array_equal(scores[0], np.array(wanted[1], np.float32))
    np.testing.assert_array_equal(boxes[0, 0].view(np.uint32), FIRST_BOX)
    assert count == [8]


@pytest.mark.parametrize("dtype", [g.F, "uint8"])
def test_detections_are_those_of_tflite(dtype: str) -> None:
    """As many as there are: what TFLite leaves behind them is nothing."""
    model = g.detector(dtype=dtype, most=60)
    x = random_inputs(model)
    if dtype == g.F:
        x[1] = np.abs(np.sin(x[1]))
    wanted = tflite_reference(model, x)
    ours = find_backend("reference").build(compile_model(model, "reference")).run(x)
    found = int(ours[3][0])
    assert wanted[3] == [found] and 0 < found < 60
    for a, b in zip(ours[:3], wanted, strict=False):
        np.testing.assert_array_equal(a[:, :found], b[:, :found])
        assert not a[:, found:].any()


def detector_with(**changed: object) -> bytes:
    """The options of `g.detector` with some changed; None leaves one out."""
    model = ModelBuilder()
    x, scores = model.tensor((1, 6, 4), g.F), model.tensor((1, 6, 2), g.F)
    anchors = model.constant(np.ones((6, 4)), g.F)
    made = [model.tensor(shape, g.F) for shape in ((1, 4, 4), (1, 4), (1, 4), (1,))]
    options: dict[str, object] = {
        "max_detections": 4, "num_classes": 2, "nms_score_threshold": 0.5, "y_scale": 1.0,
        "nms_iou_threshold": 0.5, "x_scale": 1.0, "h_scale": 1.0, "w_scale": 1.0, **changed,
    }  # fmt: skip
    content = flexbuffers.Dumps({k: v for k, v in options.items() if v is not None})
    model.node(
        "CUSTOM", [x, scores, anchors], made, custom_code="TFLite_Detection_PostProcess",
        custom_options=bytes(content),
    )  # fmt: skip
    return model.build([x, scores], made)


BROKEN: list[tuple[dict[str, object], str]] = [
    ({"max_detections": None}, "its options lack max_detections"),
    ({"max_detections": 1 << 30}, "1073741824 detections of 2 classes"),
    ({"num_classes": 5}, r"scores \[1, 6, 2\] of 5 classes"),
    ({"y_scale": 0.0}, "are out of range"),
    ({"nms_iou_threshold": -1.0}, "an overlap of -1.0"),
    ({"max_classes_per_detection": 2}, "it makes several classes of a box"),
]


@pytest.mark.parametrize(("changed", "why"), BROKEN)
def test_broken_detectors_get_a_sentence(changed: dict[str, object], why: str) -> None:
    assert read_tflite(detector_with()).nodes[0].op == "detection"
    with pytest.raises(MidgeError, match=why):
        read_tflite(detector_with(**changed))


# CRC-32 of the outputs for inputs of all int8 numbers, drawn with seeds 0, 1 and 2.
CHECKSUMS = {
    "div_int8": (1347347271, 3577141661, 3175513540),
    "add_n_int8": (459364205, 196594806, 3877580389),
    "cumsum_int8": (3806935366, 906355539, 574509706),
}


@pytest.mark.parametrize("name", CHECKSUMS)
def test_int8_is_that_of_tflm(name: str) -> None:
    model = dict(general_cases.CASES)[name]()
    program = compile_model(model, "reference")
    executor = find_backend("reference").build(program)
    for seed, wanted in enumerate(CHECKSUMS[name]):
        rng = np.random.default_rng(seed)
        x = [rng.integers(-128, 128, each.shape).astype(np.int8) for each in program.inputs]
        assert zlib.crc32(executor.run(x)[0].tobytes()) == wanted
