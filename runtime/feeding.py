"""Input by row: the caller hands rows over as they come, and the program goes as far as they allow.

A `feed` node makes the input tensor, one row at a time, so that the planner may keep it in a ring
like any other tensor. Its calls are no kernel's: an executor stops there until the next row is in
the place that the call's row table names. Where the first segment runs in strips of columns, each
has a feed of its own, which takes its columns out of the row: the caller hands the image over once
for each strip, from the top.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .attributes import Feed, Reshape
from .errors import PlanError
from .graph import Graph, Node
from .lowering import Cursor, Field, Lowered, Rows, Sums
from .program import Call, Loop, Program

FEED = "feed"  # operator and kernel


def feed_input(graph: Graph) -> Graph:
    """With a last node that makes the input; a reshape that made an image of it is dropped.

    An input that is no image (1, height, width, channels) comes as one row, and a first node gives
    it its shape. Raises `PlanError` if the model has not just one input, or that is an output too.
    """
    if len(graph.inputs) != 1:
        raise PlanError(f"a model of {len(graph.inputs)} inputs can't be fed by row; one is needed")
    image, nodes = graph.inputs[0], list(graph.nodes)
    readers = graph.consumers[image]
    if len(readers) == 1 and nodes[readers[0]].op == "reshape" and image not in graph.outputs:
        image = nodes.pop(readers[0]).outputs[0]
    given = graph.tensors[image]
    if image in graph.outputs:
        raise PlanError(f"the input {given.name!r} is an output too, and can't be fed by row")
    tensors = {}
    if len(given.shape) != 4 or given.shape[0] != 1:
        row = replace(given, index=graph.next_index(), shape=(1, 1, 1, given.elements))
        nodes.insert(0, Node("reshape", (row.index,), (image,), Reshape(given.shape)))
        image, tensors = row.index, {row.index: row}
    feed = Node(FEED, (), (image,), Feed(), "input")
    return graph.with_nodes([*nodes, feed], tensors, inputs=(image,))


def without_feed(graph: Graph) -> Graph:
    """The same graph as one whose input is simply there; feeds of strips stay."""
    feeds = [n for n in graph.nodes if n.op == FEED and set(n.outputs) <= set(graph.inputs)]
    return graph.with_nodes([node for node in graph.nodes if node not in feeds])


def feed_call(graph: Graph, node: Node, progress: int = 0) -> Lowered:
    """How a node that feeds is lowered: to take `bytes` of a row of the input, `left` left out.

    `progress` bytes of the arena are the executor's own at all times, if it wants some and there
    is more than one row.
    """
    image = graph.output(node)
    rows = image.shape[1] * sum(other.op == FEED for other in graph.nodes)
    pixel, kept = image.shape[3] * image.itemsize, progress and rows > 1
    fields: dict[str, Field] = {
        "rows": Rows(),
        "y": Cursor(image.index),
        "left": node.attrs.left * pixel,
        "bytes": image.shape[2] * pixel,
    }
    return Lowered(FEED, fields | ({"progress": Sums(progress)} if kept else {}))


def passes_of(program: Program) -> int:
    """How many times the caller hands over the whole image: once, or once for each strip."""
    return sum(node.op == FEED for node in program.graph.nodes)


def is_fed(program: Program) -> bool:
    """True if the program takes its input by row."""
    return any(call.kernel == FEED for call in program.calls())


def unrolled_calls(program: Program) -> Iterator[tuple[int, Call]]:
    """Every call that an inference makes, with its number in `Program.calls`."""
    number = 0
    for item in program.items:
        body = item.body if isinstance(item, Loop) else (item,)
        for turn in range(item.count if isinstance(item, Loop) else 1):
            for position, call in enumerate(body):
                yield number + position, _in_pass(item, position, call, turn)
        number += len(body)


def _in_pass(item: Call | Loop, position: int, call: Call, turn: int) -> Call:
    if isinstance(item, Call):
        return call
    steps = {s.field: turn * s.by for s in item.steps if s.call == position}
    return replace(
        call, args={name: value + steps.get(name, 0) for name, value in call.args.items()}
    )


def unrolled(program: Program) -> Iterator[Call | Loop]:
    """The program's items, with loops that take rows in them written out."""
    for item in program.items:
        if isinstance(item, Call) or all(call.kernel != FEED for call in item.body):
            yield item
            continue
        for turn in range(item.count):
            for position, call in enumerate(item.body):
                yield _in_pass(item, position, call, turn)
