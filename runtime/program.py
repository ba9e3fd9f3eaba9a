"""Program: what every backend executes.

The schedule is data: calls and loops over addresses. Its form knows no target; its contents
(alignment, kernels, tables) are made for one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from .graph import Graph, Tensor
from .ops import total_macs

UNNAMED = "model"


@dataclass(frozen=True, eq=False)
class Call:
    """One kernel call. `args` holds an int32 for each of the kernel's fields, in their order.

    `parts` are the condition and the body of a loop of the model (`while_loop.py`).
    """

    kernel: str
    args: Mapping[str, int]
    node: int  # index into the program's graph
    parts: tuple[Program, ...] = ()


@dataclass(frozen=True)
class Step:
    """After each pass of a loop, `by` is added to field `field` of the body's call `call`."""

    call: int
    field: str
    by: int


@dataclass(frozen=True, eq=False)
class Loop:
    """`count` passes over `body`; the fields named in `steps` start at the body's own values."""

    count: int
    body: tuple[Call, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Buffer:
    """A piece of the arena: `size` bytes at `offset` while items first .. last run."""

    name: str
    kind: str  # input, output, activation, state, scratch
    tensor: int | None
    offset: int
    size: int
    first: int  # index of the program item from which it must exist; -1 is before the first
    last: int  # index of the last item that needs it


@dataclass(frozen=True)
class Region:
    """One memory's part of the arena: `bytes` from `offset` on, which lie in that memory alone.

    No packing of the buffers that are in it is smaller than `lower_bound`.
    """

    name: str
    offset: int
    bytes: int
    granted: int
    lower_bound: int
    accesses: int  # bytes of it that an inference reads and writes, as `accesses.py` counts
    origin: int | None = None  # address of the memory, if it is known


@dataclass(frozen=True)
class Spread:
    """An arena over several memories, the fastest first.

    `cost` counts the bytes accessed outside the first memory, those of the third memory twice, and
    so on; no placement costs less than `least_cost`. What prints addresses of its own must know
    where they stand: `row_tables` are (offset, entries) in the constants, `words` the fields of
    each node's calls that hold offsets into the arena.
    """

    regions: tuple[Region, ...]
    cost: int
    least_cost: int
    row_tables: tuple[tuple[int, int], ...]
    words: Mapping[int, tuple[str, ...]]

    def region(self, offset: int) -> Region:
        """That in which a byte of the arena lies."""
        return max((r for r in self.regions if r.offset <= offset), key=lambda r: r.offset)


@dataclass(frozen=True, eq=False)
class Program:
    """A compiled model.

    `addresses` gives the arena offset of every tensor that lies whole in the arena (a tensor that
    is streamed through a ring has none). State tensors start as `state` says, and again after a
    reset. All offsets are bytes.
    """

    graph: Graph
    target: str
    items: tuple[Call | Loop, ...]
    constants: bytes
    arena_bytes: int
    addresses: Mapping[int, int]
    buffers: tuple[Buffer, ...]
    state: Mapping[int, np.ndarray]
    strategy: str  # layers, rows where something is streamed, strips or patches where in parts
    lower_bound: int  # no packing of these buffers is smaller
    live_set_bytes: int  # most bytes alive at once if no buffer may lie on another
    planner: str  # what packed the arena: first-fit or cp-sat
    alignment: int = 16  # of the arena's start
    extra_macs: int = 0  # multiplications done twice, since strips or patches overlap
    name: str = UNNAMED  # a C identifier: what is made of the program is called by it
    spread: Spread | None = None  # where several memories were granted
    cached: bool = False  # read from the cache of plans, not made; not saved

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return tuple(self.graph.tensors[index] for index in self.graph.inputs)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        return tuple(self.graph.tensors[index] for index in self.graph.outputs)

    @property
    def used_bytes(self) -> int:
        """Bytes of all memories: the arena, without the gaps that align its regions."""
        return sum(region.bytes for region in self.regions) or self.arena_bytes

    @property
    def regions(self) -> tuple[Region, ...]:
        """The memories that the arena is in; none where it was planned for one without a name."""
        return self.spread.regions if self.spread is not None else ()

    @property
    def scratch_bytes(self) -> int:
        """Most bytes of the arena that a kernel has for itself during its calls."""
        return max((b.size for b in self.buffers if b.name.startswith("scratch")), default=0)

    @property
    def extra_part(self) -> float:
        """`extra_macs` as a part of what the model itself needs."""
        return self.extra_macs / max(total_macs(self.graph) - self.extra_macs, 1)

    def calls(self) -> Iterator[Call]:
        """Every call of the program text once, loops entered."""
        for item in self.items:
            yield from item.body if isinstance(item, Loop) else (item,)

    @property
    def kernels(self) -> frozenset[str]:
        """The kernels of all calls, those of loops' parts for the loops'."""
        own = {call.kernel for call in self.calls() if not call.parts}
        return frozenset(own.union(*(p.kernels for call in self.calls() for p in call.parts)))

    def passes(self) -> Iterator[tuple[Call, int]]:
        """Each of `calls` with the number of times that an inference makes it."""
        for item in self.items:
            yield from (
                ((c, item.count) for c in item.body) if isinstance(item, Loop) else ((item, 1),)
            )

    @cached_property
    def finished(self) -> Mapping[int, list[tuple[int, int]]]:
        """Item -> the (node, tensor)s that are whole in the arena once it has run, in node order.

        A tensor that streams through a ring is never whole, and is left out.
        """
        last: dict[int, int] = {}
        for number, item in enumerate(self.items):
            for call in item.body if isinstance(item, Loop) else (item,):
                last[call.node] = number
        finished: dict[int, list[tuple[int, int]]] = {}
        ready: dict[int, int] = {}
        for index, node in enumerate(self.graph.nodes):
            # A node without a call is a reshape: it is there as soon as its operand is.
            number = last.get(index, ready.get(node.operands[0], 0) if node.operands else 0)
            for tensor in node.outputs:
                ready[tensor] = number
                if tensor in self.addresses:
                    finished.setdefault(number, []).append((index, tensor))
        return finished

    def save(self, path: str | Path) -> None:
        """Write the program to one file."""
        from .program_file import save_program  # it imports this module

        save_program(self, path)

    @staticmethod
    def load(path: str | Path) -> Program:
        """Read a program that `save` wrote."""
        from .program_file import load_program

        return load_program(path)
