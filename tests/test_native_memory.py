"""Typed views inside native kernels."""

from __future__ import annotations

import numpy as np
import pytest

from midge.kernels.native import library, memory
from midge.kernels.native.compiler import compile_object
from midge.kernels.native.dispatch import Dispatcher
from midge.kernels.native.linker import link
from midge.kernels.native.loader import load
from midge.kernels.native.registry import NativeFunction
from midge.runtime.program import Call

VIEWS = {
    name: getattr(memory, f"{name}_at")
    for name in ("int8", "uint8", "int16", "int32", "int64", "float32", "float64")
}


def run(function, arena: np.ndarray, constants: np.ndarray, *words: int, monkeypatch) -> None:
    """Call a kernel that is in no table."""
    code = link(compile_object(NativeFunction(function), "tried"), "tried")
    monkeypatch.setitem(library._addresses, "tried", load(code))
    fields = {f"word{i}": word for i, word in enumerate(words)}
    Dispatcher([Call("tried", fields, 0)], arena.view(np.int8), constants.view(np.int8)).run_all()


@pytest.mark.parametrize("dtype", VIEWS)
def test_views_read_and_write_elements_at_a_byte_offset(dtype, monkeypatch):
    at, size = VIEWS[dtype], np.dtype(dtype).itemsize

    def kernel(arena, constants, p):
        source, target = at(constants, p[0]), at(arena, p[1])
        for i in range(p[2]):
            target[i] = source[i]

    signed = np.dtype(dtype).kind != "u"
    values = np.array([-3 if signed else 250, 100, 0, -1 if signed else 255], dtype)
    arena = np.zeros(6, dtype)
    run(kernel, arena, values, size, 2 * size, 3, monkeypatch=monkeypatch)
    np.testing.assert_array_equal(arena, [0, 0, *values[1:], 0])


@pytest.mark.parametrize("shift", [-5, 0, 3, 5])
def test_copied_bytes_may_overlap(shift, monkeypatch):
    def kernel(arena, constants, p):
        target, source = memory.int8_at(arena, p[0]), memory.int8_at(arena, p[1])
        memory.copy_bytes(target, source, p[2])

    arena = np.arange(100, dtype=np.int8)
    expected = arena.copy()
    expected[20 + shift : 70 + shift] = arena[20:70]
    run(kernel, arena, arena, 20 + shift, 20, 50, monkeypatch=monkeypatch)
    np.testing.assert_array_equal(arena, expected)


def test_blocks_are_separate(monkeypatch):
    def kernel(arena, constants, p):
        a, b = memory.int32_block(), memory.int32_block()
        for i in range(memory.BLOCK):
            a[i], b[i] = i, -i
        for i in range(memory.BLOCK):
            arena[i] = a[i] - b[i]

    arena = np.zeros(memory.BLOCK, np.int8)
    run(kernel, arena, arena, 0, monkeypatch=monkeypatch)
    np.testing.assert_array_equal(arena, 2 * np.arange(memory.BLOCK))
