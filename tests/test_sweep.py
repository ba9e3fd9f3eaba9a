"""Every builtin operator of TFLite for microcontrollers on random geometry: see `sweeping`."""

from __future__ import annotations

import os

import pytest
from sweeping import SWEEPS, run_case

from midge.tools.tflm_table import operators, sweeps

SEEDS = int(os.environ.get("MIDGE_SWEEP", "1"))
BY = os.environ.get("MIDGE_SWEEP_BY", "").split()  # "C", "host": of any geometry, long to compile


@pytest.mark.parametrize("operator", SWEEPS)
def test_random_geometry(operator: str) -> None:
    sweep = SWEEPS[operator]
    for dtype in sweep.types:
        # What TFLite has no reference of is compared with another of ours, or with nothing.
        by = BY or (["C"] if dtype in sweep.apart else [])
        for seed in range(SEEDS):
            ran = run_case(operator, dtype, seed, by)
            assert ran or dtype not in sweep.apart, f"{dtype} was compared with nothing"


@pytest.mark.parametrize(
    ("operator", "dtype", "seed", "by"),
    [
        ("SUB", "uint8", 14, "host"),
        ("RELU6", "float32", 7, "C"),
        ("ROUND", "float32", 0, "host"),
        ("ROUND", "float32", 2, "TFLM"),
        ("MUL", "int64", 0, "host"),
        ("CUMSUM", "float32", 12, "TFLM"),
        ("ZEROS_LIKE", "float32", 2, "host"),
    ],
)
def test_what_a_sweep_found(operator: str, dtype: str, seed: int, by: str) -> None:
    """An output without axes, whose rows were counted; -0.0 in C, on the host, of -0.3, as sums
    and beside 0.0; a fused activation that was left out."""
    assert run_case(operator, dtype, seed, [by]) == [by]


def test_the_table_is_of_what_was_run() -> None:
    run = {(operator, dtype) for operator, types in sweeps().items() for dtype in types}
    assert run == {(op, dtype) for op, sweep in SWEEPS.items() for dtype in sweep.types}


def test_operators_that_tflm_has_are_swept() -> None:
    """All but those that choose, count or keep states, which have cases of their own."""
    others = {"ASSIGN_VARIABLE", "CALL_ONCE", "IF", "READ_VARIABLE", "VAR_HANDLE", "WHILE"}
    missing = set(operators()["builtin"]) - set(SWEEPS) - others
    assert missing <= {"DYNAMIC_UPDATE_SLICE", "L2_POOL_2D"}
