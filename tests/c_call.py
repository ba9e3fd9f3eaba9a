"""The C kernels, compiled for this machine: the fast twin of those that run on a board."""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
from guarded import guarded
from native_call import Lower

from midge.runtime.assemble import assemble
from midge.runtime.folders import cache_root
from midge.runtime.graph import DTYPES, Graph, Node
from midge.runtime.program import Call, Loop, Program
from midge.runtime.schedule import layer_by_layer
from midge.sim.qemu import find_tool, run_tool
from midge.targets.cortex_m.lowering import lower
from midge.targets.cortex_m.sources import c_kernels, sources

# Undefined behaviour stops the process where it happens; a float product is never fused.
HOST_FLAGS = (
    "-std=c99", "-O2", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror",
    "-ffp-contract=off", "-fPIC", "-fsanitize=undefined", "-fno-sanitize-recover=all",
)  # fmt: skip
LINE = 64


def compile_library(texts: dict[str, str], folder: Path) -> ctypes.CDLL:
    """A shared library of these C files, built without a warning."""
    for name, text in texts.items():
        (folder / name).write_text(text)
    files = sorted(name for name in texts if name.endswith(".c"))
    gcc, library = find_tool("gcc"), folder / "library.so"

    def compile_one(name: str) -> str:
        run_tool([gcc, *HOST_FLAGS, "-c", "-o", f"{name}.o", name], folder, timeout_s=600)
        return f"{name}.o"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, files))
    run_tool([gcc, *HOST_FLAGS, "-shared", "-o", library, *objects], folder, timeout_s=600)
    return ctypes.CDLL(str(library))


@lru_cache(maxsize=1)
def kernel_library() -> ctypes.CDLL:
    """All C kernels: compiled once for these sources and this gcc, by one process of all."""
    texts = sources(c_kernels().keys())
    compiler = run_tool([find_tool("gcc"), "--version"], Path.cwd(), timeout_s=60)
    known = repr((compiler, HOST_FLAGS, sorted(texts.items()))).encode()
    kept = cache_root() / "c-twins" / f"{hashlib.sha256(known).hexdigest()[:20]}.so"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with open(kept.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
                compile_library(texts, Path(folder))
                os.replace(Path(folder) / "library.so", kept)
    return ctypes.CDLL(str(kept))


def aligned(size: int, fill: int = 0) -> np.ndarray:
    room = np.full(size + LINE, fill, np.int8)
    skipped = -room.ctypes.data % LINE
    return room[skipped : skipped + size]


class CTwin:
    """Runs a program's calls by the C kernels, as the printed `midge_model_run` does."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.guarded = guarded(program.arena_bytes)
        self.arena = self.guarded.arena
        self.constants = aligned(len(program.constants))
        self.constants[:] = np.frombuffer(program.constants, np.int8)
        for index, initial in program.state.items():
            self.tensor(index)[...] = initial

    def tensor(self, index: int) -> np.ndarray:
        tensor = self.program.graph.tensors[index]
        if tensor.data is not None:
            return tensor.data
        begin = self.program.addresses[index]
        view = self.arena[begin : begin + tensor.bytes]
        return view.view(DTYPES[tensor.dtype]).reshape(tensor.shape)

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        for index, value in zip(self.program.graph.inputs, inputs, strict=True):
            self.tensor(index)[...] = value
        for item in self.program.items:
            self._run_item(item)
        self.guarded.check()
        return [self.tensor(index).copy() for index in self.program.graph.outputs]

    def _run_item(self, item: Call | Loop) -> None:
        if isinstance(item, Call):
            self._call(item.kernel, dict(item.args))
            return
        args = [dict(call.args) for call in item.body]
        for _ in range(item.count):
            for call, values in zip(item.body, args, strict=True):
                self._call(call.kernel, values)
            for step in item.steps:
                args[step.call][step.field] += step.by

    def _call(self, kernel: str, args: dict[str, int]) -> None:
        words = (ctypes.c_int32 * len(args))(*args.values())
        function = kernel_library()[f"midge_{kernel}"]
        function.restype = None
        arena, constants = (
            ctypes.c_void_p(array.ctypes.data) for array in (self.arena, self.constants)
        )
        function(arena, constants, words)


def run_c(
    graph: Graph,
    node: Node,
    inputs: Sequence[np.ndarray | None],
    overlap: bool = False,
    lower: Lower = lower,
    twin: type[CTwin] = CTwin,
) -> list[np.ndarray]:
    """The node's outputs by its C kernel; arguments as for `native_call.run_native`."""
    activations = tuple(t for t in dict.fromkeys(node.operands) if graph.is_activation(t))
    single = graph.with_nodes([node], inputs=activations, outputs=node.outputs)
    lowered = {0: lower(single, node)}
    plan = layer_by_layer(single, lowered)
    made = twin(assemble(single, lowered, plan, "cortex-m4", 16, exact=True, overlap=overlap))
    given = dict(zip(node.inputs, inputs, strict=False))
    states = [t for t in node.operands if single.tensors[t].variable]
    for index in states:
        made.tensor(index)[...] = given[index]
    outputs = made.run([given[index] for index in activations])
    for index in states:
        given[index][...] = made.tensor(index)
    return outputs
