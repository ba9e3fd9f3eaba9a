"""Kernels of single cores over many geometries, in one firmware on the emulated board."""

from __future__ import annotations

import build_tflite as build
import numpy as np
import pytest
from cores import on_board, sanitized
from oracle import random_inputs

from cases import Case
from midge.kernels.reference import ReferenceBackend
from midge.runtime.errors import MissingTool
from midge.runtime.pipeline import compile_model

DRAWN = np.random.default_rng(7)


def one_of(*choices):
    return choices[DRAWN.integers(len(choices))]


def between(least, most):
    return int(DRAWN.integers(least, most + 1))


def convolution(seed):
    kernel = (between(1, 4), between(1, 4))
    return build.conv2d(
        (between(1, 2), between(4, 9), between(4, 11), one_of(1, 3, 5, 8, 16, 17, 40)),
        filters=one_of(1, 3, 4, 6, 8, 9),
        kernel=kernel,
        stride=(between(1, 2), between(1, 3)),
        dilation=one_of((1, 1), (1, 1), (2, 1), (1, 2)) if max(kernel) < 3 else (1, 1),
        padding=one_of("SAME", "VALID"),
        activation=one_of("NONE", "RELU", "RELU6"),
        seed=seed,
    )


def depthwise(seed):
    return build.depthwise_conv2d(
        (between(1, 2), between(4, 9), between(4, 41), one_of(1, 3, 4, 8, 16, 17, 23, 32)),
        kernel=(between(1, 4), 3),
        stride=(between(1, 2), between(1, 2)),
        padding=one_of("SAME", "VALID"),
        activation=one_of("NONE", "RELU", "RELU6"),
        seed=seed,
    )


def column(seed):
    return build.depthwise_conv2d(
        (1, between(16, 50), 1, one_of(1, 4, 16, 19, 32)),
        kernel=(between(1, 16), 1),
        padding=one_of("SAME", "VALID"),
        activation=one_of("NONE", "RELU"),
        seed=seed,
    )


def fully_connected(seed):
    return build.fully_connected(
        (between(1, 3), one_of(1, 3, 16, 17, 33, 64, 129)),
        units=one_of(1, 4, 7, 8, 9, 24),
        activation=one_of("NONE", "RELU"),
        seed=seed,
    )


def addition(seed):
    shape = (1, between(1, 4), between(1, 5), one_of(1, 2, 3, 4, 7, 16))
    return build.arithmetic(shape=shape, activation=one_of("NONE", "RELU"), seed=seed)


MAKERS = {convolution: 40, depthwise: 30, column: 12, fully_connected: 16, addition: 8}
MODELS = {
    f"{maker.__name__}_{i}": maker(i) for maker, count in MAKERS.items() for i in range(count)
}


def extremes(model):
    """Random inputs, and only the least and greatest values."""
    first, second = random_inputs(model, 0), random_inputs(model, 1)
    return [first, [np.where(v > 0, 127, -128).astype(v.dtype) for v in second]]


@pytest.mark.parametrize("run", [on_board, sanitized])
@pytest.mark.parametrize("target", ["cortex-m55", "rv32imc"])
def test_every_geometry(target, run):
    given = {Case(name, lambda m=model: m): extremes(model) for name, model in MODELS.items()}
    try:
        answers = run(target, given)
    except MissingTool as error:
        pytest.skip(str(error))
    for case, runs in given.items():
        reference = ReferenceBackend().build(compile_model(case.model(), "reference"))
        for inputs, outputs in zip(runs, answers[case.name], strict=True):
            np.testing.assert_array_equal(outputs[0], reference.run(inputs)[0], err_msg=case.name)


@pytest.mark.parametrize(("target", "name"), [("cortex-m55", "helium"), ("rv32imc", "packed")])
def test_nodes_get_these_kernels(target, name):
    """What the geometries are for: few of them are left to the plain kernels."""
    kernels = [call.kernel for m in MODELS.values() for call in compile_model(m, target).calls()]
    expected = [k for k in kernels if name == "helium" or k.startswith(("conv", "fully"))]
    assert sum(name in kernel for kernel in expected) > 0.9 * len(expected)
