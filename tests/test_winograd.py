"""Winograd in whole numbers: the bounds that its kernel rests on, and bits on every geometry."""

from __future__ import annotations

from dataclasses import replace

import build_tflite as build
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_operator import read_operator
from test_c_kernels import assert_same

from midge.kernels.convolution import requantization
from midge.runtime.graph import Graph, Node
from midge.targets.cortex_m import winograd
from midge.targets.cortex_m.lowering import lower

# From six products to four outputs' sums, 24, 12, 6 and 6 times as great (csrc/midge_winograd.c).
A = np.array([[1, 4, 4, 1, 1, 0], [0, 2, -2, 1, -1, 0], [0, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 1]])
FACTORS = np.array([24, 12, 6, 6])
THIRD = pow(3, -1, 1 << 32)


def test_is_a_convolution():
    """For each filter of one tap and each image of one pixel, and so, being linear, for all."""
    for tap in range(3):
        for place in range(6):
            products = (winograd.G @ np.eye(3, dtype=int)[tap]) * (winograd.B[:, place])
            expected = [int(place - out == tap) for out in range(4)]
            np.testing.assert_array_equal(A @ products, FACTORS * expected)


def test_transformed_numbers_fit_in_16_bits():
    positive, negative = winograd.B.clip(0), winograd.B.clip(None, 0)
    inputs = (winograd.POSITIVE + 255 * negative.sum(axis=1)).min()
    assert inputs >= 0
    assert (winograd.POSITIVE + 255 * positive.sum(axis=1)).max() < 1 << 15
    assert np.abs(winograd.G).sum(axis=1).max() * 128 < 1 << 15


@given(
    st.integers(-winograd.GREATEST_SUM + 1, winograd.GREATEST_SUM - 1), st.sampled_from(range(4))
)
def test_division_by_three_is_exact(total: int, output: int):
    """What the kernel has of a sum modulo 2**32, times the inverse of 3, then shifted."""
    wrapped = int(FACTORS[output]) * total * THIRD % (1 << 32)
    signed = wrapped - (1 << 32) if wrapped >> 31 else wrapped
    assert signed >> (3, 2, 1, 1)[output] == total


def has_winograd(graph: Graph, node: Node) -> bool:
    return any("winograd" in how.kernel for how in lower(graph, node).ways)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_geometry(data):
    shape = (
        *(data.draw(st.integers(1, n)) for n in (2, 6, 11)),
        data.draw(st.sampled_from([8, 16, 24])),
    )
    padding = "SAME" if min(shape[1:3]) < 3 else data.draw(st.sampled_from(["SAME", "VALID"]))
    model = build.conv2d(
        shape,
        filters=data.draw(st.sampled_from([4, 8, 12])),
        kernel=(3, 3),
        padding=padding,
        activation=data.draw(st.sampled_from(["NONE", "RELU", "RELU6"])),
        seed=data.draw(st.integers(0, 5)),
    )
    assert has_winograd(*read_operator(model))
    assert_same(model, data.draw(st.integers(0, 3)))


def test_extreme_numbers():
    """The largest sums that there can be, of both signs."""
    model = build.conv2d((1, 4, 9, 64), filters=8, kernel=(3, 3))
    graph, node = read_operator(model)
    weights = graph.input(node, 1).data
    rule = requantization(graph, node, len(weights))
    for value in (-128, 127):
        packed = winograd.pack(np.full_like(weights, value), rule, graph.input(node).zero_point)
        assert packed is not None
    fine = replace(
        rule,
        bias=np.zeros(len(weights), np.int32),
        multiplier=np.full(len(weights), 1 << 30, np.int32),
        shift=np.full(len(weights), -20, np.int32),
        zero_point=-128,
    )
    huge = replace(fine, bias=np.full(len(weights), winograd.GREATEST_SUM, np.int32))
    assert winograd.pack(weights, fine, 0) is not None
    assert winograd.pack(weights, huge, 0) is None


@pytest.mark.parametrize(
    "other",
    [{"stride": (2, 1)}, {"kernel": (3, 2)}, {"filters": 6}, {"shape": (1, 6, 6, 12)}],
    ids=str,
)
def test_other_convolutions_are_left_alone(other):
    given = {"shape": (1, 6, 6, 8), "filters": 8, "kernel": (3, 3)} | other
    assert not has_winograd(*read_operator(build.conv2d(**given)))
