"""What a schedule needs room for: buffers with their lifetimes, and which of them may overlap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from .accesses import count_accesses
from .feeding import FEED
from .graph import Graph
from .lowering import ELEMENT, PIXEL, ROW, Lowered, Scratch, Sums, image_rows
from .memory import Overlap, Request
from .ops import need
from .places import Place, places_of, row_bytes, whole_inputs
from .regions import safe_distance
from .schedule import Repeat, Schedule
from .shapes import image_size

SUM_BYTES = 4  # of one of the sums that a node keeps
LINGER = 2  # items: enough that what a layer writes lies apart from all that the one before needs


@dataclass(frozen=True)
class Layout:
    """Which tensors share storage, and what has to be placed."""

    places: Mapping[int, Place]  # of every tensor
    requests: tuple[Request, ...]
    overlaps: tuple[Overlap, ...]


def lay_out(
    graph: Graph,
    lowered: Mapping[int, Lowered],
    schedule: Schedule,
    overlap: bool,
    linger: int = 0,
) -> Layout:
    """The buffers of these calls; with `overlap`, outputs may lie over dying inputs.

    Tensors are kept for `linger` items after the last that needs them, scratch for at most LINGER.
    """
    places = places_of(graph, lowered)
    places |= {tensor: places[into] for tensor, into in schedule.merged.items()}
    for tensor, over in schedule.over.items():
        pitch = places[over.home].pitch + over.gap
        places[over.home] = replace(places[over.home], left=over.gap, pitch=pitch)
        places[tensor] = Place(over.home, tensor, over.first, 0, pitch, step=over.step)
    span = _lifetimes(graph, lowered, schedule, places)
    widest: dict[int, int] = {}
    for tensor, place in places.items():
        widest[place.home] = max(widest.get(place.home, 1), graph.tensors[tensor].itemsize)
    requests = [
        Request(str(home), _storage_size(graph, schedule, home), *span[home], widest[home])
        for home in span
    ]
    requests = [replace(request, last=request.last + linger) for request in requests]
    for scratch in _scratches(lowered, schedule):
        requests.append(replace(scratch, last=scratch.last + min(linger, LINGER)))
    requests.extend(_sums(lowered, schedule))
    overlaps = _overlaps(graph, lowered, schedule, places, span) if overlap else ()
    return Layout(places, tuple(requests), tuple(overlaps))


def _storage_size(graph: Graph, schedule: Schedule, tensor: int) -> int:
    value = graph.tensors[tensor]
    if tensor in schedule.rings:
        gap = next((over.gap for over in schedule.over.values() if over.home == tensor), 0)
        return schedule.rings[tensor] * (image_rows(value.shape)[2] * value.itemsize + gap)
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
        yield Request(scratch_key(first), size, first, last, alignment)


def scratch_key(first_item: int) -> str:
    """The request of the scratch for the items from this one on."""
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
                yield Request(sums_key(node), value.size, first, last, SUM_BYTES)


def sums_key(node: int) -> str:
    """The request of a node's sums."""
    return f"sums {node}"


def buffer_accesses(
    graph: Graph, lowered: Mapping[int, Lowered], schedule: Schedule, layout: Layout
) -> dict[str, int]:
    """Bytes of each request that an inference reads and writes."""
    homes, scratches, sums = count_accesses(graph, lowered, layout.places)
    accesses = {str(home): count for home, count in homes.items()}
    accesses |= {sums_key(node): count for node, count in sums.items()}
    spans = {item: span for span in schedule.spans for item in range(span[0], span[1] + 1)}
    users = {
        (scratch_key(spans.get(item, (item, item))[0]), work.node)
        for item in range(len(schedule.items))
        for work in schedule.works(item)
    }
    for key, node in users:
        accesses[key] = accesses.get(key, 0) + scratches[node]
    return accesses


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
