"""Schedule and memory plan to a program: every symbolic field becomes a number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from .feeding import FEED
from .graph import Graph
from .lowering import (
    ELEMENT,
    PIXEL,
    ROW,
    Address,
    Constant,
    Cursor,
    Field,
    FirstRow,
    Lowered,
    Rows,
    Scratch,
    Sums,
    image_rows,
)
from .memory import MemoryPlan, Overlap, Request, plan_memory
from .ops import need
from .places import Place, places_of, row_bytes, streamed_call, whole_inputs
from .program import Buffer, Call, Loop, Program, Step
from .regions import safe_distance
from .schedule import Repeat, Schedule, Work, output_rows
from .shapes import image_size

PADDING_ROW = -1
TABLE_ENTRY = 4  # bytes of a row table's int32
SUM_BYTES = 4  # of one of the sums that a node keeps


@dataclass(frozen=True)
class Layout:
    """Which tensors share storage, and what has to be placed."""

    places: Mapping[int, Place]  # of every tensor
    requests: tuple[Request, ...]
    overlaps: tuple[Overlap, ...]


def assemble(
    graph: Graph,
    lowered: Mapping[int, Lowered],
    schedule: Schedule,
    target: str,
    alignment: int,
    exact: bool = True,
    overlap: bool = True,
) -> Program:
    """A program of these calls in this order, with the arena packed for `alignment` bytes."""
    lowered = _calls_of(graph, lowered, schedule)
    layout = _lay_out(graph, lowered, schedule, overlap)
    plan = plan_memory(layout.requests, layout.overlaps, alignment, exact)
    assembler = _Assembler(graph, lowered, schedule, layout, plan)
    items = tuple(assembler.items())
    return Program(
        graph=graph,
        target=target,
        items=items,
        constants=assembler.constants.data(),
        arena_bytes=plan.size,
        addresses={
            tensor: plan.offsets[str(place.home)]
            for tensor, place in layout.places.items()
            if place.home not in schedule.rings
            and str(place.home) in plan.offsets
            and tensor not in schedule.merged
            and not place.is_part(row_bytes(graph, tensor))
        },
        buffers=tuple(_buffers(graph, layout, plan)),
        state={i: _initial(graph, i) for i, t in graph.tensors.items() if t.variable},
        strategy="rows" if schedule.rings else "layers",
        lower_bound=plan.lower_bound,
        live_set_bytes=plan.live_set,
        planner=plan.method,
        alignment=max(alignment, 16),
    )


def _calls_of(
    graph: Graph, lowered: Mapping[int, Lowered], schedule: Schedule
) -> Mapping[int, Lowered]:
    """Inside a streamed segment a node that can take its input row by row does so."""
    places = places_of(graph, lowered)
    streamed = {
        work.node
        for first, last in schedule.spans
        for item in range(first, last + 1)
        for work in schedule.works(item)
    }
    return {
        n: streamed_call(graph, call, places) if n in streamed else call
        for n, call in lowered.items()
    }


def _initial(graph: Graph, index: int) -> np.ndarray:
    """A state starts at its zero point, as TFLite's variables do, if nothing else is said."""
    tensor = graph.tensors[index]
    if tensor.initial is not None:
        return tensor.initial
    start = tensor.zero_point if tensor.quantization is not None else 0
    return np.full(tensor.shape, start, tensor.dtype)


# ---- what has to be placed ---------------------------------------------------------------------


def _lay_out(
    graph: Graph, lowered: Mapping[int, Lowered], schedule: Schedule, overlap: bool
) -> Layout:
    places = places_of(graph, lowered)
    places |= {tensor: places[into] for tensor, into in schedule.merged.items()}
    span = _lifetimes(graph, lowered, schedule, places)
    widest: dict[int, int] = {}
    for tensor, place in places.items():
        widest[place.home] = max(widest.get(place.home, 1), graph.tensors[tensor].itemsize)
    requests = [
        Request(str(home), _storage_size(graph, schedule, home), *span[home], widest[home])
        for home in span
    ]
    requests.extend(_scratches(lowered, schedule))
    requests.extend(_sums(lowered, schedule))
    overlaps = _overlaps(graph, lowered, schedule, places, span) if overlap else ()
    return Layout(places, tuple(requests), tuple(overlaps))


def _storage_size(graph: Graph, schedule: Schedule, tensor: int) -> int:
    value = graph.tensors[tensor]
    if tensor in schedule.rings:
        return schedule.rings[tensor] * image_rows(value.shape)[2] * value.itemsize
    return value.bytes


def _lifetimes(
    graph: Graph, lowered: Mapping[int, Lowered], schedule: Schedule, places: Mapping[int, Place]
) -> dict[int, tuple[int, int]]:
    """Storage -> (first item, last item). Inputs exist before item 0, outputs after the last.

    What a node makes of its input's last row exists from that row's call on.
    """
    span: dict[int, tuple[int, int]] = {}
    end = len(schedule.items)

    def touch(tensor: int, item: int) -> None:
        if tensor in places:
            home = places[tensor].home
            first, last = span.get(home, (item, item))
            span[home] = min(first, item), max(last, item)

    for tensor in whole_inputs(graph):
        touch(tensor, -1)
    for item in range(end):
        for work, last_row in schedule.last_rows(item):
            node = graph.nodes[work.node]
            made = node.outputs if last_row >= lowered[work.node].takes else ()
            for tensor in (*node.operands, *made):
                touch(tensor, item)
    for tensor in graph.outputs:
        touch(tensor, end)
    for tensor, value in graph.tensors.items():
        if value.variable:
            touch(tensor, -1)
            touch(tensor, end)
    return span


def _scratches(lowered: Mapping[int, Lowered], schedule: Schedule) -> Iterator[Request]:
    """One request for each streamed segment or single item: its calls take turns."""
    spans = {item: span for span in schedule.spans for item in range(span[0], span[1] + 1)}
    sizes: dict[tuple[int, int], tuple[int, int]] = {}
    for item in range(len(schedule.items)):
        span = spans.get(item, (item, item))
        for work in schedule.works(item):
            for value in lowered[work.node].fields.values():
                if isinstance(value, Scratch):
                    size, alignment = sizes.get(span, (0, 1))
                    sizes[span] = max(size, value.size), max(alignment, value.alignment)
    for (first, last), (size, alignment) in sizes.items():
        yield Request(_scratch_key(first), size, first, last, alignment)


def _scratch_key(first_item: int) -> str:
    return f"scratch {first_item}"


def _sums(lowered: Mapping[int, Lowered], schedule: Schedule) -> Iterator[Request]:
    """What a node keeps from its first call to its last."""
    span: dict[int, tuple[int, int]] = {}
    for item in range(len(schedule.items)):
        for work in schedule.works(item):
            span[work.node] = span.get(work.node, (item, item))[0], item
    for node, (first, last) in span.items():
        if lowered[node].kernel == FEED:  # between inferences too
            first, last = -1, len(schedule.items)
        for value in lowered[node].fields.values():
            if isinstance(value, Sums):
                yield Request(_sums_key(node), value.size, first, last, SUM_BYTES)


def _sums_key(node: int) -> str:
    return f"sums {node}"


def _overlaps(
    graph: Graph,
    lowered: Mapping[int, Lowered],
    schedule: Schedule,
    places: Mapping[int, Place],
    span: Mapping[int, tuple[int, int]],
) -> Iterator[Overlap]:
    """Inputs that die where an output is made, and how far apart they must start."""
    for (dying, born), distance in schedule.distances.items():
        yield Overlap(str(dying), str(born), distance)
    streamed = {item for first, last in schedule.spans for item in range(first, last + 1)}
    for item, entry in enumerate(schedule.items):
        if isinstance(entry, Repeat) or item in streamed:
            continue
        node = graph.nodes[entry.node]
        result = node.outputs[0]
        if len(node.outputs) > 1 or result not in places or span[places[result].home][0] != item:
            continue
        for home, distance in layer_distances(graph, lowered, entry.node, places).items():
            if span[home][1] == item:
                yield Overlap(str(home), str(places[result].home), distance)


def layer_distances(
    graph: Graph, lowered: Mapping[int, Lowered], index: int, places: Mapping[int, Place]
) -> dict[int, int]:
    """Input buffer -> bytes by which it must start after the output of a node that runs whole.

    Buffers that may not overlap the output are left out.
    """
    node = graph.nodes[index]
    found: dict[int, list[int | None]] = {}
    parts = {t for t, place in places.items() if place.is_part(row_bytes(graph, t))}
    if not parts.isdisjoint((*node.operands, *node.outputs)):
        return {}
    for position, operand in enumerate(node.inputs):
        if operand is not None and operand in places and not graph.tensors[operand].variable:
            distance = _layer_distance(graph, lowered[index], index, position)
            found.setdefault(places[operand].home, []).append(distance)
    known = {home: [d for d in all_ if d is not None] for home, all_ in found.items()}
    return {home: max(d) for home, d in known.items() if len(d) == len(found[home])}


def _layer_distance(graph: Graph, call: Lowered, index: int, position: int) -> int | None:
    """Bytes by which the input must start after the output; None where they may not overlap."""
    node = graph.nodes[index]
    before, after = graph.input(node, position), graph.output(node)
    if call.granularity == ELEMENT and before.elements == after.elements:
        growth = after.itemsize - before.itemsize
        return max(growth, 0) * (after.elements - 1)
    images = image_rows(before.shape)[0], image_rows(after.shape)[0]
    if call.granularity not in (PIXEL, ROW) or position != 0 or images != (1, 1):
        return None
    pixels = [int(np.prod(image_size(t.shape))) for t in (before, after)]
    size = (before.bytes // pixels[0], after.bytes // pixels[1])
    return safe_distance(need(graph, node, position), size, by_row=call.granularity == ROW)


def _buffers(graph: Graph, layout: Layout, plan: MemoryPlan) -> Iterator[Buffer]:
    for request in layout.requests:
        offset = plan.offsets[request.key]
        if " " in request.key:  # scratch or sums
            name, kind, tensor = f"{request.key}-{request.last}", "scratch", None
        else:
            tensor = int(request.key)
            name, kind = graph.tensors[tensor].name, _kind(graph, layout, tensor)
        yield Buffer(name, kind, tensor, offset, request.size, request.first, request.last)


def _kind(graph: Graph, layout: Layout, home: int) -> str:
    shared = {tensor for tensor, place in layout.places.items() if place.home == home}
    if graph.tensors[home].variable:
        return "state"
    if shared.intersection(graph.inputs):
        return "input"
    return "output" if shared.intersection(graph.outputs) else "activation"


# ---- fields to numbers -------------------------------------------------------------------------


class _Constants:
    """The constants' bytes; equal arrays are stored once."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._places: dict[bytes, int] = {}

    def put(self, array: np.ndarray, alignment: int) -> int:
        content = np.ascontiguousarray(array).tobytes()
        place = self._places.get(content)
        if place is None or place % alignment:
            self._data += bytes(-len(self._data) % alignment)
            place = self._places[content] = len(self._data)
            self._data += content
        return place

    def data(self) -> bytes:
        return bytes(self._data)


class _Assembler:
    def __init__(
        self,
        graph: Graph,
        lowered: Mapping[int, Lowered],
        schedule: Schedule,
        layout: Layout,
        plan: MemoryPlan,
    ) -> None:
        self.graph, self.lowered, self.schedule = graph, lowered, schedule
        self.places, self.plan = layout.places, plan
        self.constants = _Constants()
        self.reach = self._row_reach()
        self.tables: dict[tuple[int, int], int] = {}
        self.scratch = ""  # key of the scratch of the item at hand

    def items(self) -> Iterator[Call | Loop]:
        spans = {item: span for span in self.schedule.spans for item in range(span[0], span[1] + 1)}
        for item, entry in enumerate(self.schedule.items):
            self.scratch = _scratch_key(spans.get(item, (item, item))[0])
            if isinstance(entry, Work):
                yield self._call(entry)
            else:
                yield self._loop(entry)

    def _loop(self, repeat: Repeat) -> Loop:
        steps = [
            Step(position, name, TABLE_ENTRY * value.step * by)
            for position, (work, by) in enumerate(zip(repeat.body, repeat.advance, strict=True))
            for name, value in self.lowered[work.node].fields.items()
            if isinstance(value, Cursor) and by
        ]
        steps += [
            Step(position, name, by)
            for position, (work, by) in enumerate(zip(repeat.body, repeat.advance, strict=True))
            for name, value in self.lowered[work.node].fields.items()
            if isinstance(value, FirstRow) and by
        ]
        return Loop(repeat.count, tuple(map(self._call, repeat.body)), tuple(steps))

    def _call(self, work: Work) -> Call:
        call = self.lowered[work.node]
        args = {name: self._number(value, work) for name, value in call.fields.items()}
        return Call(call.kernel, args, work.node)

    def _number(self, value: Field, work: Work) -> int:
        if isinstance(value, Constant):
            return self.constants.put(value.array, value.alignment)
        if isinstance(value, Cursor):
            row = value.first + work.begin * value.step - self.reach[value.tensor][0]
            return self._table(value.tensor, work.image) + TABLE_ENTRY * row
        if isinstance(value, Address):
            if not value.image:
                return self._address(value.tensor)
            images, _ = output_rows(self.graph, work.node)
            share = self.graph.tensors[value.tensor].bytes // images
            return self._address(value.tensor) + work.image * share
        if isinstance(value, Scratch):
            return self.plan.offsets[self.scratch]
        if isinstance(value, Sums):
            return self.plan.offsets[_sums_key(work.node)]
        if isinstance(value, FirstRow):
            return work.begin
        return work.end - work.begin if isinstance(value, Rows) else int(value)

    def _address(self, tensor: int) -> int:
        return self.plan.offsets[str(self.places[tensor].home)]

    def _image_bytes(self, tensor: int) -> int:
        value = self.graph.tensors[tensor]
        return value.bytes // image_rows(value.shape)[0]

    def _row_reach(self) -> dict[int, tuple[int, int]]:
        """Tensor -> (first, last + 1) row that any cursor meets, padding rows included."""
        reach: dict[int, tuple[int, int]] = {}
        for node, call in self.lowered.items():
            made = image_rows(self.graph.output(self.graph.nodes[node]).shape)[1]
            rows = call.takes or made
            for value in call.fields.values():
                if isinstance(value, Cursor):
                    low, high = reach.get(value.tensor, (0, 0))
                    last = value.first + (rows - 1) * value.step + value.extent
                    reach[value.tensor] = min(low, value.first), max(high, last)
        return reach

    def _table(self, tensor: int, image: int) -> int:
        """Constants offset of the tensor's row table for one image of the batch."""
        if (tensor, image) not in self.tables:
            rows, place = image_rows(self.graph.tensors[tensor].shape)[1], self.places[tensor]
            numbers = np.arange(*self.reach[tensor])
            stored = numbers + place.top
            if place.home in self.schedule.rings:
                stored %= self.schedule.rings[place.home]
            offsets = (
                self._address(tensor)
                + image * self._image_bytes(tensor)
                + stored * place.pitch
                + place.left
            )
            outside = (numbers < 0) | (numbers >= rows)
            table = np.where(outside, PADDING_ROW, offsets).astype("<i4")
            self.tables[tensor, image] = self.constants.put(table, TABLE_ENTRY)
        return self.tables[tensor, image]
