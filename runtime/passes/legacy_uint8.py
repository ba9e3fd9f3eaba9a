"""Turn uint8 models of the first TFLite quantization scheme into int8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..attributes import NoAttrs, Pad
from ..graph import Graph, Node, Quantization, Tensor

SHIFT = 128


def legacy_uint8(graph: Graph) -> Graph:
    """Every quantized uint8 tensor becomes int8 with its zero point less 128.

    The arithmetic is the same, since TFLite computes both on q - zero_point, but for two rules that
    nodes marked `unsigned` keep: average pooling rounds by the sign of q itself, and a convolution
    multiplies its scales in float32. The model's own inputs and outputs stay
    uint8 behind QUANTIZE nodes, which are exact, and in place in the arena.
    """
    legacy = {i for i, t in graph.tensors.items() if t.dtype == "uint8" and t.quantization}
    if not legacy:
        return graph
    tensors = {i: _shifted(t) if i in legacy else t for i, t in graph.tensors.items()}
    border = _border(graph, legacy, tensors)
    before, after = [], []
    for original, twin in border.items():
        if original in graph.inputs:
            before.append(_quantize(original, twin, graph))
        else:
            after.append(_quantize(twin, original, graph))
    nodes = []
    for node in graph.nodes:
        made = _rewritten(node, border, legacy)
        nodes += _by_value(made, node, graph, tensors) if node.op == "cast" else [made]
    return graph.with_nodes([*before, *nodes, *after], tensors)


def _by_value(made: Node, node: Node, graph: Graph, tensors: dict[int, Tensor]) -> list[Node]:
    """A cast takes and makes the numbers themselves: those of uint8."""
    (x,), (y,), before, after = made.operands, made.outputs, [], []
    if tensors[x].dtype != graph.input(node).dtype:
        twin = _fresh(graph.input(node), tensors)
        before.append(Node("quantize", (x,), (twin,), NoAttrs(), made.name))
        made = replace(made, inputs=(twin,))
    if tensors[y].dtype != graph.output(node).dtype:
        twin = _fresh(graph.output(node), tensors)
        after.append(Node("quantize", (twin,), (y,), NoAttrs(), made.name))
        made = replace(made, outputs=(twin,))
    return [*before, made, *after]


def _fresh(tensor: Tensor, tensors: dict[int, Tensor]) -> int:
    index = max(tensors) + 1
    tensors[index] = replace(tensor, index=index)
    return index


def _border(graph: Graph, legacy: set[int], tensors: dict[int, Tensor]) -> Mapping[int, int]:
    """uint8 graph inputs and outputs -> a new int8 tensor that stands for them inside."""
    border, free = {}, graph.next_index()
    for index in dict.fromkeys((*graph.inputs, *graph.outputs)):
        if index in legacy:
            tensors[free] = replace(tensors[index], index=free)
            tensors[index] = graph.tensors[index]
            border[index] = free
            free += 1
    return border


def _shifted(tensor: Tensor) -> Tensor:
    old = tensor.quantization
    assert old is not None
    data = None
    if tensor.data is not None:
        data = (tensor.data.astype(np.int16) - SHIFT).astype(np.int8)
    quantization = Quantization(old.scales, old.zero_points - SHIFT, old.axis)
    return replace(tensor, dtype="int8", data=data, quantization=quantization)


def _quantize(source: int, target: int, graph: Graph) -> Node:
    name = graph.tensors[min(source, target)].name
    return Node("quantize", (source,), (target,), NoAttrs(), name)


def _rewritten(node: Node, border: Mapping[int, int], legacy: set[int]) -> Node:
    attrs = node.attrs
    if hasattr(attrs, "unsigned") and node.outputs[0] in legacy:
        attrs = replace(attrs, unsigned=True)
    if isinstance(attrs, Pad) and attrs.value is not None and node.outputs[0] in legacy:
        attrs = replace(attrs, value=attrs.value - SHIFT)
    return replace(
        node,
        attrs=attrs,
        inputs=tuple(border.get(t, t) if t is not None else None for t in node.inputs),
        outputs=tuple(border.get(t, t) for t in node.outputs),
    )
