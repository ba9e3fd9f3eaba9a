"""AVERAGE_POOL_2D and MAX_POOL_2D: TFLite's reference, ours and the native kernel agree."""

from __future__ import annotations

from dataclasses import replace

import build_tflite as build
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from native_call import run_native
from one_operator import assert_three_ways, read_operator
from test_conv2d import ACTIVATIONS, TYPES, fits, pairs

from midge.kernels import table
from midge.runtime.attributes import Padding


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from(TYPES), st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"]))
def test_geometry(data, dtype, op):
    sizes = [data.draw(st.integers(1, n)) for n in (2, 11, 11)]
    shape = (*sizes, data.draw(st.sampled_from([1, 3, 4, 17])))
    window = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    padding = data.draw(st.sampled_from(["SAME", "VALID"]))
    assume(padding == "SAME" or fits(shape, window, (1, 1)))
    model = build.pool2d(
        op,
        shape,
        window,
        stride=data.draw(pairs),
        padding=padding,
        activation=data.draw(st.sampled_from(ACTIVATIONS)),
        dtype=dtype,
    )
    assert_three_ways(model, seed=data.draw(st.integers(0, 3)))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("op", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_more_channels_than_a_block(op, dtype):
    assert_three_ways(build.pool2d(op, (1, 4, 5, 67), dtype=dtype))
    assert_three_ways(build.pool2d(op, (1, 4, 5, 128), (4, 5), dtype=dtype))


def test_windows_of_padding_alone_are_refused():
    graph, node = read_operator(build.pool2d(window=(2, 2)))
    node = replace(node, attrs=replace(node.attrs, padding=Padding(2, 0, 0, 0)))
    refused = table.refusal(graph, node, 0)
    assert refused is not None
    assert refused.why == (
        "Padding must be less than the window, so that every window covers a pixel."
    )


def test_maximum_passes_over_nan():
    graph, node = read_operator(build.pool2d("MAX_POOL_2D", (1, 2, 4, 1), dtype="float32"))
    x = np.array([1, np.nan, np.nan, np.nan, 3, 2, np.nan, np.nan], np.float32)
    x = x.reshape(1, 2, 4, 1)
    wanted = np.array([3, np.finfo(np.float32).min], np.float32)
    for run in (table.OPERATIONS["max_pool2d"].reference, run_native):
        np.testing.assert_array_equal(run(graph, node, [x])[0].reshape(-1), wanted)
