"""Float layers with int8 weights (dynamic range quantization): the input is quantized as it comes.

A group of numbers, an image or a vector, is brought to int8 by its own range, the products are
summed as integers, and the sums become floats again. (TFLite `SymmetricQuantizeFloats`,
`AsymmetricQuantizeFloats`, portable_tensor_utils.cc; conv.cc, depthwise_conv.cc,
fully_connected.cc, `HybridConvPerChannel`.) A fully connected layer with a scale for each unit has
no answer in TFLite 2.14; here it has that of its formula.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..runtime.graph import Graph, Node, Tensor
from ..runtime.lowering import Address, Constant, Field, Lowered
from ..runtime.shapes import image_size
from .convolution import bias_values, clamp_float, float_bounds, scales_fit
from .operation import Operation, layout
from .scales import round_half_away
from .windows import windows

Arrays = Sequence[np.ndarray | None]
F32 = np.float32

# `groups` of `count` floats to int8, each with a scale and a zero point.
DYNAMIC = layout("dynamic_quantize_s8", "x y scales zeros groups count symmetric")
# Sums over windows as a convolution's, of `group_filters` filters for each `depth` input channels.
# `late`: the two scales are multiplied one after the other.
PRODUCTS = layout(
    "hybrid_products_f32",
    "x scales zeros y images height width filters group_filters in_height in_width in_channels "
    "depth kernel_height kernel_width stride_height stride_width dilation_height dilation_width "
    "pad_top pad_left weights bias weight_scales bounds late",
)


def quantize_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """The numbers, and each group's scale and zero point."""
    x = arrays[0]
    assert x is not None
    made = [
        (_symmetric if node.attrs.symmetric else _asymmetric)(group)
        for group in x.reshape(node.attrs.groups, -1)
    ]
    q, scales, zeros = zip(*made, strict=True)
    return [np.stack(q).reshape(x.shape), np.array(scales, F32), np.array(zeros, np.int32)]


def _symmetric(x: np.ndarray) -> tuple[np.ndarray, np.float32, int]:
    size = np.abs(x).max()
    if size == 0:
        return np.zeros(x.shape, np.int8), F32(1), 0
    steps = round_half_away(x * (F32(127) / size))
    return np.clip(steps, -127, 127).astype(np.int8), size / F32(127), 0


def _asymmetric(x: np.ndarray) -> tuple[np.ndarray, np.float32, int]:
    low, high = float(min(x.min(), F32(0))), float(max(x.max(), F32(0)))
    if low == high:
        return np.zeros(x.shape, np.int8), F32(1), 0
    wide = (high - low) / 255.0
    from_low, from_high = -128.0 - low / wide, 127.0 - high / wide
    closer = 128.0 + abs(low / wide) < 127.0 + abs(high / wide)
    zero = int(round_half_away(min(max(from_low if closer else from_high, -128.0), 127.0)))
    scale = F32(wide)
    steps = round_half_away(F32(zero) + x * (F32(1) / scale))
    return np.clip(steps, -128, 127).astype(np.int8), scale, zero


def reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """inputs: quantized x, weights, bias, scales, zero points."""
    q, weights, scales, zeros = arrays[0], graph.input(node, 1), arrays[3], arrays[4]
    assert q is not None and scales is not None and zeros is not None and weights.data is not None
    centred = q.reshape(len(zeros), -1).astype(np.int64) - zeros[:, None]
    sums = _sums(node, centred.reshape(_image(graph, node)), _filters(node, weights))
    by, own = scales[:, None, None, None], _weight_scales(graph, node)
    bias = bias_values(graph, node, len(own)).astype(F32)
    real = sums.astype(F32)
    y = (real * own) * by + bias if _late(node, weights) else bias + real * (own * by)
    return [clamp_float(y, node.attrs.activation).reshape(graph.output(node).shape)]


def _sums(node: Node, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    filters, height, width, depth = weights.shape
    groups = x.shape[3] // depth
    if node.op == "hybrid_fully_connected":
        return (x.reshape(len(x), -1) @ weights.reshape(filters, -1).T.astype(np.int64))[
            :, None, None
        ]
    attrs, each, parts = node.attrs, filters // groups, []
    for group in range(groups):
        seen = windows(
            x[..., group * depth : (group + 1) * depth],
            (height, width),
            attrs.stride,
            attrs.padding,
            attrs.dilation,
        )
        own = weights[group * each : (group + 1) * each].reshape(each, -1)
        parts.append(seen.reshape(*seen.shape[:3], -1) @ own.T.astype(np.int64))
    return np.concatenate(parts, axis=3)


def _image(graph: Graph, node: Node) -> tuple[int, ...]:
    """The input as images: of one pixel for a fully connected layer."""
    x, weights = graph.input(node), graph.input(node, 1)
    if node.op == "hybrid_fully_connected":
        depth = weights.shape[1]
        return x.elements // depth, 1, 1, depth
    return x.shape


def _filters(node: Node, weights: Tensor) -> np.ndarray:
    """[filters, height, width, depth], whatever the operator."""
    assert weights.data is not None
    if node.op == "hybrid_depthwise_conv2d":
        return np.ascontiguousarray(weights.data.transpose(3, 1, 2, 0))
    if node.op == "hybrid_fully_connected":
        return weights.data[:, None, None]
    return weights.data


def _weight_scales(graph: Graph, node: Node) -> np.ndarray:
    """One for each filter."""
    weights = graph.input(node, 1)
    assert weights.quantization is not None
    scales, filters = weights.quantization.scales, len(_filters(node, weights))
    return scales if len(scales) == filters else np.full(filters, scales[0], F32)


def _late(node: Node, weights: Tensor) -> bool:
    assert weights.quantization is not None
    return node.op == "hybrid_conv2d" and weights.quantization.per_axis


def lower_quantize(graph: Graph, node: Node) -> Lowered:
    """One pass for the range, one for the numbers."""
    x, groups = graph.input(node), node.attrs.groups
    return DYNAMIC.lowered(
        x=Address(x.index),
        y=Address(node.outputs[0]),
        scales=Address(node.outputs[1]),
        zeros=Address(node.outputs[2]),
        groups=groups,
        count=x.elements // groups,
        symmetric=int(node.attrs.symmetric),
    )


def lower(graph: Graph, node: Node) -> Lowered:
    """All three operators as one convolution."""
    weights, filters = graph.input(node, 1), _filters(node, graph.input(node, 1))
    images, in_height, in_width, in_channels = _image(graph, node)
    whole = node.op == "hybrid_fully_connected"
    height, width = (1, 1) if whole else image_size(graph.output(node).shape)
    fields: dict[str, Field] = {
        "x": Address(node.operands[0]),
        "scales": Address(node.inputs[3] or 0),
        "zeros": Address(node.inputs[4] or 0),
        "y": Address(node.outputs[0]),
        "images": images,
        "height": height,
        "width": width,
        "filters": len(filters),
        "group_filters": len(filters) // (in_channels // filters.shape[3]),
        "in_height": in_height,
        "in_width": in_width,
        "in_channels": in_channels,
        "depth": filters.shape[3],
        "kernel_height": filters.shape[1],
        "kernel_width": filters.shape[2],
        "weights": Constant(filters),
        "bias": Constant(bias_values(graph, node, len(filters)).astype(F32)),
        "weight_scales": Constant(_weight_scales(graph, node).astype(F32)),
        "bounds": Constant(float_bounds(node.attrs.activation)),
        "late": int(_late(node, weights)),
    }
    return PRODUCTS.lowered(**fields, **_steps(node, whole))


def _steps(node: Node, whole: bool) -> Mapping[str, Field]:
    attrs = node.attrs
    stride, dilation = ((1, 1), (1, 1)) if whole else (attrs.stride, attrs.dilation)
    return {
        "stride_height": stride[0],
        "stride_width": stride[1],
        "dilation_height": dilation[0],
        "dilation_width": dilation[1],
        "pad_top": 0 if whole else attrs.padding.top,
        "pad_left": 0 if whole else attrs.padding.left,
    }


def is_float32(graph: Graph, node: Node) -> bool:
    """What is quantized as it comes must be float32."""
    return graph.input(node).dtype == "float32"


def weights_are_symmetric(graph: Graph, node: Node) -> bool:
    """Weights of a float layer must be int8 constants with zero points 0, and one scale, or one for
    each filter."""
    weights = graph.input(node, 1)
    axis = 3 if node.op == "hybrid_depthwise_conv2d" else 0
    quantization = weights.quantization
    known = weights.constant and weights.dtype == "int8" and quantization is not None
    return known and not quantization.zero_points.any() and scales_fit(weights, axis)  # type: ignore[union-attr]


QUANTIZE = Operation(quantize_reference, lower_quantize, (DYNAMIC,), (is_float32,))
OPERATIONS: Mapping[str, Operation] = {
    f"hybrid_{op}": Operation(reference, lower, (PRODUCTS,), (weights_are_symmetric,))
    for op in ("conv2d", "depthwise_conv2d", "fully_connected")
}
