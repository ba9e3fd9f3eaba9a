"""What one device does of a step: some nodes, the box of each, what it sends back and keeps.

The same code runs it on the device itself, behind gRPC and in a Ray actor.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ....runtime.backend import Executor, find_backend
from ....runtime.errors import InputError
from ....runtime.graph import Graph, Tensor
from ....runtime.pipeline import compile_graph
from ....runtime.tiles import part
from .boxes import Box, Pieces, hull, minus, piece_of
from .geometry import Geometry

Piece = tuple[int, Box]  # a tensor by index, and a box of it
MOST_PROGRAMS = 512  # compiled at once
MOST_FRAMES = 8  # inferences of which a worker keeps tiles; a gateway runs one after the other
KEPT = 4  # times all activations: what one inference may leave with a worker
MOST_TEXT = 1 << 16  # bytes of a task


@dataclass(frozen=True)
class Task:
    """`boxes`: node and box of its output, in order; `give`: what is sent back; `keep`: tensors
    whose boxes stay with the device for later steps of the same inference.

    With `isolated` a box sees nothing of its neighbours: its sides are padded like the image's.
    """

    boxes: tuple[tuple[int, Box], ...]
    give: tuple[Piece, ...] = ()
    keep: tuple[int, ...] = ()
    isolated: bool = False

    @cached_property
    def nodes(self) -> tuple[int, ...]:
        return tuple(number for number, _ in self.boxes)

    def text(self) -> str:
        return json.dumps([self.boxes, self.give, self.keep, self.isolated])

    @staticmethod
    def read(text: str, geometry: Geometry) -> Task:
        """The task of a peer; `InputError` for anything that the graph doesn't have."""
        try:
            boxes, give, keep, isolated = json.loads(text[: MOST_TEXT + 1])
            task = Task(
                tuple((int(number), box_of(box)) for number, box in boxes),
                tuple((int(tensor), box_of(box)) for tensor, box in give),
                tuple(int(tensor) for tensor in keep),
                bool(isolated),
            )
        except (ValueError, TypeError, RecursionError):
            raise InputError("a tile task is four lists in JSON, and this isn't") from None
        check(task, geometry)
        return task


def box_of(read: Any) -> Box:
    (top, bottom), (left, right) = read
    return (int(top), int(bottom)), (int(left), int(right))


def check(task: Task, geometry: Geometry) -> None:
    """`InputError` unless all nodes and boxes are the graph's, in order."""
    nodes, count = task.nodes, len(geometry.graph.nodes)
    if not nodes or list(nodes) != sorted(set(nodes)) or not 0 <= nodes[0] <= nodes[-1] < count:
        raise InputError(f"a tile task names rising nodes from 0 to {count - 1}")
    made = {t: box for n, box in task.boxes for t in geometry.graph.nodes[n].outputs}
    if not set(task.keep) <= set(made) or not {t for t, _ in task.give} <= set(made):
        raise InputError("a tile task gives and keeps only what it makes")
    limits = [(geometry.output(n), box) for n, box in task.boxes]
    _within((*limits, *task.give), geometry)
    whole = [box == geometry.whole[geometry.output(n)] for n, box in task.boxes]
    if not all(w or geometry.tileable[n] for n, w in zip(nodes, whole, strict=True)):
        raise InputError("a tile task cuts a node that can't be made in part")


def _within(pieces: Iterable[Piece], geometry: Geometry) -> None:
    for tensor, ((top, bottom), (left, right)) in pieces:
        (_, height), (_, width) = geometry.whole[tensor]
        if not (0 <= top < bottom <= height and 0 <= left < right <= width):
            raise InputError(f"a tile's box lies outside of a tensor of {height} x {width}")


@dataclass(frozen=True, eq=False)
class _Stage:
    """Nodes that run as one program: what it takes and makes."""

    inputs: tuple[Piece, ...]
    outputs: tuple[Piece, ...]
    executor: Executor


class TaskRunner:
    """Runs tasks of one graph on a target; its programs are kept. Not thread-safe."""

    def __init__(self, graph: Graph, target: str = "host") -> None:
        self.graph, self.geometry, self._target = graph, Geometry(graph), target
        self._programs: OrderedDict[Any, list[_Stage]] = OrderedDict()

    def run(self, task: Task, pieces: Pieces) -> list[np.ndarray]:
        """What the task gives; `pieces` has what it needs, and takes what it makes."""
        made = Pieces(self.graph.tensors)
        for stage in self._stages(task):
            values = stage.executor.run([_take(made, pieces, *piece) for piece in stage.inputs])
            for (tensor, box), value in zip(stage.outputs, values, strict=True):
                made.put(tensor, box, value)
                pieces.put(tensor, box, value)
        return [made.take(tensor, box) for tensor, box in task.give]

    def close(self) -> None:
        for stages in self._programs.values():
            for stage in stages:
                stage.executor.close()
        self._programs.clear()

    def _stages(self, task: Task) -> list[_Stage]:
        leaving = {t for t, _ in task.give} | set(task.keep)
        key = (task.boxes, frozenset(leaving), task.isolated)
        stages = self._programs.pop(key, None) or self._compile(task, leaving)
        self._programs[key] = stages
        while len(self._programs) > MOST_PROGRAMS:
            for stage in self._programs.popitem(last=False)[1]:
                stage.executor.close()
        return stages

    def _compile(self, task: Task, leaving: set[int]) -> list[_Stage]:
        boxes = dict(task.boxes)
        parts = _split(self.geometry, boxes) if not task.isolated else [list(boxes)]
        stages = []
        for number, nodes in enumerate(parts):
            later = [n for rest in parts[number + 1 :] for n in rest]
            read_later = {t for n in later for t in self.geometry.activations(n)}
            wanted = leaving | read_later
            stages.append(self._stage({n: boxes[n] for n in nodes}, wanted, task.isolated))
        return stages

    def _stage(self, boxes: Mapping[int, Box], wanted: set[int], isolated: bool) -> _Stage:
        nodes = list(boxes)
        geometry = self.geometry
        made = {t: boxes[n] for n in nodes for t in self.graph.nodes[n].outputs}
        needed: dict[int, Box] = {}
        for n in nodes:
            needs = (geometry.isolated if isolated else geometry).needs(n, boxes[n])
            if needs is None:
                raise InputError(f"node {n} can't be made in the part {boxes[n]}")
            for tensor, need in needs.items():
                if tensor not in made:
                    needed[tensor] = hull([need, needed[tensor]]) if tensor in needed else need
        outputs = [t for t in made if t in wanted]
        if all(boxes[n] == geometry.whole[geometry.output(n)] for n in nodes):
            graph = self.graph.with_nodes(
                [self.graph.nodes[n] for n in nodes],
                inputs=tuple(needed),
                outputs=tuple(outputs),
                fixed_inputs={t: v for t, v in self.graph.fixed_inputs.items() if t in needed},
                signatures={},
            )
            made |= {t: geometry.whole[t] for t in made}
        else:
            halos = geometry.isolated.halos if isolated else geometry.halos
            graph = part(self.graph, nodes, needed | made, outputs, halos)
        executor = find_backend(self._target).build(compile_graph(graph, self._target))
        return _Stage(tuple(needed.items()), tuple((t, made[t]) for t in outputs), executor)


def _take(made: Pieces, given: Pieces, tensor: int, box: Box) -> np.ndarray:
    """What the task has made comes first: a store may hold older pieces of other tiles too."""
    try:
        return made.take(tensor, box)
    except InputError:
        return given.take(tensor, box)


def _split(geometry: Geometry, boxes: Mapping[int, Box]) -> list[list[int]]:
    """Runs of nodes that need nothing of each other but what they make themselves.

    A node that reads more of an inner tensor than the task makes of it takes the rest from other
    tiles, so that it starts a new run.
    """
    runs: list[list[int]] = [[]]
    here: dict[int, Box] = {}
    for number, box in boxes.items():
        needs = geometry.needs(number, box) or {}
        if any(t in here and minus(need, here[t]) for t, need in needs.items()):
            runs.append([])
            here = {}
        runs[-1].append(number)
        here[geometry.output(number)] = box
    return runs


class TileHost:
    """A worker's part: tasks of several inferences, and the tiles that they keep.

    `frame` names an inference; of many only the last `MOST_FRAMES` are kept.
    """

    def __init__(self, graph: Graph, target: str = "host") -> None:
        self.graph = graph
        self.runner = TaskRunner(graph, target)
        self._frames: OrderedDict[str, Pieces] = OrderedDict()
        self._most_bytes = KEPT * sum(t.bytes for t in graph.tensors.values() if not t.constant)
        self._lock = threading.Lock()

    def run(
        self, frame: str, task: Task, given: Sequence[Piece], values: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        with self._lock:
            return self._run(frame, task, given, values)

    def _run(
        self, frame: str, task: Task, given: Sequence[Piece], values: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        known = self._frames.pop(frame, None)
        pieces = known or Pieces(self.graph.tensors)
        for (tensor, box), value in zip(given, values, strict=True):
            pieces.put(tensor, box, value)
        answer = self.runner.run(task, pieces)
        if pieces.bytes > self._most_bytes:
            raise InputError("an inference has sent more than its tensors take; start another")
        if task.keep or known:
            self._frames[frame] = pieces
        while len(self._frames) > MOST_FRAMES:
            self._frames.popitem(last=False)
        return answer

    def close(self) -> None:
        self.runner.close()


def pieces_text(pieces: Sequence[Piece]) -> str:
    return json.dumps(pieces)


def read_pieces(text: str, geometry: Geometry) -> list[Piece]:
    """The pieces that a peer says it sends; `InputError` for boxes that no tensor has."""
    try:
        pieces = [(int(tensor), box_of(box)) for tensor, box in json.loads(text[: MOST_TEXT + 1])]
    except (ValueError, TypeError, RecursionError):
        raise InputError("pieces are a list of tensors and boxes in JSON") from None
    activations = [t for t, _ in pieces if t in geometry.whole and geometry.graph.is_activation(t)]
    if len(activations) < len(pieces):
        raise InputError("a piece is of a tensor that the model computes")
    _within(pieces, geometry)
    return pieces


def piece_tensors(graph: Graph, pieces: Sequence[Piece]) -> list[Tensor]:
    """The tensors that pieces are on the wire."""
    return [piece_of(graph.tensors[tensor], box) for tensor, box in pieces]
