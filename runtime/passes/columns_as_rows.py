"""Turn images of one row, whose columns are time, so that time is in the rows.

Converters make a one-dimensional convolution of [batch, time, channels] a two-dimensional one of
[batch, 1, time, channels]. Turned, it is one of [batch, time, 1, channels]: the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..attributes import Padding, Pair, Reshape, Shape
from ..graph import Graph, Node, Tensor
from ..shapes import kernel_size
from .remove_dead import remove_dead

WINDOWS = ("conv2d", "depthwise_conv2d", "average_pool2d", "max_pool2d", "l2_pool2d")
POINTWISE = (
    *("add", "sub", "mul", "relu", "leaky_relu", "logistic", "tanh", "hard_swish"),
    *("quantize", "dequantize"),
)


def columns_as_rows(graph: Graph) -> Graph:
    """Nodes on images of one row on [batch, columns, 1, channels]; reshapes lead there and back."""
    tensors: dict[int, Tensor] = {}
    turned: dict[int, int] = {}  # an image of one row -> the one that stands upright
    nodes: list[Node] = []
    free = graph.next_index()

    def upright(tensor: int) -> int:
        nonlocal free
        if tensor not in turned:
            turned[tensor], value = free, graph.tensors[tensor]
            data = None if value.data is None else value.data.reshape(_swapped(value.shape))
            shape = _swapped(value.shape)
            tensors[free] = replace(value, index=free, shape=shape, data=data)
            if data is None and tensor not in made:
                nodes.append(Node("reshape", (tensor,), (free,), Reshape(shape)))
            free += 1
        return turned[tensor]

    made = {node.outputs[0] for node in graph.nodes if _lies(graph, node)}
    for node in graph.nodes:
        if node.outputs[0] not in made:
            nodes.append(node)
            continue
        weights = node.inputs[1:2] if node.op in WINDOWS else ()
        images = node.inputs[:1] if node.op in WINDOWS else node.inputs
        kept = node.inputs[2:] if node.op in WINDOWS else ()
        inputs = (*map(upright, (t for t in (*images, *weights) if t is not None)), *kept)
        (lying,) = node.outputs
        nodes.append(
            replace(node, inputs=inputs, outputs=(upright(lying),), attrs=_attrs(node.attrs))
        )
        nodes.append(Node("reshape", (upright(lying),), (lying,), Reshape(_shape(graph, lying))))
    return remove_dead(_short_ways(graph.with_nodes(nodes, tensors)))


def _shape(graph: Graph, tensor: int) -> Shape:
    return graph.tensors[tensor].shape


def _swapped(shape: Shape) -> Shape:
    return (shape[0], shape[2], shape[1], shape[3]) if len(shape) == 4 else shape


def _lies(graph: Graph, node: Node) -> bool:
    """True for a node on images of one row that looks at no other."""
    if node.op not in (*WINDOWS, *POINTWISE) or len(node.outputs) != 1:
        return False
    first = [0] if node.op in WINDOWS else range(len(node.inputs))
    images = [graph.operand(node, position) for position in first]
    flat = all(
        image is not None and (_is_flat(image.shape) or (image.constant and len(image.shape) < 2))
        for image in (*images, graph.output(node))
    )
    if not flat or node.op in POINTWISE:
        return flat
    pad: Padding = node.attrs.padding
    return kernel_size(graph, node)[0] == 1 and pad.top == pad.bottom == 0


def _is_flat(shape: Sequence[int]) -> bool:
    return len(shape) == 4 and shape[1] == 1


def _attrs(attrs: Any) -> Any:
    """A window's attributes, height and width exchanged."""
    if not hasattr(attrs, "padding"):
        return attrs
    pad: Padding = attrs.padding
    changes: dict[str, Any] = {"padding": Padding(pad.left, pad.right, pad.top, pad.bottom)}
    for name in ("stride", "dilation", "window"):
        if hasattr(attrs, name):
            pair: Pair = getattr(attrs, name)
            changes[name] = pair[1], pair[0]
    return replace(attrs, **changes)


def _short_ways(graph: Graph) -> Graph:
    """Without reshapes of reshapes: what has a shape again that it had is what it was."""
    chains: dict[int, list[int]] = {}  # the tensors of the same bytes, the first made by no reshape
    same: dict[int, int] = {}
    nodes = []
    for given in graph.nodes:
        inputs = tuple(t if t is None else same.get(t, t) for t in given.inputs)
        node = replace(given, inputs=inputs)
        if node.op != "reshape" or graph.input(node).constant:
            nodes.append(node)
            continue
        result = node.outputs[0]
        chain = chains.setdefault(node.operands[0], [node.operands[0]])
        known = [t for t in chain if _shape(graph, t) == _shape(graph, result)]
        if known and result not in graph.outputs:
            same[result] = known[0]
            continue
        nodes.append(replace(node, inputs=(chain[0],)))
        chain.append(result)
        chains[result] = chain
    return graph.with_nodes(nodes)
