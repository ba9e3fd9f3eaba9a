"""signal_window, signal_fft_auto_scale and signal_energy: what stands round the transform.

(tflite-micro, signal/src/window.cc, fft_auto_scale.cc, max_abs.cc, energy.cc.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import Address, Constant, Lowered
from .operation import Operation, layout

WINDOW = layout("signal_window_s16", "x y weights rows count shift")
AUTO_SCALE = layout("signal_fft_auto_scale_s16", "x y bits count")
# `count` bins of y, of which those from `start` up to `end` are computed
ENERGY = layout("signal_energy_s16", "x y count start end")

Arrays = Sequence[np.ndarray | None]


def window_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """Each stretch of x times the weights, shifted right and clamped."""
    x, weights = arrays
    assert x is not None and weights is not None
    products = x.reshape(-1, len(weights)).astype(np.int32) * weights >> node.attrs.shift
    return [products.clip(-32768, 32767).astype(np.int16).reshape(x.shape)]


def lower_window(graph: Graph, node: Node) -> Lowered:
    x, weights = graph.input(node), graph.input(node, 1)
    assert weights.data is not None
    return WINDOW.lowered(
        x=Address(x.index),
        y=Address(node.outputs[0]),
        weights=Constant(weights.data),
        rows=x.elements // weights.elements,
        count=weights.elements,
        shift=node.attrs.shift,
    )


def auto_scale_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """x times the greatest power of two for which its greatest magnitude fits; its exponent."""
    (x,) = arrays
    assert x is not None
    # -32768 has no magnitude in int16: it stays the greatest until any number follows it.
    greatest = 0
    for value in x.reshape(-1).tolist():
        if value > greatest:
            greatest = value
        elif -value > greatest:
            greatest = -value if value > -32768 else value
    bits = max(15 - greatest.bit_length(), 0) if greatest > 0 else 0
    return [(x.astype(np.int32) << bits).astype(np.int16), np.array(bits, np.int32)]


def lower_auto_scale(graph: Graph, node: Node) -> Lowered:
    y, bits = node.outputs
    x = graph.input(node)
    return AUTO_SCALE.lowered(
        x=Address(x.index), y=Address(y), bits=Address(bits), count=x.elements
    )


def energy_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """The squared magnitude of each complex number."""
    (x,), attrs = arrays, node.attrs
    assert x is not None
    y = np.square(x.astype(np.int64)).reshape(-1, 2).sum(axis=1).astype(np.uint32)
    y[: attrs.start] = y[attrs.end :] = 0
    return [y]


def lower_energy(graph: Graph, node: Node) -> Lowered:
    return ENERGY.lowered(
        x=Address(node.operands[0]),
        y=Address(node.outputs[0]),
        count=graph.output(node).elements,
        start=node.attrs.start,
        end=node.attrs.end,
    )


def samples(graph: Graph, node: Node) -> bool:
    """Input and output must be int16."""
    return graph.input(node).dtype == graph.output(node).dtype == "int16"


def window_fits(graph: Graph, node: Node) -> bool:
    """The weights must be constant, int16 and of one axis, whose size divides the input's last
    axis; the shift is 0 to 31."""
    x, weights = graph.input(node), graph.input(node, 1)
    known = weights.constant and weights.dtype == "int16" and len(weights.shape) == 1
    divides = known and weights.elements > 0 and x.shape[-1] % weights.elements == 0
    return divides and 0 <= node.attrs.shift <= 31


def scale_is_int32(graph: Graph, node: Node) -> bool:
    """The exponent, its second output, must be int32."""
    return graph.output(node, 1).dtype == "int32"


def energy_types(graph: Graph, node: Node) -> bool:
    """The input must be int16 and the output uint32."""
    return graph.input(node).dtype == "int16" and graph.output(node).dtype == "uint32"


def bins_in_range(graph: Graph, node: Node) -> bool:
    """start_index and end_index must be bins of the spectrum, in this order."""
    return 0 <= node.attrs.start <= node.attrs.end <= graph.output(node).elements


OPERATIONS: Mapping[str, Operation] = {
    "signal_window": Operation(window_reference, lower_window, (WINDOW,), (samples, window_fits)),
    "signal_fft_auto_scale": Operation(
        auto_scale_reference, lower_auto_scale, (AUTO_SCALE,), (samples, scale_is_int32)
    ),
    "signal_energy": Operation(
        energy_reference, lower_energy, (ENERGY,), (energy_types, bins_in_range)
    ),
}
