"""How often an inference reads and writes the bytes of each buffer: what belongs into fast memory.

Counted as if nothing stayed in registers. A node writes its output once. Each multiplication reads
a byte: of the node's scratch, where the kernel gathers its window there, else of its input; without
multiplications a node reads what the region rule says. Inputs are written and outputs read once
more, by the caller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from .graph import Graph, Node
from .lowering import Lowered, Scratch, Sums, image_rows
from .ops import macs, need
from .places import Place, whole_inputs
from .regions import Span
from .shapes import image_size


def count_accesses(
    graph: Graph, lowered: Mapping[int, Lowered], places: Mapping[int, Place]
) -> tuple[Counter[int], Counter[int], Counter[int]]:
    """Bytes accessed: of each buffer, by its home; of each node's scratch; of each node's sums."""
    homes, scratches, sums = Counter[int](), Counter[int](), Counter[int]()
    for index, call in lowered.items():
        node = graph.nodes[index]
        made = sum(graph.tensors[t].bytes for t in node.outputs)
        work = macs(graph, node)
        gathers = any(isinstance(f, Scratch) for f in call.fields.values())
        for tensor in node.outputs:
            homes[places[tensor].home] += graph.tensors[tensor].bytes
        for position, operand in enumerate(node.inputs):
            if operand is not None and operand in places:
                read = _bytes_read(graph, node, position)
                first = position == 0 and not gathers
                homes[places[operand].home] += max(read, work) if first else read
        if gathers:
            scratches[index] += max(work, made)
        for field in call.fields.values():
            if isinstance(field, Sums) and work + call.takes:
                sums[index] += 2 * field.size * max(call.takes, 1)
    for tensor in (*whole_inputs(graph), *graph.outputs):
        if tensor in places:
            homes[places[tensor].home] += graph.tensors[tensor].bytes
    return homes, scratches, sums


def _bytes_read(graph: Graph, node: Node, position: int) -> int:
    """What the node's output pixels need of an input, each byte as often as it is needed."""
    x, y = graph.input(node, position), graph.output(node)
    alike = len(x.shape) == len(y.shape) == 4 and x.shape[0] == y.shape[0]
    if not alike or node.op in ("fully_connected", "mean", "concatenation", "split", "transpose"):
        return x.bytes
    area = need(graph, node, position)
    pixel = x.bytes // max(image_rows(x.shape)[0] * int(np.prod(image_size(x.shape))), 1)
    return x.shape[0] * pixel * _covered(area.rows) * _covered(area.columns)


def _covered(span: Span) -> int:
    """Indices that the outputs need along an axis, padding left out."""
    low, high = (np.clip(end, 0, span.size) for end in (span.low, span.high))
    return int((high - low).clip(0).sum())
