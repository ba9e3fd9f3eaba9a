"""ADD and SUB: TFLite's reference, ours and the native kernels agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from exact import (
    assert_answers,
    assert_exact,
    draw_values,
    golden_case,
    single_node,
    why_refused,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from tflite_writer import ModelBuilder

from midge.kernels import table
from midge.runtime.lowering import ELEMENT

OPS = ["ADD", "SUB"]
TYPES = ["int8", "int16", "float32", "int32"]
ACTIVATIONS = ["NONE", "RELU", "RELU6", "RELU_N1_TO_1"]
SHAPES = [  # operands, and the kernel that they lower to
    ((2, 3, 4, 5), (2, 3, 4, 5), "add"),
    ((1, 3, 4, 5), (1, 3, 4, 5), "add"),
    ((7, 9), (7, 9), "add"),
    ((1, 3, 4, 5), (5,), "add_row"),
    ((2, 3, 4, 5), (1, 1, 4, 5), "add_row"),
    ((2, 3, 4, 5), (4, 1), "add_row"),
    ((1, 1, 1, 17), (2, 5, 3, 17), "add_row"),
    ((6, 5), (1,), "add_row"),
    ((), (3, 4), "add_row"),
    ((4, 6), (6,), "add_row"),
    ((2, 1, 4, 5), (3, 1, 1), "add_broadcast"),
    ((3, 1, 5), (2, 1, 4, 1), "add_broadcast"),
    ((1, 3, 4, 5), (1, 3, 1, 1), "add_broadcast"),
    ((2, 3, 4, 5), (3, 4, 5), "add_broadcast"),
]
SUFFIXES = {"int8": "s8", "int16": "s16", "float32": "f32", "int32": "s32"}


def model(op, dtype, shapes, scales=(1, 1, 1), zeros=(0, 0, 0), constants=(None, None), **options):
    """A model of one ADD or SUB; an operand with data in `constants` is one."""
    builder = ModelBuilder()
    quantized = dtype in ("int8", "int16")
    shapes = (*shapes, np.broadcast_shapes(*shapes))
    tensors = [
        builder.tensor(shape, dtype, scale if quantized else None, zero, data=data)
        for shape, scale, zero, data in zip(shapes, scales, zeros, (*constants, None), strict=True)
    ]
    builder.node(op, tensors[:2], tensors[2:], **options)
    given_operands = [t for t, data in zip(tensors, constants, strict=False) if data is None]
    return builder.build(given_operands, tensors[2:])


@st.composite
def cases(draw):
    op, dtype = draw(st.sampled_from(OPS)), draw(st.sampled_from(TYPES))
    shapes = draw(st.sampled_from(SHAPES))[:2]
    shapes = draw(st.permutations(shapes))
    bits = -6 if dtype == "int8" else -13
    exponents = [draw(st.floats(bits - 3, bits + 3)) for _ in range(3)]
    scales = [np.float32(2.0**exponent) for exponent in exponents]
    zeros = [draw(st.integers(-128, 127)) if dtype == "int8" else 0 for _ in range(3)]
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    values = [draw_values(rng, shape, dtype) for shape in shapes]
    constant = draw(st.sampled_from([None, None, 0, 1]))
    constants = [value if i == constant else None for i, value in enumerate(values)]
    options = {"fused_activation_function": draw(st.sampled_from(ACTIVATIONS))}
    if dtype == "int16":
        options["pot_scale_int16"] = False
    content = model(op, dtype, shapes, scales, zeros, constants, **options)
    return content, [value for i, value in enumerate(values) if i != constant]


@settings(max_examples=300, deadline=None)
@given(cases())
def test_scales_shapes_and_types(case):
    assert_exact(*case)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("ratio", [1.0, 0.9999999, 1 / 3, 2.0**-7])
def test_many_numbers(op, dtype, ratio):
    """Enough numbers to tell multipliers apart that differ in their last bits."""
    rng = np.random.default_rng(1)
    shape, scale = (1, 10, 100, 40), 0.05 if dtype == "int8" else 0.0007
    zeros = (3, -7, 12) if dtype == "int8" else (0, 0, 0)
    scales = (scale, scale * ratio, scale * 1.3)
    content = model(op, dtype, (shape, shape), scales, zeros, pot_scale_int16=False)
    assert_exact(content, [draw_values(rng, shape, dtype) for _ in range(2)])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(OPS),
    st.integers(-14, -8),
    st.integers(0, 6),
    st.booleans(),
    st.sampled_from([1.0, 1.0006, 0.9994]),
    st.sampled_from(ACTIVATIONS),
)
def test_int16_with_powers_of_two(op, exponent, steps, first, nearly, activation):
    y_scale, other = 2.0**exponent, 2.0 ** (exponent - steps) * nearly
    scales = (other, y_scale, y_scale) if first else (y_scale, other, y_scale)
    shape = (2, 3, 20, 30)
    options = {"pot_scale_int16": True, "fused_activation_function": activation}
    content = model(op, "int16", (shape, shape), scales, **options)
    graph, node = single_node(content)
    assert table.lower(graph, node).kernel == "add_pot_s16"
    rng = np.random.default_rng(steps)
    assert_exact(content, [draw_values(rng, shape, "int16") for _ in range(2)])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("a", "b", "kernel"), SHAPES, ids=str)
def test_kernel_that_fits_the_shapes(a, b, kernel, dtype):
    content = model("ADD", dtype, (a, b), (0.1, 0.1, 0.1), pot_scale_int16=False)
    lowered = table.lower(*single_node(content))
    assert (lowered.kernel, lowered.granularity) == (f"{kernel}_{SUFFIXES[dtype]}", ELEMENT)
    assert lowered.by_rows == (kernel != "add_broadcast")


def test_constant_of_full_shape():
    for shape, kernel in (((1, 2, 3, 4), "add_broadcast_s8"), ((2, 3, 4), "add_row_s8")):
        data = draw_values(np.random.default_rng(0), shape, "int8")
        content = model("SUB", "int8", (shape,) * 2, (0.1, 0.2, 0.3), constants=(data, None))
        assert table.lower(*single_node(content)).kernel == kernel
        assert_exact(content, [np.flip(data).copy()])


def test_same_tensor_twice():
    builder = ModelBuilder()
    x, y = builder.tensor((1, 4, 5, 3), "int8", 0.1, 3), builder.tensor((1, 4, 5, 3), "int8", 0.2)
    builder.node("ADD", [x, x], [y])
    values = draw_values(np.random.default_rng(0), (1, 4, 5, 3), "int8")
    assert_exact(builder.build([x], [y]), [values])


def test_float_keeps_nan_and_clamps_infinity():
    x = np.array([np.nan, np.inf, -np.inf, 1.0, -0.0], np.float32)
    for activation in ACTIVATIONS:
        content = model("SUB", "float32", ((5,), (5,)), fused_activation_function=activation)
        assert_exact(content, [x, x[::-1].copy()])


def test_refusals():
    small = model("ADD", "int8", ((4,), (4,)), (1.0, 1.0, 2.0**-19))
    assert why_refused(small) == (
        "A quantized output's scale must be more than 2**-19 (int16: 2**-14) of the larger "
        "one of the operands."
    )
    skewed = model("ADD", "int16", ((4,), (4,)), (0.1, 0.1, 0.1), (0, 5, 0))
    assert why_refused(skewed) == "An int16 tensor must have zero point 0."
    powers = model("SUB", "int16", ((4, 4), (4,)), (0.5, 0.5, 0.5), pot_scale_int16=True)
    assert why_refused(powers) == (
        "An int16 node with power-of-two scales (pot_scale_int16) must have two activations of "
        "equal shape, neither scale larger than the output's, and one equal to it."
    )
    deep = model("ADD", "float32", ((1, 2, 1, 2, 1, 2), (1,)))
    assert why_refused(deep) == "Operands and output must have at most five axes."


def test_mixed_dtypes_are_refused():
    graph, node = single_node(model("ADD", "int8", ((4,), (4,)), (0.1, 0.1, 0.1)))
    wide = replace(graph.input(node, 1), dtype="int16")
    graph = replace(graph, tensors={**graph.tensors, wide.index: wide})
    refused = table.refusal(graph, node, 0)
    assert refused is not None
    assert refused.why == (
        "Operands and output must all be int8 or all int16 or all float32 or all int32."
    )


@pytest.mark.parametrize("axes", [((2, 2, 3, 4, 5), (2, 1, 3, 1, 5)), ((2, 2, 3, 4, 5), (5,))])
def test_five_axes(axes):
    """TFLite's ADD stops at four; the rule is the same."""
    rng = np.random.default_rng(0)
    a, b = (draw_values(rng, shape, "int8") for shape in axes)
    content = model("ADD", "int8", axes, (0.1, 0.2, 0.3), (1, 2, 3))
    flat = model("ADD", "int8", ((a.size,),) * 2, (0.1, 0.2, 0.3), (1, 2, 3))
    graph, node = single_node(flat)
    full = np.broadcast_to(b, a.shape)
    (wanted,) = table.OPERATIONS["add"].reference(graph, node, [a.reshape(-1), full.reshape(-1)])
    assert_answers(content, [a, b], [wanted.reshape(a.shape)])


@pytest.mark.parametrize("op", ["add", "sub"])
def test_seanet_golden(shared, op):
    models = sorted(shared.glob(f"op_tests/seanet/{op}/*.tflite"))
    assert models
    for path in models:
        assert_answers(*golden_case(path))
