"""What fewer bits cost each layer: the choices of Auto-Split, measured on samples.

The error of a layer is its distortion proxy, as in Banitalebi-Dehkordi et al., "Auto-Split", KDD
2021: the mean square of what rounding to fewer bits changes in its weights and in its activation,
each as a share of the mean square of the values themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from ...runtime.graph import Graph
from .coding_costs import tensor_values
from .costs import wire_bytes
from .planners.search import Choice

BITS = (2, 4, 6, 8)


def bit_choices(graph: Graph, samples: Sequence[Sequence[np.ndarray]]) -> list[list[Choice]]:
    """The choices of each node: whole tensors of 8 bits, and what fewer would lose.

    Weights and activations of other types than int8 and uint8 keep their bytes and lose nothing.
    """
    values = tensor_values(graph, samples)
    found = []
    for node in graph.nodes:
        constants = [graph.tensors[t] for t in dict.fromkeys(node.operands)]
        weights = [(t.data, _zero(graph, t.index)) for t in constants if t.data is not None]
        made = [(v, _zero(graph, t)) for t in node.outputs for v in values.get(t, ())]
        found.append([
            Choice(
                bits,
                sum(_loss(data, zero, bits) for data, zero in weights)
                + (sum(_loss(v, zero, bits) for v, zero in made) / len(made) if made else 0.0),
                sum(_bytes(data, bits) for data, _ in weights),
                sum(
                    wire_bytes(graph, t)
                    - graph.tensors[t].bytes
                    + ceil(graph.tensors[t].bytes * _share(graph.tensors[t].dtype, bits))
                    for t in node.outputs
                ),
            )
            for bits in BITS
        ])  # fmt: skip
    return found


def _share(dtype: str, bits: int) -> float:
    return bits / 8 if dtype in ("int8", "uint8") else 1.0


def _bytes(data: np.ndarray, bits: int) -> int:
    return ceil(data.nbytes * _share(str(data.dtype), bits))


def _zero(graph: Graph, index: int) -> int:
    quantization = graph.tensors[index].quantization
    return 0 if quantization is None or quantization.per_axis else quantization.zero_point


def _loss(data: np.ndarray, zero: int, bits: int) -> float:
    """Mean square of the change / mean square of the values, rounded to `bits` of 8."""
    if _share(str(data.dtype), bits) == 1.0:
        return 0.0
    centred = data.astype(np.float64) - zero
    step = 2.0 ** (8 - bits)
    rounded = np.clip(np.rint(centred / step), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1) * step
    size = float(np.square(centred).mean())
    return float(np.square(rounded - centred).mean()) / size if size else 0.0
