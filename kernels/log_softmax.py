"""log_softmax of int8 and float32 over the last axis. (TFLite reference/log_softmax.h.)

int8 is in gemmlowp's fixed point: differences to the greatest in Q5.26, their exponentials added up
in Q12.19, answers in sixteenths of 0 to -16.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import ELEMENT, Constant, Lowered
from .elementwise import all_of, is_quantized
from .exponential import exp, power_table
from .fixedpoint import (
    INT32_MIN,
    Int32Array,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
)
from .gemmlowp import log as log_fixed
from .operation import Operation, layout
from .softmax import (
    DIFFERENCE_BITS,
    SUM_BITS,
    depth_fits,
    difference_multiplier,
    exponential_table,
    pixel_rows,
    scaled_differences,
)
from .transcendental import log

OUTPUT_SCALE, GREATEST, LEAST = 1 / 16, 127, -128  # the greatest is 0
OUTPUT_SHIFT = 31 - DIFFERENCE_BITS - 4  # from Q5.26 to sixteenths

# By the distance to the greatest, 0 .. 255: `terms` of the sum in Q12.19, `differences` in Q5.26.
# Where the distance is over `radius`, the answer is the least. `multiplier` and `shift` bring
# Q5.26 to distances.
LOG_SOFTMAX_S8 = layout(
    "log_softmax_s8", "rows pixels depth x y terms differences radius multiplier shift"
)
LOG_SOFTMAX_F32 = layout("log_softmax_f32", "rows pixels depth x y powers")


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """x less its maximum, less the log of the sum of exponentials, which is added up in order."""
    x = arrays[0]
    assert x is not None
    if x.dtype == np.int8:
        return [_int8(graph, node, x)]
    lowest = np.finfo(np.float32).min
    with np.errstate(invalid="ignore", over="ignore"):
        below = x - np.fmax.reduce(x, axis=-1, keepdims=True, initial=lowest)
        powers, total = exp(below), np.zeros(x.shape[:-1], np.float32)
        for channel in range(x.shape[-1]):
            total = total + powers[..., channel]
        return [below - log(total)[..., None]]


def _tables(graph: Graph, node: Node) -> tuple[Int32Array, Int32Array, int]:
    """terms, differences and radius."""
    differences, radius = scaled_differences(difference_multiplier(graph.input(node)))
    exponentials = np.maximum(exponential_table(differences, radius), 0)
    return rounding_divide_by_pot(exponentials, SUM_BITS), differences, radius


def _back(graph: Graph, node: Node) -> tuple[int, int]:
    """Multiplier and shift from Q5.26 to input units."""
    multiplier, shift = quantize_multiplier(difference_multiplier(graph.input(node)))
    return quantize_multiplier((1 << (31 - shift)) / multiplier)


def _int8(graph: Graph, node: Node, x: np.ndarray) -> np.ndarray:
    terms, differences, radius = _tables(graph, node)
    value = x.astype(np.int64)
    distance = value.max(axis=-1, keepdims=True) - value
    less = log_fixed(terms[distance].sum(axis=-1, keepdims=True, dtype=np.int64)).astype(np.int64)
    # What is nearer than this is -32 or more when the logarithm is taken off.
    near = -multiply_by_quantized_multiplier(less + INT32_MIN, *_back(graph, node)).astype(np.int64)
    used = distance < np.minimum(radius + 1, near)
    held = np.where(used, differences[distance] - less, 0)
    result = np.clip(rounding_divide_by_pot(held, OUTPUT_SHIFT) + GREATEST, LEAST, GREATEST)
    return np.where(used, result, LEAST).astype(np.int8)


def lower(graph: Graph, node: Node) -> Lowered:
    """Rows of pixels; in place, as an element is written after its pixel's greatest is known."""
    fields = pixel_rows(graph, node)
    if graph.input(node).dtype == "float32":
        return LOG_SOFTMAX_F32.lowered(ELEMENT, **fields, powers=Constant(power_table()))
    terms, differences, radius = _tables(graph, node)
    multiplier, shift = _back(graph, node)
    return LOG_SOFTMAX_S8.lowered(
        ELEMENT,
        **fields,
        terms=Constant(terms),
        differences=Constant(differences),
        radius=radius,
        multiplier=multiplier,
        shift=shift,
    )


def logarithms_are_scaled(graph: Graph, node: Node) -> bool:
    """The output of an int8 log_softmax must have scale 1/16 and zero point 127."""
    y = graph.output(node)
    return y.dtype != "int8" or (y.scale, y.zero_point) == (OUTPUT_SCALE, GREATEST)


def scale_in_range(graph: Graph, node: Node) -> bool:
    """The input scale of an int8 log_softmax must be more than 2**-26."""
    x = graph.input(node)
    return x.dtype != "int8" or difference_multiplier(x) > 1.0


OPERATION = Operation(
    reference,
    lower,
    (LOG_SOFTMAX_S8, LOG_SOFTMAX_F32),
    (
        all_of("int8", "float32"),
        is_quantized,
        logarithms_are_scaled,
        depth_fits,
        scale_in_range,
    ),
)
