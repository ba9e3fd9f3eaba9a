"""The first link of the truth chain: TFLite's own reference kernels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest


def tflite_reference(model: bytes, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """One inference by tflite-runtime's BUILTIN_REF kernels, inputs and outputs in file order.

    The calling test is skipped if tflite-runtime isn't installed.
    """
    return tflite_reference_runs(model, [inputs])[0]


def tflite_reference_runs(
    model: bytes, runs: Sequence[Sequence[np.ndarray]]
) -> list[list[np.ndarray]]:
    """Several inferences one after the other by one interpreter: state (SVDF, LSTM) is kept."""
    interpreter = reference_interpreter(model)
    answers = []
    for inputs in runs:
        for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
            interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
        details = interpreter.get_output_details()
        answers.append([interpreter.get_tensor(detail["index"]) for detail in details])
    return answers


def reference_interpreter(model: bytes, preserve_all_tensors: bool = False):  # type: ignore[no-untyped-def]
    """An allocated interpreter with the reference kernels only."""
    runtime = pytest.importorskip(
        "tflite_runtime.interpreter", reason="the oracle needs tflite-runtime, which is missing"
    )
    interpreter = runtime.Interpreter(
        model_content=model,
        num_threads=1,
        experimental_op_resolver_type=runtime.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=preserve_all_tensors,
    )
    interpreter.allocate_tensors()
    return interpreter


def random_inputs(model: bytes, seed: int = 0) -> list[np.ndarray]:
    """Inputs over the whole range of their dtype (floats: standard normal), in file order."""
    rng, inputs = np.random.default_rng(seed), []
    for detail in reference_interpreter(model).get_input_details():
        shape, dtype = detail["shape"], detail["dtype"]
        if np.issubdtype(dtype, np.floating):
            inputs.append(rng.normal(size=shape).astype(dtype))
        elif dtype == np.bool_:
            inputs.append(rng.integers(0, 2, shape).astype(bool))
        else:
            limits = np.iinfo(dtype)
            inputs.append(rng.integers(limits.min, limits.max, shape, dtype, endpoint=True))
    return inputs
