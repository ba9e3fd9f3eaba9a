"""relu and leaky_relu. (TFLite activations.cc, reference/leaky_relu.h.)"""

from __future__ import annotations

import numpy as np

from ..runtime.graph import DTYPES, Graph, Node, Tensor
from ..runtime.lowering import ELEMENT, Constant, Lowered
from .elementwise import ROWS, all_of, int16_is_symmetric, is_quantized, unary_rows
from .fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from .lookup import LOOKUP_S8, Arrays, centred, clamped, lower_lookup, operand
from .operation import Operation, layout
from .scales import quantize_bound
from .through_floats import through_floats

RELU_S16 = layout("relu_s16", f"{ROWS} x y multiplier shift minimum maximum")
RELU_F32 = layout("relu_f32", f"{ROWS} x y limits is_relu6")
LEAKY_RELU_S16 = layout(
    "leaky_relu_s16", f"{ROWS} x y multiplier shift negative_multiplier negative_shift"
)
LEAKY_RELU_F32 = layout("leaky_relu_f32", f"{ROWS} x y alpha")


@through_floats
def relu_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """x requantized, held in the real range [minimum, maximum]."""
    q, x, y = operand(graph, node, arrays)
    if x.dtype == "float32":
        low, high = _float_limits(node)
        held = np.where(q > low, q, low) if _is_relu6(node) else np.where(q < low, low, q)
        return [np.where(held > high, high, held)]
    scaled = multiply_by_quantized_multiplier(
        centred(q, x), *quantize_multiplier(_float32_ratio(x, y))
    )
    result = np.clip(scaled.astype(np.int64) + y.zero_point, *_relu_limits(node, y))
    return [result.astype(q.dtype)]


def _is_relu6(node: Node) -> bool:
    """TFLite's float RELU6 makes 0.0 of NaN and -0.0; its other three keep them."""
    return (node.attrs.minimum, node.attrs.maximum) == (0.0, 6.0)


def _float_limits(node: Node) -> tuple[np.float32, np.float32]:
    low, high = node.attrs.minimum, node.attrs.maximum
    return (
        np.float32(-np.inf if low is None else low),
        np.float32(np.inf if high is None else high),
    )


def _relu_limits(node: Node, y: Tensor) -> tuple[int, int]:
    kind, low, high = np.iinfo(DTYPES[y.dtype]), node.attrs.minimum, node.attrs.maximum
    return (
        kind.min if low is None else max(kind.min, quantize_bound(low, y)),
        kind.max if high is None else min(kind.max, quantize_bound(high, y)),
    )


def lower_relu(graph: Graph, node: Node) -> Lowered:
    """A table for int8, arithmetic for int16 and float32."""
    x, y = graph.input(node), graph.output(node)
    if x.dtype == "int8":
        return lower_lookup(graph, node, relu_reference)
    fields = unary_rows(graph, node)
    if x.dtype == "float32":
        limits = Constant(np.array(_float_limits(node), np.float32))
        is_relu6 = int(_is_relu6(node))
        return RELU_F32.lowered(ELEMENT, **fields, limits=limits, is_relu6=is_relu6)
    multiplier, shift = quantize_multiplier(_float32_ratio(x, y))
    minimum, maximum = _relu_limits(node, y)
    return RELU_S16.lowered(
        ELEMENT, **fields, multiplier=multiplier, shift=shift, minimum=minimum, maximum=maximum
    )


@through_floats
def leaky_relu_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """x where x >= 0, else alpha * x."""
    q, x, y = operand(graph, node, arrays)
    if x.dtype == "float32":
        return [np.where(q > 0, q, q * np.float32(node.attrs.alpha))]
    value, (positive, negative) = centred(q, x), _leaky_multipliers(node, x, y)
    result = np.where(
        value >= 0,
        multiply_by_quantized_multiplier(value, *positive),
        multiply_by_quantized_multiplier(value, *negative),
    )
    return [clamped(result.astype(np.int64) + y.zero_point, y)]


def _leaky_multipliers(node: Node, x: Tensor, y: Tensor) -> tuple[tuple[int, int], ...]:
    """Multiplier and shift of values >= 0, and of those under 0; all in float32."""
    alpha = np.float32(x.scale) * np.float32(node.attrs.alpha) / np.float32(y.scale)
    return quantize_multiplier(_float32_ratio(x, y)), quantize_multiplier(float(alpha))


def lower_leaky_relu(graph: Graph, node: Node) -> Lowered:
    """A table for int8, arithmetic for int16 and float32."""
    x, y = graph.input(node), graph.output(node)
    if x.dtype == "int8":
        return lower_lookup(graph, node, leaky_relu_reference)
    fields = unary_rows(graph, node)
    if x.dtype == "float32":
        alpha = np.array([node.attrs.alpha], np.float32)
        return LEAKY_RELU_F32.lowered(ELEMENT, **fields, alpha=Constant(alpha))
    positive, negative = _leaky_multipliers(node, x, y)
    return LEAKY_RELU_S16.lowered(
        ELEMENT,
        **fields,
        multiplier=positive[0],
        shift=positive[1],
        negative_multiplier=negative[0],
        negative_shift=negative[1],
    )


def _float32_ratio(x: Tensor, y: Tensor) -> float:
    """Input scale / output scale, divided in float32 as these operators do."""
    return float(np.float32(x.scale) / np.float32(y.scale))


def scale_ratio_in_range(graph: Graph, node: Node) -> bool:
    """Input scale / output scale must be under 2**30, and so must alpha times it be."""
    x, y = graph.input(node), graph.output(node)
    if x.dtype == "float32":
        return True
    ratio = _float32_ratio(x, y)
    return max(ratio, ratio * abs(getattr(node.attrs, "alpha", 0.0))) < 1 << 30


RELU = Operation(
    relu_reference,
    lower_relu,
    (LOOKUP_S8, RELU_S16, RELU_F32),
    (all_of("int8", "int16", "float32"), is_quantized, int16_is_symmetric, scale_ratio_in_range),
)
LEAKY_RELU = Operation(
    leaky_relu_reference,
    lower_leaky_relu,
    (LOOKUP_S8, LEAKY_RELU_S16, LEAKY_RELU_F32),
    (all_of("int8", "int16", "float32"), is_quantized, int16_is_symmetric, scale_ratio_in_range),
)
