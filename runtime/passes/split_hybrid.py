"""Part a float layer with int8 weights into the quantization of its input and the products."""

from __future__ import annotations

from ..attributes import DynamicQuantize
from ..graph import Graph, Node, Tensor

LAYERS = ("conv2d", "depthwise_conv2d", "fully_connected")


def split_hybrid(graph: Graph) -> Graph:
    """A layer of float32 input and int8 weights becomes two nodes.

    What is quantized together is an image, or the vector of a fully connected layer. By what rule,
    TFLite says: symmetric where weights have one scale, but for depthwise layers and where a fully
    connected one asks for the other (`asymmetric_quantize_inputs`).
    """
    nodes: list[Node] = []
    tensors: dict[int, Tensor] = {}
    free = graph.next_index()
    for node in graph.nodes:
        if _is_hybrid(graph, node):
            x, made = graph.input(node), (free, free + 1, free + 2)
            groups = _groups(graph, node)
            kinds = ((x.shape, "int8"), ((groups,), "float32"), ((groups,), "int32"))
            for index, (shape, dtype) in zip(made, kinds, strict=True):
                tensors[index] = Tensor(index, f"{x.name} as {dtype}", shape, dtype)
            attrs = DynamicQuantize(groups, _symmetric(graph, node))
            own = (node.name, node.origin)
            nodes.append(Node("dynamic_quantize", (x.index,), made, attrs, *own))
            operands = (*node.inputs, None)[:3]
            inputs = (free, *operands[1:], free + 1, free + 2)
            node = Node(f"hybrid_{node.op}", inputs, node.outputs, node.attrs, *own)
            free += 3
        nodes.append(node)
    return graph.with_nodes(nodes, tensors) if tensors else graph


def _is_hybrid(graph: Graph, node: Node) -> bool:
    if node.op not in LAYERS:
        return False
    return (graph.input(node).dtype, graph.input(node, 1).dtype) == ("float32", "int8")


def _groups(graph: Graph, node: Node) -> int:
    x = graph.input(node)
    whole = node.op == "fully_connected"
    return x.elements // graph.input(node, 1).shape[1] if whole else x.shape[0]


def _symmetric(graph: Graph, node: Node) -> bool:
    if node.op == "fully_connected":
        return not node.attrs.asymmetric
    scales = graph.input(node, 1).quantization
    return node.op == "conv2d" and scales is not None and not scales.per_axis
