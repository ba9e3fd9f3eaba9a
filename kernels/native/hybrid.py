"""Native twins of `kernels/hybrid.py`."""

from __future__ import annotations

import numpy as np

from ..hybrid import DYNAMIC, PRODUCTS
from .fixedpoint import clamp, inline
from .memory import float32_at, int8_at, int32_at
from .registry import kernel

P = DYNAMIC.index
H = PRODUCTS.index


@inline
def _rounded(x):  # type: ignore[no-untyped-def]
    """The nearest whole number of a float, ties away from zero."""
    wide = np.float64(x)
    return np.int64(wide + 0.5) if wide >= 0 else -np.int64(0.5 - wide)


@inline
def _zero_point(low, high, step):  # type: ignore[no-untyped-def]
    closer = 128.0 + abs(low / step) < 127.0 + abs(high / step)
    zero = -128.0 - low / step if closer else 127.0 - high / step
    return _rounded(min(max(zero, -128.0), 127.0))


@kernel
def dynamic_quantize_s8(arena, constants, p):  # type: ignore[no-untyped-def]
    scales, zeros = float32_at(arena, p[P.scales]), int32_at(arena, p[P.zeros])
    count, symmetric = p[P.count], p[P.symmetric] != 0
    for group in range(p[P.groups]):
        x = float32_at(arena, p[P.x] + 4 * group * count)
        y = int8_at(arena, p[P.y] + group * count)
        low = high = np.float32(0)
        for i in range(count):
            low, high = min(low, x[i]), max(high, x[i])
        scale, inverse, zero, least = np.float32(1), np.float32(0), np.int64(0), -128
        if symmetric and (low < 0 or high > 0):
            size = max(-low, high)
            scale, inverse, least = size / np.float32(127), np.float32(127) / size, -127
        elif low < 0 or high > 0:
            step = (np.float64(high) - np.float64(low)) / 255.0
            zero = _zero_point(np.float64(low), np.float64(high), step)
            scale = np.float32(step)
            inverse = np.float32(1) / scale
        scales[group], zeros[group] = scale, zero
        for i in range(count):
            y[i] = clamp(_rounded(np.float32(zero) + x[i] * inverse), least, 127)


@inline
def _sum(p, image, weights, zero, row, column, filter):  # type: ignore[no-untyped-def]
    """The products of one output, of what lies inside the image."""
    depth, total = p[H.depth], np.int64(0)
    start = filter // p[H.group_filters] * depth
    for ky in range(p[H.kernel_height]):
        y = row * p[H.stride_height] - p[H.pad_top] + ky * p[H.dilation_height]
        if y < 0 or y >= p[H.in_height]:
            continue
        for kx in range(p[H.kernel_width]):
            x = column * p[H.stride_width] - p[H.pad_left] + kx * p[H.dilation_width]
            if x < 0 or x >= p[H.in_width]:
                continue
            tap = ((filter * p[H.kernel_height] + ky) * p[H.kernel_width] + kx) * depth
            pixel = (y * p[H.in_width] + x) * p[H.in_channels] + start
            for i in range(depth):
                total += (np.int64(image[pixel + i]) - zero) * np.int64(weights[tap + i])
    return total


@kernel
def hybrid_products_f32(arena, constants, p):  # type: ignore[no-untyped-def]
    scales, zeros = float32_at(arena, p[H.scales]), int32_at(arena, p[H.zeros])
    weights, bias = int8_at(constants, p[H.weights]), float32_at(constants, p[H.bias])
    own, bounds = float32_at(constants, p[H.weight_scales]), float32_at(constants, p[H.bounds])
    y, at = float32_at(arena, p[H.y]), 0
    size = p[H.in_height] * p[H.in_width] * p[H.in_channels]
    for number in range(p[H.images]):
        image, scale, zero = int8_at(arena, p[H.x] + number * size), scales[number], zeros[number]
        for row in range(p[H.height]):
            for column in range(p[H.width]):
                for filter in range(p[H.filters]):
                    total = np.float32(_sum(p, image, weights, zero, row, column, filter))
                    if p[H.late]:
                        real = (total * own[filter]) * scale + bias[filter]
                    else:
                        real = bias[filter] + total * (own[filter] * scale)
                    y[at] = min(max(real, bounds[0]), bounds[1])
                    at += 1
