"""The planner's view of a lowered graph: which rows need which rows, and how long buffers live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .graph import Graph
from .lowering import ELEMENT, PIXEL, TENSOR, Address, Cursor, Lowered, Sums, image_rows
from .ops import need
from .places import Place, addresses_part, places_of, streamed_call, whole_inputs
from .regions import Need, safe_distance, window

ROW_ALIGNMENT = 4  # bytes; of what lies before a row
STATE_ENDS = 1 << 30  # position of the last use of a tensor that outlives the inference


@dataclass(frozen=True)
class Read:
    """What an output row of a node needs of a tensor: `extent` rows from first + row * step on.

    `step` is 0 for a tensor that must be there as a whole.
    """

    tensor: int
    place: Place
    source: int  # position of the node that makes it, -1 for an input or a state
    first: int
    step: int
    extent: int
    rows: int  # of the tensor
    row_bytes: int

    @property
    def home(self) -> int:
        return self.place.home


@dataclass(frozen=True)
class Operation:
    """A lowered node inside a segment: the rows that it makes, and what they need."""

    node: int
    output: int
    place: Place  # of the output
    rows: int
    row_bytes: int
    reads: tuple[Read, ...]
    streams: bool  # by rows, one image, one output
    granularity: str
    takes: bool  # `rows` are those of the input, the output is there after the last
    sums: int  # bytes kept from the first row to the last
    lot: int  # rows that are made together, the last ones apart
    # By how many bytes a row of the output must start before a row of the one input that is no
    # longer needed, to be written over it; None if that can't be.
    behind: int | None

    @property
    def home(self) -> int:
        return self.place.home

    def written(self, row: int, place: Place) -> int:
        """Bytes of the home of the output that are there after `row`, if it lies at `place`."""
        if self.takes:
            return self.row_bytes if row == self.rows - 1 else 0
        return (place.top + row + 1) * place.pitch

    def lowest_read(self, read: Read, row: int) -> int:
        """First byte that output row `row` needs of the home of a tensor, or one before it."""
        if not read.step:
            return 0
        row = min(max(read.first + row * read.step, 0), read.rows)
        return (read.place.top + row) * read.place.pitch

    def reading(self, read: Read, row: int) -> int:
        """First byte of a tensor that must outlast the writing of output row `row`."""
        if self.granularity == TENSOR:
            return 0
        if self.is_in_place(read) and not self.place.is_part(self.row_bytes):
            return (row + 1) * read.row_bytes
        return self.lowest_read(read, row)

    def is_in_place(self, read: Read) -> bool:
        """True if each element is read before the one that may take its place is written."""
        window = (read.first, read.step, read.extent) == (0, 1, 1)
        same = (read.rows, read.row_bytes) == (self.rows, self.row_bytes)
        part = read.place.is_part(read.row_bytes)
        return self.granularity == ELEMENT and not self.takes and window and same and not part


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
    places: Mapping[int, Place]  # tensor -> where it lies


def make_flow(graph: Graph, lowered: Mapping[int, Lowered], lots: bool = False) -> Flow:
    """The planner's view of a lowered graph; rows come one by one, or in the lots of the calls."""
    places = places_of(graph, lowered)
    made = {
        tensor: position
        for position, node in enumerate(lowered)
        for tensor in graph.nodes[node].outputs
    }
    operations = tuple(_operation(graph, lowered, node, places, made, lots) for node in lowered)
    lives = tuple(_lives(graph, lowered, places, operations))
    return Flow(operations, lives, places)


def _operation(
    graph: Graph,
    lowered: Mapping[int, Lowered],
    index: int,
    places: Mapping[int, Place],
    made: Mapping[int, int],
    lots: bool,
) -> Operation:
    node, call = graph.nodes[index], streamed_call(graph, lowered[index], places)
    images, rows, elements = image_rows(graph.output(node).shape)
    reads = []
    for value in call.fields.values():
        if not isinstance(value, Cursor | Address) or value.tensor in node.outputs:
            continue
        tensor = graph.tensors[value.tensor]
        _, height, width = image_rows(tensor.shape)
        window = (value.first, value.step, value.extent) if isinstance(value, Cursor) else (0, 0, 0)
        place = places[value.tensor]
        source = made.get(place.made, -1)
        reads.append(Read(value.tensor, place, source, *window, height, width * tensor.itemsize))
    row_bytes = elements * graph.output(node).itemsize
    in_pieces = addresses_part(graph, call, places)
    return Operation(
        node=index,
        output=node.outputs[0],
        place=places[node.outputs[0]],
        rows=call.takes or rows,
        row_bytes=graph.output(node).bytes if call.takes else row_bytes,
        reads=tuple(reads),
        streams=call.by_rows and images == 1 and len(node.outputs) == 1 and not in_pieces,
        granularity=call.granularity,
        takes=bool(call.takes),
        sums=sum(v.size for v in call.fields.values() if isinstance(v, Sums)),
        lot=call.lot if lots else 1,
        behind=_behind(graph, index, lowered[index]),
    )


def _behind(graph: Graph, index: int, call: Lowered) -> int | None:
    node = graph.nodes[index]
    if not node.operands:
        return None
    before, after = graph.input(node), graph.output(node)
    pixelwise = all(way.granularity in (ELEMENT, PIXEL) for way in call.ways if not way.takes)
    if not pixelwise or len(before.shape) != 4 or len(after.shape) != 4:
        return None
    sizes = before.shape[3] * before.itemsize, after.shape[3] * after.itemsize
    row = Need(window(1, 1), need(graph, node, 0).columns)
    return -(-max(safe_distance(row, sizes), 0) // ROW_ALIGNMENT) * ROW_ALIGNMENT


def _lives(
    graph: Graph,
    lowered: Mapping[int, Lowered],
    places: Mapping[int, Place],
    operations: Sequence[Operation],
) -> list[Life]:
    birth: dict[int, int] = {}
    death: dict[int, int] = {}
    inputs = whole_inputs(graph)
    whole = {places[t].home for t in (*inputs, *graph.outputs) if t in places}

    def touch(tensor: int, position: int) -> None:
        if tensor in places:
            home = places[tensor].home
            birth[home] = min(birth.get(home, position), position)
            death[home] = max(death.get(home, position), position)

    for tensor in inputs:
        touch(tensor, -1)
    for position, node in enumerate(lowered):
        for tensor in (*graph.nodes[node].operands, *graph.nodes[node].outputs):
            touch(tensor, position)
        reads = operations[position].reads
        by_rows = {r.home for r in reads} - {
            r.home for r in reads if not r.step or r.place.reshaped
        }
        operands = {places[t].home for t in graph.nodes[node].operands if t in places}
        whole |= operands - by_rows
    for tensor in graph.outputs:
        touch(tensor, len(lowered))
    for tensor in places:
        if graph.tensors[tensor].variable:
            touch(tensor, -1)
            touch(tensor, STATE_ENDS)
    tensors = ((home, graph.tensors[home]) for home in birth)
    return [
        Life(home, tensor.bytes, birth[home], death[home], tensor.variable, home not in whole)
        for home, tensor in tensors
    ]
