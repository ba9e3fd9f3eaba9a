"""The C kernels, built for this machine, have the NumPy reference's bits on every geometry."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import product

import build_tflite as build
import numpy as np
import pytest
from c_call import CTwin, kernel_library, run_c
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from one_operator import operands, read_operator
from oracle import random_inputs
from thumb_call import ThumbTwin
from vector_geometry import draw_winograd

from cases import OPERATORS, Case
from midge.kernels import table
from midge.kernels.quantize import TO_EVEN
from midge.kernels.reference import ReferenceBackend
from midge.runtime.errors import MissingTool
from midge.runtime.graph import Graph, Node
from midge.runtime.lowering import Lowered
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model
from midge.sim.qemu import find_tool
from midge.targets.cortex_m.lowering import lower
from midge.targets.cortex_m.sources import c_kernels
from midge.tools import arguments

try:
    find_tool("gcc")
except MissingTool as error:
    pytest.skip(str(error), allow_module_level=True)

TWINS: tuple[type[CTwin], ...] = (CTwin,)
try:
    for tool in ("arm-linux-gnueabihf-gcc", "qemu-arm"):
        find_tool(tool)
    TWINS += (ThumbTwin,)
except MissingTool as error:
    warnings.warn(f"the assembly is tested on whole models alone: {error}", stacklevel=1)

TYPES = ("int8", "uint8", "int16", "float32")
ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
CHANNELS = st.sampled_from([1, 3, 4, 8, 17, 21])
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
windows = st.tuples(st.integers(1, 5), st.integers(1, 5))


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    """Compile before the first example: a compiler's error is nothing to shrink."""
    kernel_library()


def assert_same(model: bytes, seed: int = 0) -> None:
    """C kernel and NumPy reference agree, with the output apart from the input and over it.

    So do the kernels for plans with less room for scratch or more flash, and all of them as the
    assembly of a core with the DSP extension, where that can be emulated.
    """
    graph, node = read_operator(model)
    arrays = operands(graph, node, random_inputs(model, seed))
    wanted = table.OPERATIONS[node.op].reference(graph, node, arrays)
    made_by = [number for number, how in enumerate(lower(graph, node).ways) if not how.takes]
    for choice, twin in product(made_by, TWINS):
        kind = choose(choice)
        for overlap in (False, True):
            made = run_c(graph, node, arrays, overlap, kind, twin)
            for actual, expected in zip(made, wanted, strict=True):
                assert actual.dtype == expected.dtype
                message = f"overlap {overlap}, choice {choice}, {twin.__name__}"
                np.testing.assert_array_equal(actual, expected, err_msg=message)


def choose(choice: int) -> Callable[[Graph, Node], Lowered]:
    return lambda graph, node: list(lower(graph, node).ways)[choice]


def drawn_image(data: st.DataObject, window: tuple[int, int], dilation=(1, 1)):
    """Shape, padding and stride that fit a window."""
    shape = (*(data.draw(st.integers(1, n)) for n in (2, 11, 11)), data.draw(CHANNELS))
    padding = data.draw(st.sampled_from(["SAME", "VALID"]))
    inside = all((k - 1) * d < n for k, d, n in zip(window, dilation, shape[1:3], strict=True))
    assume(padding == "SAME" or inside)
    return {"shape": shape, "padding": padding, "stride": data.draw(pairs)}


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(TYPES))
def test_conv2d(data, dtype):
    kernel, dilation = data.draw(windows), data.draw(pairs)
    model = build.conv2d(
        **drawn_image(data, kernel, dilation),
        kernel=kernel,
        dilation=dilation,
        filters=data.draw(CHANNELS),
        activation=data.draw(st.sampled_from(ACTIVATIONS)),
        dtype=dtype,
        per_channel=data.draw(st.booleans()),
        seed=data.draw(st.integers(0, 5)),
    )
    assert_same(model, data.draw(st.integers(0, 3)))


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
@pytest.mark.parametrize(("groups", "filters"), [(2, 6), (3, 6), (2, 12)])
def test_conv2d_groups(dtype, groups, filters):
    assert_same(build.conv2d((1, 5, 6, 6), filters=filters, dtype=dtype, groups=groups))


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(TYPES))
def test_depthwise_conv2d(data, dtype):
    kernel, dilation = data.draw(windows), data.draw(pairs)
    model = build.depthwise_conv2d(
        **drawn_image(data, kernel, dilation),
        kernel=kernel,
        dilation=dilation,
        multiplier=data.draw(st.sampled_from([1, 1, 2, 5])),
        activation=data.draw(st.sampled_from(ACTIVATIONS)),
        dtype=dtype,
        per_channel=data.draw(st.booleans()),
        seed=data.draw(st.integers(0, 5)),
    )
    assert_same(model, data.draw(st.integers(0, 3)))


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(TYPES))
def test_fully_connected(data, dtype):
    lead = data.draw(st.sampled_from([(1,), (3,), (2, 1, 3)]))
    model = build.fully_connected(
        (*lead, data.draw(st.sampled_from([1, 3, 17, 64, 129]))),
        units=data.draw(st.sampled_from([1, 2, 4, 9, 33])),
        activation=data.draw(st.sampled_from(ACTIVATIONS)),
        dtype=dtype,
        bias=data.draw(st.booleans()),
        per_channel=data.draw(st.booleans()),
        seed=data.draw(st.integers(0, 5)),
    )
    assert_same(model, data.draw(st.integers(0, 3)))


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(TYPES), st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"]))
def test_pool2d(data, dtype, op):
    window = data.draw(windows)
    model = build.pool2d(
        op,
        **drawn_image(data, window),
        window=window,
        activation=data.draw(st.sampled_from(ACTIVATIONS)),
        dtype=dtype,
    )
    assert_same(model, data.draw(st.integers(0, 3)))


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_winograd_conv2d(data):
    graph, node, arrays = draw_winograd(data)
    (wanted,) = table.OPERATIONS[node.op].reference(graph, node, arrays)
    np.testing.assert_array_equal(run_c(graph, node, arrays)[0], wanted)


def test_every_kernel_has_a_twin_in_c():
    """But for the one that calls NumPy, and the one that rounds as ONNX Runtime does."""
    every = {words.kernel for op in table.OPERATIONS.values() for words in op.layouts}
    assert every - c_kernels().keys() == {"in_numpy", TO_EVEN.kernel}


@pytest.mark.parametrize("case", OPERATORS, ids=str)
def test_operator_cases(case: Case) -> None:
    """Every operator case, as a program for the microcontroller; state is kept between runs."""
    model = case.model()
    twin = CTwin(compile_model(model, "cortex-m4"))
    options = Options(fixed_point=True)  # as on every core
    reference = ReferenceBackend().build(compile_model(model, "reference", options))
    for seed in range(3):
        inputs = arguments.random_inputs(twin.program.graph, seed)
        for actual, wanted in zip(twin.run(inputs), reference.run(inputs), strict=True):
            assert actual.dtype == wanted.dtype
            np.testing.assert_array_equal(actual, wanted)
