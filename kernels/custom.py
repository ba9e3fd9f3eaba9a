"""What a file of custom operators imports: see docs/custom-operators.md."""

from __future__ import annotations

from ..runtime.custom import CustomOperator, OperatorError, Options
from ..runtime.graph import DTYPES, Graph, Node, Tensor
from ..runtime.lowering import (
    ELEMENT,
    PIXEL,
    ROW,
    TENSOR,
    Address,
    Constant,
    Cursor,
    Rows,
    Scratch,
)
from ..runtime.needs import pointwise_need, window_need
from ..runtime.regions import Need, Span
from ..runtime.shapes import same_shape
from .elementwise import ROWS, all_of, unary_rows
from .operation import Operation, layout

__all__ = [
    "DTYPES",
    "ELEMENT",
    "PIXEL",
    "ROW",
    "ROWS",
    "TENSOR",
    "Address",
    "Constant",
    "Cursor",
    "CustomOperator",
    "Graph",
    "Need",
    "Node",
    "Operation",
    "OperatorError",
    "Options",
    "Rows",
    "Scratch",
    "Span",
    "Tensor",
    "all_of",
    "layout",
    "pointwise_need",
    "same_shape",
    "unary_rows",
    "window_need",
]
