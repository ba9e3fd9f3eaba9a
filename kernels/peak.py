"""How many products a second this machine makes at most, with the instructions that kernels use."""

from __future__ import annotations

import ctypes
import time

import numpy as np

STEPS = 20_000  # of each of the sums, in a run
SUMS = 12  # that are independent: enough to hide how long an instruction takes
PRODUCTS = 64  # of a step
RUNS = 25


def peak_products(runs: int = RUNS) -> float:
    """Products a second on one thread, all data in registers: the best of several runs."""
    from .native.library import address

    cell = np.zeros(2, np.int64)
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address("peak"))
    best = np.inf
    for _ in range(runs):
        cell[0] = STEPS
        started = time.perf_counter()
        run(cell.ctypes.data)
        best = min(best, time.perf_counter() - started)
    return STEPS * SUMS * PRODUCTS / best
