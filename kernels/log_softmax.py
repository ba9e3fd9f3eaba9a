"""log_softmax of float32 over the last axis, in NumPy. (TFLite reference/log_softmax.h.)"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..runtime.graph import Graph, Node
from .elementwise import all_of
from .exponential import exp
from .in_numpy import IN_NUMPY, lower
from .operation import Operation


def reference(graph: Graph, node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """x less its maximum, less the log of the sum of exponentials, which is added up in order."""
    x = arrays[0]
    assert x is not None
    below = x - x.max(axis=-1, keepdims=True)
    powers, total = exp(below), np.zeros(x.shape[:-1], np.float32)
    for channel in range(x.shape[-1]):
        total = total + powers[..., channel]
    return [below - np.log(total.astype(np.float64)).astype(np.float32)[..., None]]


OPERATION = Operation(reference, lower, (IN_NUMPY,), (all_of("float32"),))
