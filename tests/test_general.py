"""General operators that TFLite's reference kernels leave out, or round in their own way."""

from __future__ import annotations

import build_general as g
import numpy as np
import pytest
from c_call import CTwin
from oracle import tflite_reference

from midge.runtime.backend import find_backend
from midge.runtime.errors import ModelError
from midge.runtime.pipeline import compile_model

WHOLE = {
    "ceil": g.one("CEIL"),
    "round": g.one("ROUND"),
    "cumsum": g.general(
        "CUMSUM", [((3, 4, 2), g.F), g.ints(1)], ((3, 4, 2), g.F),
        options="CumsumOptions", exclusive=True, reverse=True,
    ),
}  # fmt: skip
NEAREST = {name: g.one(name.upper()) for name in ("log", "sin", "cos", "elu")}
NEAREST["pow"] = g.two("POW")


def answers(model: bytes, x: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(reference, host, TFLite's own optimized kernels)."""
    runtime = pytest.importorskip("tflite_runtime.interpreter")
    interpreter = runtime.Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), x, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    theirs = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    ours = [
        find_backend(target).build(compile_model(model, target)).run(x)[0]
        for target in ("reference", "host")
    ]
    np.testing.assert_array_equal(*ours)
    return ours[0], ours[1], theirs


@pytest.mark.parametrize("name", WHOLE)
def test_exact_ones_are_those_of_tflite(name: str) -> None:
    shape = (3, 4, 2) if name == "cumsum" else (2, 3, 5)
    x = np.random.default_rng(1).integers(-9, 9, shape).astype(np.float32) / 4
    ours, _, theirs = answers(WHOLE[name], [x])
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", NEAREST)
def test_others_are_the_nearest_float(name: str) -> None:
    """C libraries disagree on the last bit of these; ours is the nearest float32."""
    rng = np.random.default_rng(2)
    x = [rng.uniform(0.1, 9, (2, 3, 5)).astype(np.float32)]
    x += [rng.uniform(-2, 2, (3, 1)).astype(np.float32)] if name == "pow" else []
    ours, _, theirs = answers(NEAREST[name], x)
    np.testing.assert_array_max_ulp(ours, theirs, 1)


@pytest.mark.parametrize(
    ("scale", "zero", "y"), [(0.05, -128, (0.03, -128)), (0.02, -100, (0.05, -20))]
)
def test_rsqrt_of_int8_has_the_bits_of_tflite(
    scale: float, zero: int, y: tuple[float, int]
) -> None:
    """Of all numbers above zero: TFLite has no answer for others."""
    model = g.general("RSQRT", [((256,), "int8", scale, zero)], ((256,), "int8", *y), version=2)
    x = np.maximum(np.arange(-128, 128), zero + 1).astype(np.int8)
    ours, _, _ = answers(model, [x])
    np.testing.assert_array_equal(ours, tflite_reference(model, [x])[0])


def test_elu_of_int8_is_that_of_tflite() -> None:
    model = g.general("ELU", [((256,), "int8", 0.03, 5)], ((256,), "int8", 0.03, 0))
    ours, _, theirs = answers(model, [np.arange(-128, 128).astype(np.int8)])
    np.testing.assert_array_equal(ours, theirs)


def test_a_sum_of_int8_saturates() -> None:
    """TFLite's kernel takes bytes for unsigned, and wraps; TFLM's does what is meant."""
    model = g.general(
        "SUM", [((5, 4), "int8", 0.05, -5), g.ints(1)], ((5,), "int8", 0.1, 9),
        options="ReducerOptions", version=2, keep_dims=False,
    )  # fmt: skip
    x = np.array([[n] * 4 for n in (-128, -40, -5, 7, 127)], np.int8)
    reference = find_backend("reference").build(compile_model(model, "reference"))
    np.testing.assert_array_equal(reference.run([x])[0], [-128, -61, 9, 33, 127])


@pytest.mark.parametrize("op", ["GATHER", "GATHER_ND"])
def test_indices_outside_take_the_nearest_slice(op: str) -> None:
    """On every backend; those that are known beforehand are refused."""
    indices = np.array([[-9], [-4], [-1], [0], [3], [4], [2**31 - 1], [-(2**31)]], np.int32)
    inside = [0, 0, 3, 0, 3, 3, 3, 0]
    options = {"options": "GatherOptions", "axis": 0} if op == "GATHER" else {}
    shape = (8, 1, 3) if op == "GATHER" else (8, 3)
    model = g.general(op, [((4, 3), g.F), ((8, 1), g.INT)], (shape, g.F), **options)
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    for target in ("reference", "host", "cortex-m4"):
        program = compile_model(model, target)
        executor = CTwin(program) if target == "cortex-m4" else find_backend(target).build(program)
        np.testing.assert_array_equal(executor.run([x, indices])[0], x[inside].reshape(shape))
    constant = g.general(op, [((4, 3), g.F), indices[:1]], ((1, *shape[1:]), g.F), **options)
    with pytest.raises(ModelError, match=r"indices from -9 to -9 in axes of \[4\]"):
        compile_model(constant, "reference")
