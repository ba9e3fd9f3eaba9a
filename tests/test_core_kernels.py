"""Kernels of single cores over many geometries, in one firmware on the emulated board."""

from __future__ import annotations

import build_binary as bits
import build_tflite as build
import numpy as np
import pytest
from cores import on_board, sanitized

from cases import Case
from midge.kernels.reference import ReferenceBackend
from midge.runtime.attributes import BConv2D, Padding
from midge.runtime.backend import find_backend
from midge.runtime.errors import MissingTool
from midge.runtime.graph import BINARY
from midge.runtime.importers import read_model
from midge.runtime.pipeline import compile_graph, compile_model
from midge.tools.arguments import random_inputs

AROUND = Padding(1, 1, 1, 1)
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


def binary(seed):
    groups = one_of(1, 1, 1, 2)
    depth = groups * 32 if groups > 1 else one_of(1, 31, 33, 64, 100, 130, 400)
    bitpacked = one_of(False, True)
    return bits.bconv2d(
        (1, between(4, 7), between(4, 7), depth),
        filters=groups * one_of(1, 4, 8, 9, 33, 40),
        kernel=(between(1, 3), between(1, 3)),
        stride=(between(1, 2), between(1, 3)),
        dilation=one_of((1, 1), (2, 1), (1, 2)),
        padding=one_of("SAME", "VALID"),
        pad_value=1 if bitpacked else one_of(0, 1),
        activation=one_of("none", "relu", "relu6", "relu_n1_to_1"),
        dtype=one_of("float32", "int8"),
        bitpacked=bitpacked,
        groups=groups,
        seed=seed,
    )


MAKERS = {convolution: 40, depthwise: 30, column: 12, fully_connected: 16, addition: 8, binary: 16}
MODELS = {
    f"{maker.__name__}_{i}": maker(i) for maker, count in MAKERS.items() for i in range(count)
}


def extremes(model):
    """Random inputs, and only the least and greatest values."""
    graph = read_model(model)
    first, second = random_inputs(graph, 0), random_inputs(graph, 1)
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
    kernels = [k for k in kernels if "bconv2d" not in k and "binarize" not in k]
    expected = [k for k in kernels if name == "helium" or k.startswith(("conv", "fully"))]
    assert sum(name in kernel for kernel in expected) > 0.9 * len(expected)


def test_bits_take_less_than_half_of_what_int8_takes():
    """Instructions of a 3x3 convolution on Helium, exactly counted."""
    graph, node = bits.layer(BConv2D(256, padding=AROUND), (1, 4, 4, 256), 64, (3, 3), BINARY)
    int8 = read_model(build.conv2d((1, 4, 4, 256), filters=64, kernel=(3, 3), padding="SAME"))
    counts = []
    for layer, x in (
        (graph, bits.random_bits(graph, node, 0)),
        (int8, random_inputs(int8, 0)[0]),
    ):
        try:
            executor = find_backend("cortex-m55").build(compile_graph(layer, "cortex-m55"))
        except MissingTool as error:
            pytest.skip(str(error))
        executor.run([x])
        counts.append(executor.measurement.instructions)
        executor.close()
    assert 2 * counts[0] < counts[1]


@pytest.mark.parametrize(("filters", "channels", "fast"), [(4, 32, 1), (2, 32, 0), (2, 1200, 1)])
def test_few_filters_are_left_to_the_plain_kernel(filters, channels, fast):
    graph, _ = bits.layer(BConv2D(channels), (1, 2, 2, channels), filters, dtype=BINARY)
    (call,) = compile_graph(graph, "cortex-m55").calls()
    assert ("helium" in call.kernel) == fast
