"""The planner's view of a lowered graph: which rows need which rows, and how long buffers live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .graph import Graph
from .lowering import ELEMENT, TENSOR, Address, Cursor, Lowered, Sums, image_rows

STATE_ENDS = 1 << 30  # position of the last use of a tensor that outlives the inference


@dataclass(frozen=True)
class Read:
    """What an output row of a node needs of a tensor: `extent` rows from first + row * step on.

    `step` is 0 for a tensor that must be there as a whole.
    """

    tensor: int
    home: int  # the tensor whose storage it lies in
    source: int  # position of the node that makes it, -1 for an input or a state
    first: int
    step: int
    extent: int
    rows: int  # of the tensor
    row_bytes: int


@dataclass(frozen=True)
class Operation:
    """A lowered node inside a segment: the rows that it makes, and what they need."""

    node: int
    output: int
    rows: int
    row_bytes: int
    reads: tuple[Read, ...]
    streams: bool  # by rows, one image, one output
    granularity: str
    takes: bool  # `rows` are those of the input, the output is there after the last
    sums: int  # bytes kept from the first row to the last

    def written(self, row: int) -> int:
        """Bytes of the output that are there after `row`."""
        if self.takes:
            return self.row_bytes if row == self.rows - 1 else 0
        return (row + 1) * self.row_bytes

    def lowest_read(self, read: Read, row: int) -> int:
        """First byte that output row `row` needs of a tensor."""
        if not read.step:
            return 0
        return min(max(read.first + row * read.step, 0), read.rows) * read.row_bytes

    def reading(self, read: Read, row: int) -> int:
        """First byte of a tensor that must outlast the writing of output row `row`."""
        if self.granularity == TENSOR:
            return 0
        if self.is_in_place(read):
            return (row + 1) * read.row_bytes
        return self.lowest_read(read, row)

    def is_in_place(self, read: Read) -> bool:
        """True if each element is read before the one that may take its place is written."""
        window = (read.first, read.step, read.extent) == (0, 1, 1)
        same = (read.rows, read.row_bytes) == (self.rows, self.row_bytes)
        return self.granularity == ELEMENT and not self.takes and window and same


@dataclass(frozen=True)
class Life:
    """A buffer: bytes, and the positions of the nodes that make it and that use it last."""

    home: int
    size: int
    birth: int  # -1 is before the first node
    death: int
    variable: bool
    ring: bool  # no reader needs it whole: inside a segment a ring will do


@dataclass(frozen=True)
class Flow:
    """The nodes that make calls, in their order, and all buffers; reshapes are gone."""

    operations: tuple[Operation, ...]
    lives: tuple[Life, ...]


def storage_homes(graph: Graph, lowered: Mapping[int, Lowered]) -> dict[int, int]:
    """Tensor -> the tensor whose buffer it lies in; a node that isn't lowered is a reshape."""
    homes = {i: i for i in graph.tensors if not graph.tensors[i].constant}
    for i, node in enumerate(graph.nodes):
        if i not in lowered:
            homes[node.outputs[0]] = homes[node.operands[0]]
    return homes


def make_flow(graph: Graph, lowered: Mapping[int, Lowered]) -> Flow:
    """The planner's view of a lowered graph."""
    homes = storage_homes(graph, lowered)
    made = {
        tensor: position
        for position, node in enumerate(lowered)
        for tensor in graph.nodes[node].outputs
    }
    operations = tuple(_operation(graph, lowered, node, homes, made) for node in lowered)
    return Flow(operations, tuple(_lives(graph, lowered, homes, operations)))


def _operation(
    graph: Graph,
    lowered: Mapping[int, Lowered],
    index: int,
    homes: Mapping[int, int],
    made: Mapping[int, int],
) -> Operation:
    node, call = graph.nodes[index], lowered[index].by_row or lowered[index]
    images, rows, elements = image_rows(graph.output(node).shape)
    reads = []
    for value in call.fields.values():
        if not isinstance(value, Cursor | Address) or value.tensor in node.outputs:
            continue
        tensor = graph.tensors[value.tensor]
        _, height, width = image_rows(tensor.shape)
        window = (value.first, value.step, value.extent) if isinstance(value, Cursor) else (0, 0, 0)
        home = homes[value.tensor]
        source = made.get(home, -1)
        reads.append(Read(value.tensor, home, source, *window, height, width * tensor.itemsize))
    row_bytes = elements * graph.output(node).itemsize
    return Operation(
        node=index,
        output=node.outputs[0],
        rows=call.takes or rows,
        row_bytes=graph.output(node).bytes if call.takes else row_bytes,
        reads=tuple(reads),
        streams=call.by_rows and images == 1 and len(node.outputs) == 1,
        granularity=call.granularity,
        takes=bool(call.takes),
        sums=sum(v.size for v in call.fields.values() if isinstance(v, Sums)),
    )


def _lives(
    graph: Graph,
    lowered: Mapping[int, Lowered],
    homes: Mapping[int, int],
    operations: Sequence[Operation],
) -> list[Life]:
    birth: dict[int, int] = {}
    death: dict[int, int] = {}
    inputs = [t for t in graph.inputs if t not in graph.producers]  # others are fed by row
    whole = {homes[t] for t in (*inputs, *graph.outputs) if t in homes}

    def touch(tensor: int, position: int) -> None:
        home = homes.get(tensor)
        if home is not None:
            birth[home] = min(birth.get(home, position), position)
            death[home] = max(death.get(home, position), position)

    for tensor in inputs:
        touch(tensor, -1)
    for position, node in enumerate(lowered):
        for tensor in (*graph.nodes[node].operands, *graph.nodes[node].outputs):
            touch(tensor, position)
        reads = operations[position].reads
        by_rows = {r.home for r in reads} - {
            r.home for r in reads if not r.step or r.tensor != r.home
        }
        operands = {homes[t] for t in graph.nodes[node].operands if t in homes}
        whole |= operands - by_rows
    for tensor in graph.outputs:
        touch(tensor, len(lowered))
    for tensor in homes:
        if graph.tensors[tensor].variable:
            touch(tensor, -1)
            touch(tensor, STATE_ENDS)
    tensors = ((home, graph.tensors[home]) for home in birth)
    return [
        Life(home, tensor.bytes, birth[home], death[home], tensor.variable, home not in whole)
        for home, tensor in tensors
    ]
