"""Functions of one number, by rows: absolute values, roots, roundings, exponentials.

Numbers as they are, of types that have a kernel; all others run in NumPy. int8 ones are a table of
256 bytes, filled by TFLite's own rule: `abs` and `rsqrt` in fixed point (elementwise.cc), `exp`,
`elu` and `log` in float32, rounded (activations.cc, exp.cc). `abs` has int16, too, and `rsqrt` as
TFLM has it, with a multiplier from doubles (micro/kernels/elementwise.cc).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..runtime.graph import DTYPES, Graph, Node, Tensor
from ..runtime.lowering import ELEMENT, Constant, Field, Lowered
from .elementwise import ROWS, int16_is_symmetric, is_quantized, unary_rows
from .exponential import power_table
from .fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from .general_functions import one_dtype, one_reference
from .in_numpy import IN_NUMPY
from .inverse_root import inverse_root
from .lookup import LOOKUP_S8, lower_lookup, table_s8
from .operation import Layout, Operation, layout
from .transcendental import turn_words

Arrays = Sequence[np.ndarray | None]
ROOT_BITS = 20  # after the point, of an inverse root before it is rescaled

_SUFFIXES = {"float32": "f32", "int32": "s32"}
_TYPES = {
    "abs": ("f32", "s32"),
    "ceil": ("f32",),
    "floor": ("f32",),
    "negate": ("f32", "s32"),
    "round": ("f32",),
    "rsqrt": ("f32",),
    "sqrt": ("f32",),
    "square": ("f32", "s32"),
}
PLAIN: Mapping[str, Layout] = {
    f"{op}_{suffix}": layout(f"{op}_{suffix}", f"{ROWS} x y")
    for op, suffixes in _TYPES.items()
    for suffix in suffixes
}
LOG_F32 = layout("log_f32", f"{ROWS} x y")
ANGLES_F32 = {op: layout(f"{op}_f32", f"{ROWS} x y words") for op in ("sin", "cos")}
ELU_F32 = layout("elu_f32", f"{ROWS} x y powers alpha")
EXP_F32 = layout("exp_f32", f"{ROWS} x y powers")
ABS_S16 = layout("abs_s16", f"{ROWS} x y x_offset multiplier shift y_offset")
RSQRT_S16 = layout("rsqrt_s16", f"{ROWS} x y multiplier shift")
_OF_INT16 = {"abs": ABS_S16, "rsqrt": RSQRT_S16}

_IN_FLOATS = {"elu": ELU_F32, "exp": EXP_F32, "log": LOG_F32, **ANGLES_F32}


def reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """The function of each number of x."""
    x, y, values = graph.input(node), graph.output(node), arrays[0]
    assert values is not None
    if x.quantization is None:
        return one_reference(graph, node, arrays)
    if node.op == "abs":
        return [_abs(values, x, y)]
    if node.op == "rsqrt":
        return [_rsqrt(values, x, y)]
    return [table_s8(_FLOAT[node.op], x, y)[values.astype(np.int64) + 128]]


def _clamped(values: np.ndarray, y: Tensor) -> np.ndarray:
    kind = np.iinfo(DTYPES[y.dtype])
    return np.clip(values, kind.min, kind.max).astype(kind.dtype)


def _ratio(x: Tensor, y: Tensor) -> tuple[int, int]:
    return quantize_multiplier(float(np.float32(x.scale) / np.float32(y.scale)))


def _abs(q: np.ndarray, x: Tensor, y: Tensor) -> np.ndarray:
    scaled = multiply_by_quantized_multiplier(abs(q.astype(np.int64) - x.zero_point), *_ratio(x, y))
    return _clamped(scaled.astype(np.int64) + y.zero_point, y)


def _rsqrt(values: np.ndarray, x: Tensor, y: Tensor) -> np.ndarray:
    """1 / sqrt; 0 and below, which have no root, become the greatest number."""
    multiplier, shift = _rsqrt_ratio(x, y)
    different, places = np.unique(values, return_inverse=True)
    answers = np.full(different.shape, np.iinfo(values.dtype).max, np.int64)
    for i, value in enumerate(int(q) - x.zero_point for q in different):
        if value > 0:
            root, root_shift = inverse_root(value)
            fine = multiply_by_quantized_multiplier(1, root, root_shift + ROOT_BITS)
            scaled = multiply_by_quantized_multiplier(fine, multiplier, shift - ROOT_BITS)
            answers[i] = int(scaled) + y.zero_point
    return _clamped(answers, y)[places].reshape(values.shape)


def _rsqrt_ratio(x: Tensor, y: Tensor) -> tuple[int, int]:
    x_scale, y_scale = np.float32(x.scale), np.float32(y.scale)
    if x.dtype == "int16":
        return quantize_multiplier(1.0 / (math.sqrt(x_scale) * float(y_scale)))
    return quantize_multiplier(1.0 / float(np.sqrt(x_scale) * y_scale))


_FLOAT: Mapping[str, Callable[[float], float]] = {
    "elu": lambda value: math.expm1(value) if value < 0 else value,
    "exp": lambda value: math.exp(min(value, 88.0)),
}


def lower(graph: Graph, node: Node) -> Lowered:
    """A table for bytes, a kernel by rows where there is one of this type, or NumPy."""
    x, y = graph.input(node), graph.output(node)
    if x.dtype in ("int8", "bool") and x.itemsize == y.itemsize:
        return lower_lookup(graph, node, reference)
    fields = unary_rows(graph, node)
    if x.quantization is not None and node.op == "rsqrt":
        multiplier, shift = _rsqrt_ratio(x, y)
        return RSQRT_S16.lowered(ELEMENT, **fields, multiplier=multiplier, shift=shift)
    if x.quantization is not None:
        multiplier, shift = _ratio(x, y)
        return ABS_S16.lowered(
            ELEMENT,
            **fields,
            x_offset=-x.zero_point,
            multiplier=multiplier,
            shift=shift,
            y_offset=y.zero_point,
        )
    if x.dtype == "float32" and node.op in _IN_FLOATS:
        return _in_floats(node, fields)
    kernel = PLAIN.get(f"{node.op}_{_SUFFIXES.get(x.dtype)}")
    return IN_NUMPY.lowered() if kernel is None else kernel.lowered(ELEMENT, **fields)


def _in_floats(node: Node, fields: dict[str, Field]) -> Lowered:
    """Functions that need tables, and log."""
    if node.op == "log":
        return LOG_F32.lowered(ELEMENT, **fields)
    if node.op in ANGLES_F32:
        words = Constant(turn_words().astype(np.uint32))
        return ANGLES_F32[node.op].lowered(ELEMENT, **fields, words=words)
    powers = Constant(power_table())
    if node.op == "exp":
        return EXP_F32.lowered(ELEMENT, **fields, powers=powers)
    alpha = np.array(node.attrs.parameters or (1.0,), np.float64)
    return ELU_F32.lowered(ELEMENT, **fields, powers=powers, alpha=Constant(alpha))


def quantized_as_known(graph: Graph, node: Node) -> bool:
    """Quantized numbers may be int8 in abs, elu, exp and rsqrt, int16 in abs and, with zero points
    of 0, in rsqrt; no others."""
    x, y = graph.input(node), graph.output(node)
    if x.quantization is None and y.quantization is None:
        return True
    both = ("int8", "int16")
    kinds = {"abs": both, "rsqrt": both, "elu": ("int8",), "exp": ("int8",)}
    known = x.dtype in kinds.get(node.op, ()) and None not in (x.quantization, y.quantization)
    return known and (node.op != "rsqrt" or int16_is_symmetric(graph, node))


def scale_ratio_in_range(graph: Graph, node: Node) -> bool:
    """Input scale / output scale must be under 2**30, and of rsqrt 1 / (root of the input scale
    times output scale)."""
    x, y = graph.input(node), graph.output(node)
    if x.quantization is None or y.quantization is None:
        return True
    return (_rsqrt_ratio if node.op == "rsqrt" else _ratio)(x, y)[1] <= 30


def _operation(op: str) -> Operation:
    kernels = [PLAIN[f"{op}_{suffix}"] for suffix in _TYPES.get(op, ())]
    kernels += [_IN_FLOATS[op]] if op in _IN_FLOATS else []
    kernels += [_OF_INT16[op]] if op in _OF_INT16 else []
    return Operation(
        reference,
        lower,
        (LOOKUP_S8, *kernels, IN_NUMPY),
        (one_dtype, quantized_as_known, is_quantized, scale_ratio_in_range),
    )


OPERATIONS: Mapping[str, Operation] = {op: _operation(op) for op in (*_TYPES, *_IN_FLOATS)} | {
    "logical_not": Operation(one_reference, lower, (LOOKUP_S8, IN_NUMPY), (one_dtype,))
}
