"""Schedule and memory plan to a program: every symbolic field becomes a number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from .graph import Graph
from .layout import Layout, buffer_accesses, lay_out, scratch_key, sums_key
from .lowering import (
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
from .memories import plan_memories
from .memory import MemoryPlan, plan_memory
from .options import Grant
from .places import places_of, row_bytes, streamed_call
from .program import Buffer, Call, Loop, Program, Spread, Step
from .schedule import Repeat, Schedule, Work, output_rows

PADDING_ROW = -1
TABLE_ENTRY = 4  # bytes of a row table's int32


def assemble(
    graph: Graph,
    lowered: Mapping[int, Lowered],
    schedule: Schedule,
    target: str,
    alignment: int,
    exact: bool = True,
    overlap: bool = True,
    memories: Sequence[Grant] = (),
    linger: int = 0,
) -> Program:
    """A program of these calls in this order, with the arena packed for `alignment` bytes.

    Where memories are granted it is packed into them; `NoRoom` if it doesn't fit. Tensors are kept
    for `linger` items after the last that needs them.
    """
    lowered = _calls_of(graph, lowered, schedule)
    layout = lay_out(graph, lowered, schedule, overlap, linger)
    packed = layout.requests, layout.overlaps
    if memories:
        accesses = buffer_accesses(graph, lowered, schedule, layout)
        plan = plan_memories(*packed, accesses, memories, alignment, exact)
    else:
        plan = plan_memory(*packed, alignment, exact)
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
        spread=assembler.spread(),
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
        self._places: dict[tuple[str, bytes], int] = {}

    def put(self, array: np.ndarray, alignment: int, kind: str = "") -> int:
        """Where the array is; only arrays of one kind share bytes."""
        content = np.ascontiguousarray(array).tobytes()
        place = self._places.get((kind, content))
        if place is None or place % alignment:
            self._data += bytes(-len(self._data) % alignment)
            place = self._places[kind, content] = len(self._data)
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
        self.row_tables: dict[int, int] = {}  # offset in the constants -> entries
        self.scratch = ""  # key of the scratch of the item at hand

    def items(self) -> Iterator[Call | Loop]:
        spans = {item: span for span in self.schedule.spans for item in range(span[0], span[1] + 1)}
        for item, entry in enumerate(self.schedule.items):
            self.scratch = scratch_key(spans.get(item, (item, item))[0])
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
        return Call(call.kernel, args, work.node, call.parts)

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
            return self.plan.offsets[sums_key(work.node)]
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
            stored = numbers * place.step + place.top
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
            kind = "rows" if self._several else ""
            self.tables[tensor, image] = self.constants.put(table, TABLE_ENTRY, kind)
            self.row_tables[self.tables[tensor, image]] = len(table)
        return self.tables[tensor, image]

    # ---- several memories ----

    @property
    def _several(self) -> bool:
        return len(self.plan.regions) > 1

    def spread(self) -> Spread | None:
        """What several memories ask to be known; after `items`."""
        if not self.plan.regions:
            return None
        placed = (Address, Scratch, Sums)
        words = {
            node: tuple(name for name, field in call.fields.items() if isinstance(field, placed))
            for node, call in self.lowered.items()
        }
        return Spread(
            self.plan.regions,
            self.plan.cost,
            self.plan.least_cost,
            tuple(sorted(self.row_tables.items())) if self._several else (),
            words if self._several else {},
        )
