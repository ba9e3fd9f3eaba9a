"""Make a model ready: its plan, words, constants and machine code in the form of `ready.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..runtime.custom import is_custom
from ..runtime.graph import Graph
from ..runtime.options import PARALLEL, Options
from ..runtime.outline import outline_of
from ..runtime.plan_cache import compile_cached, read_cached
from ..runtime.program import Program
from ..runtime.ready import pack
from .native import processor
from .native.dispatch import encode
from .native.library import images
from .pieces import scratch_bytes, shares_of
from .stretches import is_in_numpy

PAGE = 4096  # what code is aligned to: AArch64 addresses it by pages of this size


def prepared(
    source: str | Path | bytes, shapes: Mapping[int, Sequence[int]], threads: int
) -> bytes | None:
    """The content of a ready file for the host; None where some calls run in NumPy, or are by a
    user's operators, whose code may change."""
    options = PARALLEL if threads > 1 else Options()
    graph = read_cached(source, shapes or None)
    program = compile_cached(source, "host", options, shapes or None)
    if any(map(is_in_numpy, program.items)) or is_custom(program.graph):
        return None
    return packed(graph, program, threads)


def packed(graph: Graph, program: Program, threads: int) -> bytes:
    """The same of a program whose model file says `graph`."""
    shares = shares_of(program, threads)
    own = shares.words if shares else (encode(program.items),)
    functions = ("dispatch", "lead", "follow") if shares else ("dispatch",)
    code, entries, slots = _code((*functions, *own[0].kernels))
    blobs = {f"words{thread}": words.words.tobytes() for thread, words in enumerate(own)}
    if shares:
        blobs |= {"phases": shares.phases.tobytes(), "entries": shares.entries.tobytes()}
    header = {
        "outline": outline_of(graph),
        "threads": len(own),
        "memory_bytes": program.arena_bytes + (len(own) - 1) * scratch_bytes(program),
        "inputs": [_place(program, index) for index in program.graph.inputs],
        "outputs": [_place(program, index) for index in program.graph.outputs],
        "state": [
            (program.addresses[index], np.ascontiguousarray(value).tobytes())
            for index, value in program.state.items()
        ],
        "kernels": tuple(entries[name] for name in own[0].kernels),
        "slots": slots,
        "endless": own[0].endless,
        **{name: entries[name] for name in functions},
    }
    return pack(header, {**blobs, "constants": bytes(program.constants), "code": code})


def _place(program: Program, index: int) -> tuple[int, int] | bytes:
    """(offset, size) in the arena, or the value of an output that is constant."""
    tensor = program.graph.tensors[index]
    if tensor.data is not None:
        return tensor.data.tobytes()
    return program.addresses[index], tensor.bytes


def _code(names: Iterable[str]) -> tuple[bytes, dict[str, int], dict[int, str]]:
    """Functions one after the other; where each is entered, and which slots take what address."""
    stated = processor.instruction_set() if processor.is_stated() else None
    code = bytearray()
    entries: dict[str, int] = {}
    slots: dict[int, str] = {}
    for name, image in images(names, stated).items():
        code += bytes(-len(code) % PAGE)
        entries[name] = len(code) + image.entry
        slots |= {len(code) + slot: outside for outside, slot in image.imports.items()}
        code += image.code
    return bytes(code), entries, slots
