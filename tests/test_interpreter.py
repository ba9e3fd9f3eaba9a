"""The Python API behaves as the runtimes that it stands in for."""

from __future__ import annotations

import threading

import build_tflite as b
import numpy as np
import pytest
from oracle import random_inputs, reference_interpreter, tflite_reference

import midge


def interpreter(model: bytes, **options: object) -> midge.Interpreter:
    ready = midge.Interpreter(model_content=model, **options)  # type: ignore[arg-type]
    ready.allocate_tensors()
    return ready


def test_invoke_gives_tflites_answer() -> None:
    model = b.conv2d()
    inputs = random_inputs(model)
    ours = interpreter(model)
    ours.set_tensor(ours.get_input_details()[0]["index"], inputs[0])
    ours.invoke()
    actual = ours.get_tensor(ours.get_output_details()[0]["index"])
    np.testing.assert_array_equal(actual, tflite_reference(model, inputs)[0])


@pytest.mark.parametrize("make", [b.conv2d, b.softmax, b.fully_connected, b.mean])
def test_details_are_tflites(make) -> None:  # type: ignore[no-untyped-def]
    ours, theirs = interpreter(make()), reference_interpreter(make())
    for mine, its in (
        (ours.get_input_details(), theirs.get_input_details()),
        (ours.get_output_details(), theirs.get_output_details()),
    ):
        assert len(mine) == len(its)
        for a, e in zip(mine, its, strict=True):
            assert a.keys() == e.keys()
            for key in ("name", "index", "dtype", "quantization", "sparsity_parameters"):
                assert a[key] == e[key], key
            for key in ("shape", "shape_signature"):
                np.testing.assert_array_equal(a[key], e[key])
                assert a[key].dtype == e[key].dtype
            for key, value in e["quantization_parameters"].items():
                np.testing.assert_array_equal(a["quantization_parameters"][key], value)


def test_wrong_use_gives_tflites_errors() -> None:
    with pytest.raises(ValueError, match=r"`model_path` or `model_content` must be specified."):
        midge.Interpreter()
    with pytest.raises(ValueError, match=r"Can't both provide `model_path` and `model_content`"):
        midge.Interpreter("a.tflite", b"")
    with pytest.raises(ValueError, match=r"num_threads should be"):
        midge.Interpreter(model_content=b.conv2d(), num_threads=-2)
    early = midge.Interpreter(model_content=b.conv2d())
    with pytest.raises(RuntimeError, match=r"call allocate_tensors"):
        early.invoke()


def test_wrong_inputs_are_named() -> None:
    ours = interpreter(b.conv2d())
    index = ours.get_input_details()[0]["index"]
    with pytest.raises(ValueError, match=r"Got value of type float32 but expected type int8"):
        ours.set_tensor(index, np.zeros((1, 8, 8, 3), np.float32))
    with pytest.raises(ValueError, match=r"Dimension mismatch. Got .1, 8, 8. but expected"):
        ours.set_tensor(index, np.zeros((1, 8, 8), np.int8))
    with pytest.raises(ValueError, match=r"is not an input"):
        ours.set_tensor(ours.get_output_details()[0]["index"], np.zeros(1, np.int8))


def test_a_kept_view_stops_invoke() -> None:
    ours = interpreter(b.conv2d())
    view = ours.tensor(ours.get_input_details()[0]["index"])()
    view[...] = 3
    with pytest.raises(RuntimeError, match=r"at least 1 reference to internal data"):
        ours.invoke()
    del view
    ours.invoke()


def test_inputs_survive_invoke() -> None:
    model = b.arithmetic()
    ours = interpreter(model)
    for detail, value in zip(ours.get_input_details(), random_inputs(model), strict=True):
        ours.set_tensor(detail["index"], value)
    out = ours.get_output_details()[0]["index"]
    ours.invoke()
    first = ours.get_tensor(out)
    ours.invoke()
    np.testing.assert_array_equal(ours.get_tensor(out), first)


def test_resize_to_a_batch() -> None:
    model = b.conv2d()
    ours, theirs = interpreter(model), reference_interpreter(model)
    x = np.random.default_rng(0).integers(-128, 128, (3, 5, 6, 3)).astype(np.int8)
    answers = []
    for one in (ours, theirs):
        index = one.get_input_details()[0]["index"]
        one.resize_tensor_input(index, (3, 5, 6, 3))
        one.allocate_tensors()
        one.set_tensor(index, x)
        one.invoke()
        answers.append(one.get_tensor(one.get_output_details()[0]["index"]))
    np.testing.assert_array_equal(*answers)


def test_state_is_kept_and_reset() -> None:
    model = b.lstm()
    ours = interpreter(model)
    index, out = (d[0]["index"] for d in (ours.get_input_details(), ours.get_output_details()))
    ours.set_tensor(index, random_inputs(model)[0])
    answers = []
    for reset in (False, False, True):
        if reset:
            ours.reset_all_variables()
        ours.invoke()
        answers.append(ours.get_tensor(out))
    assert not np.array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])


def test_preserved_tensors_can_be_read() -> None:
    model = b.conv2d()
    ours = interpreter(model, experimental_preserve_all_tensors=True)
    ours.set_tensor(ours.get_input_details()[0]["index"], random_inputs(model)[0])
    ours.invoke()
    out = ours.get_output_details()[0]["index"]
    np.testing.assert_array_equal(
        ours.get_tensor(out), tflite_reference(model, random_inputs(model))[0]
    )


def test_invoke_holds_no_gil_and_threads_agree() -> None:
    model = b.conv2d(shape=(1, 32, 32, 8), filters=16)
    inputs = random_inputs(model)
    expected = tflite_reference(model, inputs)[0]
    answers: list[np.ndarray] = []

    def work() -> None:
        ours = interpreter(model)
        ours.set_tensor(ours.get_input_details()[0]["index"], inputs[0])
        for _ in range(5):
            ours.invoke()
            answers.append(ours.get_tensor(ours.get_output_details()[0]["index"]))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert len(answers) == 15
    for answer in answers:
        np.testing.assert_array_equal(answer, expected)


def test_rows_can_be_pushed_one_by_one() -> None:
    model = b.conv2d()
    inputs = random_inputs(model)
    expected = tflite_reference(model, inputs)[0]
    ours = midge.Interpreter(model_content=model, input_by_row=True)
    ours.allocate_tensors()
    x, y = ours.get_input_details()[0]["index"], ours.get_output_details()[0]["index"]
    left = [ours.push_rows(inputs[0][0, row : row + 1]) for row in range(8)]
    assert left == [7, 6, 5, 4, 3, 2, 1, 0]
    np.testing.assert_array_equal(ours.get_tensor(y), expected)
    ours.set_tensor(x, inputs[0])
    ours.invoke()
    np.testing.assert_array_equal(ours.get_tensor(y), expected)
    with pytest.raises(midge.MidgeError, match=r"8 row\(s\) are still to come, 9 were pushed"):
        ours.push_rows(np.zeros((9, 8, 3), np.int8))
    with pytest.raises(midge.MidgeError, match=r"must be int8 of shape \[n, 8, 3\], not float64"):
        ours.push_rows(np.zeros((1, 8, 3)))
    whole = midge.Interpreter(model_content=model)
    whole.allocate_tensors()
    with pytest.raises(midge.MidgeError, match="takes its input as a whole"):
        whole.push_rows(inputs[0][0])


def test_session_runs_by_name() -> None:
    model = b.conv2d()
    session = midge.InferenceSession(model)
    x = session.get_inputs()[0]
    assert (x.shape, x.type) == ((1, 8, 8, 3), "tensor(int8)")
    inputs = random_inputs(model)
    answer = session.run(None, {x.name: inputs[0]})
    np.testing.assert_array_equal(answer[0], tflite_reference(model, inputs)[0])
    named = session.run([session.get_outputs()[0].name], {x.name: inputs[0]})
    np.testing.assert_array_equal(named[0], answer[0])


def test_session_names_what_is_wrong() -> None:
    session = midge.InferenceSession(b.conv2d())
    with pytest.raises(midge.MidgeError, match=r"the model takes the inputs"):
        session.run(None, {"nonsense": np.zeros(1)})
    name = session.get_inputs()[0].name
    with pytest.raises(midge.MidgeError, match=r"must be int8 of shape .1, 8, 8, 3., not float64"):
        session.run(None, {name: np.zeros((1, 8, 8, 3))})
    with pytest.raises(midge.MidgeError, match=r"no output 'nonsense'"):
        session.run(["nonsense"], {name: np.zeros((1, 8, 8, 3), np.int8)})
