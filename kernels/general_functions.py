"""Functions of one number, of two, and choices between them, in NumPy.

float32 functions that round (exp, sin, ...) are computed in float64 and rounded once, so that they
don't depend on how a library approximates them in float32. Integers wrap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..runtime.graph import DTYPES, Graph, Node
from . import transcendental
from .exponential import exp
from .in_numpy import IN_NUMPY, lower
from .operation import Constraint, Operation
from .plain import in_float64

Arrays = Sequence[np.ndarray | None]
Numbers = tuple[float, ...]

_erf = np.vectorize(math.erf, otypes=[np.float64])


def _elu(x: np.ndarray, parameters: Numbers) -> np.ndarray:
    """x where it is positive, else alpha * (e**x - 1)."""
    alpha = parameters[0] if parameters else 1.0
    wide = x.astype(np.float64)
    below = transcendental.expm1(x) if x.dtype == np.float32 else np.expm1(np.minimum(wide, 0))
    return np.where(wide > 0, wide, alpha * below).astype(x.dtype)


def _is_infinite(x: np.ndarray, parameters: Numbers) -> np.ndarray:
    """`parameters`: whether -inf counts, whether inf does."""
    negative, positive = parameters or (1.0, 1.0)
    found = np.isneginf(x) if negative else np.zeros(x.shape, bool)
    return found | np.isposinf(x) if positive else found


def _round(x: np.ndarray, parameters: Numbers) -> np.ndarray:
    """To even. What is over -0.5 and below 0 becomes 0.0, as in TFLite, whose steps go upwards."""
    rounded = np.rint(x)
    return np.where((rounded == 0) & (x != 0), rounded.dtype.type(0), rounded)


def _plain(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    return lambda *arguments: function(*arguments[:-1])


_WIDE: Mapping[str, Callable[..., np.ndarray]] = {
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "cos": np.cos,
    "cosh": np.cosh,
    "erf": _erf,
    "exp": np.exp,
    "log": np.log,
    "sin": np.sin,
    "sinh": np.sinh,
    "softplus": lambda x: np.logaddexp(x, 0.0),
    "tan": np.tan,
}
_NARROW: Mapping[str, Callable[..., np.ndarray]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "is_nan": np.isnan,
    "logical_not": np.logical_not,
    "bit_not": np.invert,
    "negate": np.negative,
    "reciprocal": lambda x: np.ones((), x.dtype) / x,
    "rsqrt": lambda x: np.ones((), x.dtype) / np.sqrt(x),
    "sqrt": np.sqrt,
    "square": lambda x: x * x,
}
# float32 by our own rule, which kernels have too; float64 by the C library's.
_OURS: Mapping[str, Callable[..., np.ndarray]] = {
    "cos": transcendental.cos,
    "exp": exp,
    "log": transcendental.log,
    "sin": transcendental.sin,
}


def _ours(name: str) -> Callable[[np.ndarray, Numbers], np.ndarray]:
    wide = in_float64(_WIDE[name])
    return lambda x, parameters: _OURS[name](x) if x.dtype == np.float32 else wide(x)


_ONE: Mapping[str, Callable[[np.ndarray, Numbers], np.ndarray]] = {
    **{name: _plain(in_float64(function)) for name, function in _WIDE.items()},
    **{name: _plain(function) for name, function in _NARROW.items()},
    **{name: _ours(name) for name in _OURS},
    "elu": _elu,
    "is_infinite": _is_infinite,
    "round": _round,
}


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whole numbers are cut towards zero; anything by zero is zero."""
    if a.dtype.kind == "f":
        return a / b
    return (
        np.where(b == 0, 0, np.trunc(a / np.where(b == 0, 1, b))).astype(a.dtype)
        if (a.dtype.itemsize < 8)
        else _divide_wide(a, b)
    )


def _divide_wide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """64-bit numbers, which float64 can't hold."""
    divisor = np.where(b == 0, 1, b)
    down = a // divisor
    cut = down + ((down < 0) & (down * divisor != a))
    return np.where(b == 0, 0, cut).astype(a.dtype)


def _power(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a**b, of a's type."""
    if a.dtype.kind == "f" or b.dtype.kind == "f":
        return np.power(a.astype(np.float64), b.astype(np.float64)).astype(a.dtype)
    return np.where(b < 0, 0, np.power(a, np.maximum(b, 0))).astype(a.dtype)


def _maximum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of 0.0 and -0.0 the second, as in TFLite; NaN stays."""
    return np.where((a > b) | (a != a), a, b)


def _minimum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where((a < b) | (a != a), a, b)


def _prelu(x: np.ndarray, slope: np.ndarray) -> np.ndarray:
    return np.where(x < 0, x * slope, x)


_TWO: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "bit_and": np.bitwise_and,
    "bit_or": np.bitwise_or,
    "bit_xor": np.bitwise_xor,
    "divide": _divide,
    "equal": np.equal,
    "floor_divide": np.floor_divide,
    "floor_modulo": np.mod,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "maximum": _maximum,
    "minimum": _minimum,
    "not_equal": np.not_equal,
    "power": _power,
    "prelu": _prelu,
    "remainder": np.fmod,
    "shift_left": np.left_shift,
    "shift_right": np.right_shift,
    "squared_difference": lambda a, b: (a - b) * (a - b),
}


def one_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """The function of each number of x."""
    x = arrays[0]
    assert x is not None
    with np.errstate(all="ignore"):
        return [np.asarray(_ONE[node.op](x, node.attrs.parameters))]


def two_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """The function of each pair, broadcast as NumPy does."""
    a, b = arrays[0], arrays[1]
    assert a is not None and b is not None
    with np.errstate(all="ignore"):
        return [np.asarray(_TWO[node.op](a, b)).astype(DTYPES[graph.output(node).dtype])]


def select_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """a where the condition holds, else b."""
    condition, a, b = arrays
    assert condition is not None and a is not None and b is not None
    return [np.where(condition, a, b)]


def cast_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """x as another type; fractions are cut off, and numbers that don't fit wrap."""
    x, kind = arrays[0], DTYPES[graph.output(node).dtype]
    assert x is not None
    if node.attrs.bits:
        return [x.view(kind)]
    with np.errstate(all="ignore"):
        return [x.astype(kind)]


def not_quantized(graph: Graph, node: Node) -> bool:
    """Its numbers must not be quantized."""
    tensors = (graph.tensors[t] for t in (*node.operands, *node.outputs))
    return all(tensor.quantization is None for tensor in tensors)


def one_scale(graph: Graph, node: Node) -> bool:
    """Quantized operands and output must have one scale and one zero point."""
    tensors = [graph.tensors[t] for t in (*node.operands, *node.outputs)]
    pairs = {
        None if t.quantization is None else (t.scale, t.zero_point, t.quantization.per_axis)
        for t in tensors
    }
    return len(pairs) == 1


def one_dtype(graph: Graph, node: Node) -> bool:
    """Operands and output must be of one dtype."""
    return len({graph.tensors[t].dtype for t in (*node.operands, *node.outputs)}) == 1


def true_or_false(graph: Graph, node: Node) -> bool:
    """The output must be bool, and the operands of one dtype."""
    kinds = {graph.tensors[t].dtype for t in node.operands}
    return graph.output(node).dtype == "bool" and len(kinds) == 1


def chosen_by_bool(graph: Graph, node: Node) -> bool:
    """The condition must be bool, and all else of one dtype."""
    kinds = {graph.tensors[t].dtype for t in (*node.operands[1:], *node.outputs)}
    return graph.input(node).dtype == "bool" and len(kinds) == 1


def _operation(reference: Callable[..., list[np.ndarray]], *constraints: Constraint) -> Operation:
    return Operation(reference, lower, (IN_NUMPY,), (not_quantized, *constraints))


_BOOL_ANSWERS = ("is_infinite", "is_nan")
_NATIVE = ("abs ceil cos elu exp floor log logical_not negate round rsqrt sin sqrt square").split()

OPERATIONS: Mapping[str, Operation] = {
    **{
        name: _operation(one_reference, true_or_false if name in _BOOL_ANSWERS else one_dtype)
        for name in _ONE
        if name not in _NATIVE
    },
    **{
        name: _operation(two_reference, one_dtype)
        for name in ("bit_and", "bit_or", "bit_xor", "remainder", "shift_right")
    },
    "power": _operation(two_reference),
    "shift_left": _operation(two_reference, one_dtype),
}
