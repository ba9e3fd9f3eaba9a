"""MUL: TFLite's reference, ours and the native kernels agree."""

from __future__ import annotations

import numpy as np
import pytest
from exact import assert_exact, draw_values, single_node, why_refused
from hypothesis import given, settings
from hypothesis import strategies as st
from test_add import ACTIVATIONS, SHAPES, SUFFIXES, TYPES
from test_add import model as arithmetic

from midge.kernels import table


def model(*arguments, **options):
    return arithmetic("MUL", *arguments, **options)


@st.composite
def cases(draw):
    dtype = draw(st.sampled_from(TYPES))
    shapes = draw(st.permutations(draw(st.sampled_from(SHAPES))[:2]))
    bits = 7 if dtype == "int8" else 15
    a, b, fit = (2.0 ** draw(st.floats(low, high)) for low, high in ((-9, 1), (-9, 1), (-4, 4)))
    scales = [np.float32(scale) for scale in (a, b, a * b * 2**bits * fit)]
    zeros = [draw(st.integers(-128, 127)) if dtype == "int8" else 0 for _ in range(3)]
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    values = [draw_values(rng, shape, dtype) for shape in shapes]
    constant = draw(st.sampled_from([None, None, 0, 1]))
    constants = [value if i == constant else None for i, value in enumerate(values)]
    activation = draw(st.sampled_from(ACTIVATIONS))
    content = model(dtype, shapes, scales, zeros, constants, fused_activation_function=activation)
    return content, [value for i, value in enumerate(values) if i != constant]


@settings(max_examples=300, deadline=None)
@given(cases())
def test_scales_shapes_and_types(case):
    assert_exact(*case)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("scales", [(0.1, 0.3, 11.0), (1 / 3, 1 / 7, 15.3), (0.7, 0.01, 0.9)])
def test_many_numbers(dtype, scales):
    """Enough numbers to tell a multiplier made in float32 from one made in double."""
    rng = np.random.default_rng(1)
    shape, grown = (1, 10, 100, 40), 1 if dtype == "int8" else 256
    scales = (*scales[:2], scales[2] * grown)
    zeros = (3, -7, 12) if dtype == "int8" else (0, 0, 0)
    content = model(dtype, (shape, shape), scales, zeros)
    assert_exact(content, [draw_values(rng, shape, dtype) for _ in range(2)])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("a", "b", "kernel"), SHAPES, ids=str)
def test_kernel_that_fits_the_shapes(a, b, kernel, dtype):
    lowered = table.lower(*single_node(model(dtype, (a, b), (0.1, 0.1, 0.1))))
    assert lowered.kernel == f"{kernel.replace('add', 'mul')}_{SUFFIXES[dtype]}"


def test_float_keeps_nan_and_clamps_infinity():
    x = np.array([np.nan, np.inf, -np.inf, 1.0, -0.0, 0.0], np.float32)
    for activation in ACTIVATIONS:
        content = model("float32", ((6,), (6,)), fused_activation_function=activation)
        assert_exact(content, [x, x[::-1].copy()])


def test_refusals():
    skewed = model("int16", ((4,), (4,)), (0.1, 0.1, 0.1), (0, 5, 0))
    assert why_refused(skewed) == "An int16 tensor must have zero point 0."
