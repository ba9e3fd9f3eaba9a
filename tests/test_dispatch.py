"""The dispatch loop: what it calls, with which words, and that loops leave no trace."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from midge.kernels.native import dispatch
from midge.kernels.native.dispatch import Dispatcher, encode
from midge.kernels.native.opcodes import CALL, LOOP, NEXT
from midge.runtime.program import Call, Loop, Step


def pool_call(y: int, x: int, rows: int = 1, kernel: str = "max_pool2d_s8") -> Call:
    """A pool of 1 x 1 windows with 4 channels: copies rows, from row table x to row table y."""
    ones = dict.fromkeys(
        ("width", "in_width", "window_height", "window_width", "stride_height", "stride_width"), 1
    )
    fields = "rows width channels in_width window_height window_width stride_height stride_width"
    words = {name: ones.get(name, 0) for name in fields.split()}
    words |= {"rows": rows, "channels": 4, "pad_left": 0, "y": y, "x": x}
    return Call(kernel, words | {"least": -128, "greatest": 127}, 0)


def memory() -> tuple[np.ndarray, np.ndarray]:
    """An arena of 16 rows of 4 bytes, the first 8 filled, and a row table of all."""
    arena = np.zeros(64, np.int8)
    arena[:32] = np.arange(32)
    return arena, (np.arange(16, dtype=np.int32) * 4).view(np.int8)


def test_words():
    loop = Loop(3, (pool_call(0, 4), pool_call(8, 12)), (Step(1, "x", 4),))
    encoded = encode([pool_call(0, 0), loop])
    assert encoded.kernels == ("max_pool2d_s8",)
    words, size = encoded.words.tolist(), 3 + 13
    assert encoded.starts == (0, size, size + 4 + 3 + 2 * size + 2)
    assert words[:3] == [CALL, 0, 13]
    assert words[size : size + 4] == [LOOP, 3, 3, 1]
    position, start, by = words[size + 4 : size + 7]
    assert (start, by) == (12, 4)
    assert words[position] == 12
    assert words[-2:] == [NEXT, size]


def test_a_loop_steps_and_starts_anew():
    arena, constants = memory()
    body = pool_call(4 * 8, 0)  # to row 8, from row 0
    loop = Loop(5, (body,), (Step(0, "x", 4), Step(0, "y", 4)))
    program = Dispatcher([loop], arena, constants)
    for _ in range(2):
        arena[32:] = 0
        program.run_all()
        np.testing.assert_array_equal(arena[32:52], np.arange(20))
        assert not arena[52:].any()


def test_one_item_of_many():
    arena, constants = memory()
    items = [
        pool_call(4 * 8, 0),
        Loop(2, (pool_call(4 * 10, 4),), (Step(0, "y", 4),)),
        pool_call(4 * 13, 8),
    ]
    program = Dispatcher(items, arena, constants)
    program.run(1, 2)
    assert not arena[32:40].any()
    np.testing.assert_array_equal(arena[40:48], [4, 5, 6, 7] * 2)
    assert not arena[48:].any()


def test_no_items_is_no_work():
    arena, constants = memory()
    Dispatcher([], arena, constants).run_all()


def test_a_warm_start_imports_neither_numba_nor_llvm():
    arena, constants = memory()
    Dispatcher([pool_call(32, 0)], arena, constants)  # both functions are in the cache now
    script = (
        f"import sys; from {dispatch.__name__.rpartition('.')[0]}.library import address\n"
        "address('dispatch'), address('max_pool2d_s8')\n"
        "print(sorted({'numba', 'llvmlite'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert answer.stdout.strip() == "[]", answer.stderr
