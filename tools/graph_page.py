"""A graph as one self-contained HTML page: nodes downwards, branches in lanes side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from ..runtime.graph import Graph, Node, Tensor
from ..runtime.ops import macs
from .plan_page import STYLE

LANE, ROW, BOX, WIDE, BEND = 300, 58, 40, 270, 16  # of the drawing, in its own units
COLOURS = (
    ("conv", "#4e79a7"), ("fully", "#4e79a7"), ("matmul", "#4e79a7"), ("pool", "#76b7b2"),
    ("mean", "#76b7b2"), ("add", "#59a14f"), ("sub", "#59a14f"), ("mul", "#59a14f"),
    ("quantize", "#b07aa1"),
)  # fmt: skip
OTHER = "#8c8c8c"


def graph_page(graph: Graph, name: str) -> str:
    """The page, as HTML text that needs no other file."""
    total = sum(macs(graph, node) for node in graph.nodes)
    parameters = sum(t.bytes for t in graph.tensors.values() if t.constant)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>{escape(name)}: graph</title><style>{STYLE}"
        "svg rect{rx:4px}svg .box text{fill:#fff}</style>"
        f"<h1>{escape(name)}</h1><p>{len(graph.nodes)} operators, {total:,} multiply-accumulates, "
        f"{parameters:,} bytes of constants. A box names the operator and what it makes; its title "
        f"tells all.</p><div class=scroll>{_drawing(graph)}</div></html>\n"
    )


def _drawing(graph: Graph) -> str:
    lanes = _lanes(graph)
    across = max(lanes.values(), default=0) + 1
    width, height = across * LANE, (len(graph.nodes) + 2) * ROW
    rows = {t: i + 1 for i, node in enumerate(graph.nodes) for t in node.outputs}
    parts = [_edge(graph, i, t, rows, lanes) for i, t in _edges(graph)]
    parts += [_box(*box, lanes) for box in _boxes(graph)]
    return (
        f"<svg viewBox='0 0 {width} {height}' style='max-width:{width}px' role=img>"
        f"{''.join(parts)}</svg>"
    )


def _lanes(graph: Graph) -> dict[int, int]:
    """Tensor -> lane. A node goes on in its first operand's lane if no other has taken it on."""
    lanes = {t: i for i, t in enumerate(graph.inputs)}
    free_from: dict[int, int] = {}  # lane -> the row after which nobody reads from it
    for row, node in enumerate(graph.nodes):
        computed = [t for t in node.operands if t in lanes]
        wanted = [lanes[t] for t in computed if max(graph.consumers[t], default=row) == row]
        taken = {lane for lane, last in free_from.items() if last > row}
        lane = min(wanted) if wanted else next(i for i in range(len(graph.nodes)) if i not in taken)
        for t in node.outputs:
            lanes[t] = lane
        last = max((max(graph.consumers[t], default=row) for t in node.outputs), default=row)
        free_from[lane] = max(last, free_from.get(lane, 0) if not wanted else 0)
    return lanes


def _edges(graph: Graph) -> Iterator[tuple[int, int]]:
    """(row, tensor) of each computed operand of each node."""
    for i, node in enumerate(graph.nodes):
        for t in dict.fromkeys(node.operands):
            if graph.is_activation(t):
                yield i + 1, t


def _edge(
    graph: Graph, row: int, tensor: int, rows: Mapping[int, int], lanes: Mapping[int, int]
) -> str:
    node = graph.nodes[row - 1]
    x1, y1 = _middle(lanes[tensor]), rows.get(tensor, 0) * ROW + BOX
    x2, y2 = _middle(lanes[node.outputs[0]]), row * ROW
    path = f"M{x1} {y1} C{x1} {y1 + BEND} {x2} {y2 - BEND} {x2} {y2}"
    return f"<path d='{path}' fill=none stroke='currentColor' stroke-opacity=.5 />"


def _middle(lane: int) -> float:
    return lane * LANE + WIDE / 2


def _boxes(graph: Graph) -> Iterator[tuple[int, int, str, str, str, str]]:
    """(row, tensor whose lane it stands in, colour, title, first line, second line)."""
    for place in graph.inputs:
        tensor = graph.tensors[place]
        yield 0, place, "#f28e2b", tensor.name, "input", _shape(tensor)
    for i, node in enumerate(graph.nodes):
        tensor = graph.output(node)
        last = " → output" if set(node.outputs) & set(graph.outputs) else ""
        yield i + 1, node.outputs[0], _colour(node.op), _title(graph, node), \
            f"{i} {node.op}{_size(graph, node)}", f"{_shape(tensor)}{last}"  # fmt: skip


def _box(
    row: int,
    tensor: int,
    colour: str,
    title: str,
    first: str,
    second: str,
    lanes: Mapping[int, int],
) -> str:
    x, y = lanes[tensor] * LANE, row * ROW
    return (
        f"<g class=box><title>{escape(title)}</title><rect x={x} y={y} width={WIDE} height={BOX} "
        f"fill='{colour}' /><text x={x + 8} y={y + 16}>{escape(first)}</text>"
        f"<text x={x + 8} y={y + 32}>{escape(second)}</text></g>"
    )


def _colour(op: str) -> str:
    return next((colour for part, colour in COLOURS if part in op), OTHER)


def _shape(tensor: Tensor) -> str:
    return f"{tensor.dtype} {'×'.join(map(str, tensor.shape)) or 'a number'}"


def _size(graph: Graph, node: Node) -> str:
    """The window of a convolution or pool."""
    if "conv" in node.op and len(graph.input(node, 1).shape) == 4:
        height, width = graph.input(node, 1).shape[1:3]
    elif hasattr(node.attrs, "window"):
        height, width = node.attrs.window
    else:
        return ""
    stride = node.attrs.stride
    return f" {height}×{width}" + (f" by {stride[0]}" if max(stride) > 1 else "")


def _title(graph: Graph, node: Node) -> str:
    tensors = [graph.tensors[t] for t in node.operands]
    scales = [
        f"{t.name}: {_shape(t)}" + (f", scale {t.scale:.6g}, zero point {t.zero_point}"
                                    if t.quantization and not t.quantization.per_axis else "")
        for t in (*tensors, *(graph.tensors[t] for t in node.outputs))
    ]  # fmt: skip
    return "\n".join([f"{node.op}, {macs(graph, node):,} MACs", str(node.attrs), *scales])
