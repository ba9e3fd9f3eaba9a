"""Numbers to bits and back: binarize (Larq's LceQuantize), bit_planes, debinarize (LceDequantize).

A bit says that a number is below a threshold; a NaN is below nothing. Where no thresholds are given
it is below 0, and subnormal floats are taken for 0, as TFLite lets processors do while Larq's
operators run.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..runtime import bits
from ..runtime.graph import BINARY, DTYPES, Graph, Node
from ..runtime.lowering import PIXEL, Constant, Cursor, Field, Lowered, Rows, image_rows
from .operation import Operation, layout
from .scales import round_half_away

# A row has `width` pixels of `channels`. limits: of level l and channel c at l * channels + c, or
# one for all if `limit_step` is 0; a bit is 1 where x <= limit.
_BINARIZE = "rows width channels levels limit_step limits y x"
BINARIZE = {
    "float32": layout("binarize_f32", _BINARIZE),
    "int8": layout("binarize_s8", _BINARIZE),
    "bool": layout("binarize_s8", _BINARIZE),  # a byte of 0 or 1
}
PLANES = layout("bit_planes_s8", "rows width channels bits zero_point y x")
DEBINARIZE = {
    "float32": layout("debinarize_f32", "rows width channels y x"),
    "int8": layout("debinarize_s8", "rows width channels minus plus y x"),
    "bool": layout("debinarize_s8", "rows width channels minus plus y x"),
}
MAX_PLANES = 9  # an int8 number less its zero point has 9 bits


# ---- references --------------------------------------------------------------------------------


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """[..., channels] numbers to [..., words]."""
    x = arrays[0]
    assert x is not None
    below = [x <= limit for limit in _limits(graph, node)]
    return [bits.pack(np.concatenate(below, axis=-1))]


def _limits(graph: Graph, node: Node) -> np.ndarray:
    """[levels, channels or 1]: the greatest number that is still below each threshold."""
    x, thresholds = graph.input(node), graph.operand(node, 1)
    if x.dtype == "bool":
        return np.zeros((1, 1), np.int32)  # true is +1
    if x.dtype == "int8":
        at = np.full((1, 1), x.zero_point) if thresholds is None else thresholds.data
        assert at is not None
        return np.clip(at.astype(np.int64) - 1, -129, 127).astype(np.int32)
    if thresholds is None:
        return np.full((1, 1), -np.finfo(np.float32).tiny)
    assert thresholds.data is not None
    return _float_limits(thresholds.data)


def _float_limits(thresholds: np.ndarray) -> NDArray[np.float32]:
    """x < t as x <= limit."""
    least = np.float32(-np.inf)
    limits = np.nextafter(thresholds, least)
    return np.where(thresholds == least, np.float32(np.nan), limits).astype(np.float32)


def bit_planes_reference(
    graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]
) -> list[np.ndarray]:
    """[..., channels] int8 to [..., planes * words]."""
    x = arrays[0]
    assert x is not None
    return [bits.integer_planes(x.astype(np.int64) - _zero_point(graph, node), node.attrs.bits)]


def _zero_point(graph: Graph, node: Node) -> int:
    x = graph.input(node)
    return 0 if x.quantization is None else x.zero_point


def debinarize_reference(
    graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]
) -> list[np.ndarray]:
    """[..., words] to [..., channels]: +1 and -1, or what stands for them."""
    x, y = arrays[0], graph.output(node)
    assert x is not None
    minus, plus = _ends(graph, node)
    found = np.where(bits.unpack(x, node.attrs.channels), minus, plus)
    return [found.astype(DTYPES[y.dtype])]


def _ends(graph: Graph, node: Node) -> tuple[int, int]:
    """What -1 and +1 are in the output's numbers: zero point -+ round(1 / scale), clamped."""
    y = graph.output(node)
    if y.dtype == "float32":
        return -1, 1
    if y.dtype == "bool":
        return 0, 1
    one = int(round_half_away(np.float32(1) / np.float32(y.scale)))
    return max(y.zero_point - one, -128), min(y.zero_point + one, 127)


# ---- constraints -------------------------------------------------------------------------------


def binarizes_known_types(graph: Graph, node: Node) -> bool:
    """binarize must be from float32, bool, or int8 with one scale or thresholds, to binary."""
    x = graph.input(node)
    if x.dtype == "int8" and graph.operand(node, 1) is None:
        return x.quantization is not None and not x.quantization.per_axis and _to_bits(graph, node)
    return x.dtype in BINARIZE and _to_bits(graph, node)


def _to_bits(graph: Graph, node: Node) -> bool:
    return graph.output(node).dtype == BINARY


def thresholds_fit(graph: Graph, node: Node) -> bool:
    """Thresholds must be constants [levels, channels], float32 for float32 and int32 for int8, and
    no NaN."""
    x, thresholds = graph.input(node), graph.operand(node, 1)
    if thresholds is None:
        return bool(node.attrs.levels == 1)
    dtype = {"float32": "float32", "int8": "int32"}.get(x.dtype)
    shape = (node.attrs.levels, x.shape[-1])
    if thresholds.data is None or thresholds.dtype != dtype or thresholds.shape != shape:
        return False
    return not (dtype == "float32" and np.isnan(thresholds.data).any())


def planes_are_of_int8(graph: Graph, node: Node) -> bool:
    """bit_planes must be from int8 with one scale or none, to 1 to 9 binary planes."""
    x, planes = graph.input(node), node.attrs.bits
    whole = x.quantization is None or not x.quantization.per_axis
    return x.dtype == "int8" and whole and 1 <= planes <= MAX_PLANES and _to_bits(graph, node)


def debinarizes_to_known_types(graph: Graph, node: Node) -> bool:
    """debinarize must be from binary to float32, bool, or int8 with one scale."""
    y = graph.output(node)
    if y.dtype == "int8" and (y.quantization is None or y.quantization.per_axis):
        return False
    return graph.input(node).dtype == BINARY and y.dtype in DEBINARIZE


def words_hold_channels(graph: Graph, node: Node) -> bool:
    """A binary input must have as many words as its channels need."""
    return graph.input(node).shape[-1] == -(-node.attrs.channels // 32)


# ---- lowering ----------------------------------------------------------------------------------


def lower(graph: Graph, node: Node) -> Lowered:
    """By rows of pixels."""
    x, limits = graph.input(node), _limits(graph, node)
    limits = limits if limits.size > 1 and (limits != limits[0, 0]).any() else limits[:1, :1]
    return BINARIZE[x.dtype].lowered(
        PIXEL,
        **_pixels(graph, node, x.shape),
        levels=node.attrs.levels,
        limit_step=int(limits.size > 1),
        limits=Constant(limits),
    )


def _pixels(graph: Graph, node: Node, shape: tuple[int, ...]) -> dict[str, Field]:
    """The fields that name a row's pixels of the `shape` that isn't packed."""
    return {
        "rows": Rows(),
        "width": image_rows(shape)[2] // shape[-1],
        "channels": shape[-1],
        "y": Cursor(node.outputs[0]),
        "x": Cursor(graph.input(node).index),
    }


def lower_bit_planes(graph: Graph, node: Node) -> Lowered:
    """By rows of pixels."""
    pixels = _pixels(graph, node, graph.input(node).shape)
    zero_point = _zero_point(graph, node)
    return PLANES.lowered(PIXEL, **pixels, bits=node.attrs.bits, zero_point=zero_point)


def lower_debinarize(graph: Graph, node: Node) -> Lowered:
    """By rows of pixels."""
    y = graph.output(node)
    fields = _pixels(graph, node, y.shape)
    if y.dtype != "float32":
        minus, plus = _ends(graph, node)
        fields |= {"minus": minus, "plus": plus}
    return DEBINARIZE[y.dtype].lowered(PIXEL, **fields)


BINARIZE_OPERATION = Operation(
    reference,
    lower,
    (BINARIZE["float32"], BINARIZE["int8"]),
    (binarizes_known_types, thresholds_fit),
)
BIT_PLANES = Operation(bit_planes_reference, lower_bit_planes, (PLANES,), (planes_are_of_int8,))
DEBINARIZE_OPERATION = Operation(
    debinarize_reference,
    lower_debinarize,
    (DEBINARIZE["float32"], DEBINARIZE["int8"]),
    (debinarizes_to_known_types, words_hold_channels),
)
