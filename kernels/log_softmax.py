"""log_softmax of float32 over the last axis. (TFLite reference/log_softmax.h.)"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import ELEMENT, Constant, Lowered
from .elementwise import all_of
from .exponential import exp, power_table
from .operation import Operation, layout
from .softmax import pixel_rows
from .transcendental import log

LOG_SOFTMAX_F32 = layout("log_softmax_f32", "rows pixels depth x y powers")


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """x less its maximum, less the log of the sum of exponentials, which is added up in order."""
    x = arrays[0]
    assert x is not None
    lowest = np.finfo(np.float32).min
    with np.errstate(invalid="ignore", over="ignore"):
        below = x - np.fmax.reduce(x, axis=-1, keepdims=True, initial=lowest)
        powers, total = exp(below), np.zeros(x.shape[:-1], np.float32)
        for channel in range(x.shape[-1]):
            total = total + powers[..., channel]
        return [below - log(total)[..., None]]


def lower(graph: Graph, node: Node) -> Lowered:
    """Rows of pixels; in place, as an element is written after its pixel's greatest is known."""
    return LOG_SOFTMAX_F32.lowered(
        ELEMENT, **pixel_rows(graph, node), powers=Constant(power_table())
    )


OPERATION = Operation(reference, lower, (LOG_SOFTMAX_F32,), (all_of("float32"),))
