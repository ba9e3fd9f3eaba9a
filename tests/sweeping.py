"""One operator on random geometry, by every kernel that runs on this machine, bits equal.

    python tests/sweeping.py 1000                    # that many of each operator and type
    python tests/sweeping.py 1000 CONV_2D ADD        # of these alone
    python tests/sweeping.py 1 CONV_2D --first 417   # the 417th again
    python tests/sweeping.py 1000 ADD --record       # and say so in docs/operators.md

Each case is a `.tflite` of one operator: TFLite's reference kernels, the NumPy reference, the
host's native code, the C of a microcontroller, compiled for this machine, and TFLM's interpreter,
where it has the type and computes what TFLite does, must give the same bits.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context

import numpy as np
from c_call import CTwin, kernel_library
from draw_compute import COMPUTE
from draw_general import GENERAL
from draw_movement import MOVEMENT
from drawing import Draws, Sweep
from exact import bits
from oracle import tflite_reference_runs
from tflm_oracle import tflm_runs

from midge.runtime.backend import find_backend
from midge.runtime.errors import UnsupportedModel
from midge.runtime.importers import read_model
from midge.runtime.pipeline import compile_model
from midge.tools.tflm_table import DIFFERENCES, SWEEPS_FILE, operators, sweeps

SWEEPS: dict[str, Sweep] = {**COMPUTE, **GENERAL, **MOVEMENT}
KERNELS = ("host", "C", "TFLM")  # beside the reference
RUNS = 2  # inferences of one case, for what keeps a state


def run_case(operator: str, dtype: str, seed: int, by: Sequence[str] = KERNELS) -> list[str]:
    """Draw it and compare; what it ran by beside the reference: microcontrollers may have no C,
    and TFLM no kernel."""
    sweep, draws = SWEEPS[operator], Draws(operator, dtype, seed)
    model = sweep.draw(draws, dtype)
    graph = read_model(model)
    tensors = [graph.tensors[index] for index in graph.inputs]
    given = [[draws.values(t.shape, t.dtype) for t in tensors] for _ in range(RUNS)]
    reference = find_backend("reference").build(compile_model(model, "reference"))
    wanted = [reference.run(inputs) for inputs in given]
    if not draws.by_tflm and dtype not in (*sweep.apart, *sweep.by_tflm):
        theirs = tflite_reference_runs(model, given)
        _compare(wanted, theirs, sweep.near, "TFLite")
    if "host" in by:
        host = find_backend("host").build(compile_model(model, "host"))
        try:
            _compare([host.run(inputs) for inputs in given], wanted, 0, "host")
        finally:
            host.close()
    run = [name for name in by if name == "host"]
    if "C" in by:
        with suppress(UnsupportedModel):
            twin = CTwin(compile_model(model, "cortex-m4"))
            _compare([twin.run(inputs) for inputs in given], wanted, 0, "C")
            run.append("C")
    must = draws.by_tflm or dtype in sweep.by_tflm  # last: without it a test is skipped
    asked = "TFLM" in by and draws.by_tflm is None
    if must or (asked and _is_of_tflm(operator, dtype)):
        try:
            theirs = tflm_runs(model, given)
        except RuntimeError:  # it has fewer axes, no repeated operand, other types beside
            assert not must, "TFLM refuses it"
        else:
            _compare(wanted, theirs, sweep.near, "TFLM")
            run.append("TFLM")
    return run


def _is_of_tflm(operator: str, dtype: str) -> bool:
    """Whether TFLM has the operator in a type, and computes what TFLite does."""
    types = operators()["builtin"].get(operator, [])
    return (dtype in types or types == ["any"]) and (operator, dtype) not in DIFFERENCES


def _compare(
    found: Sequence[Sequence[np.ndarray]],
    wanted: Sequence[Sequence[np.ndarray]],
    near: int,
    name: str,
) -> None:
    """Every output of every inference; the message shows the first that differs."""
    for number, (outputs, right) in enumerate(zip(found, wanted, strict=True)):
        for actual, expected in zip(outputs, right, strict=True):
            assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape), name
            if near and actual.dtype == np.float32:
                np.testing.assert_array_max_ulp(actual, expected, near)
            else:
                message = f"{name}, inference {number}"
                np.testing.assert_array_equal(bits(actual), bits(expected), message)


def pairs(only: Sequence[str] = ()) -> list[tuple[str, str]]:
    return [(op, dtype) for op, sweep in SWEEPS.items() for dtype in sweep.types
            if not only or op in only or f"{op}:{dtype}" in only]  # fmt: skip


def _sweep_pair(
    operator: str,
    dtype: str,
    seeds: Sequence[int],
    by: Sequence[str],
    say: Callable[[object], None],
) -> None:
    """Say each case's number before it runs, then whether there is C for it, or what differs."""
    for seed in seeds:
        say(seed)
        try:
            say(run_case(operator, dtype, seed, by))
        except Exception:  # whatever it is, it is said, and the sweep goes on
            say(" / ".join(traceback.format_exc().strip().splitlines()[-12:]))


def sweep_apart(
    operator: str, dtype: str, seeds: Sequence[int], by: Sequence[str]
) -> tuple[Counter[str], list[str]]:
    """How many ran by what, and what differs: in a process of its own, since TFLite may end it."""
    ours, theirs = get_context("fork").Pipe(duplex=False)
    child = get_context("fork").Process(
        target=_sweep_pair, args=(operator, dtype, seeds, by, theirs.send)
    )
    child.start()
    theirs.close()
    run: Counter[str] = Counter()
    wrong: list[str] = []
    with suppress(EOFError):
        while True:
            seed = ours.recv()
            try:
                found = ours.recv()
            except EOFError:
                found = "the process ended"
            run.update(["reference", *(found if isinstance(found, list) else [])])
            if isinstance(found, str):
                wrong.append(f"{seed}: {found}")
    child.join()
    return run, wrong


def record(operator: str, dtype: str, run: Counter[str]) -> None:
    """Keep how many cases were equal, where they were more than last time."""
    known = sweeps()
    kept = known.setdefault(operator, {}).setdefault(dtype, {})
    kept.update({name: max(count, kept.get(name, 0)) for name, count in run.items()})
    lines = ",\n".join(f'"{name}": {json.dumps(known[name])}' for name in sorted(known))
    SWEEPS_FILE.write_text(f"{{\n{lines}\n}}\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help="cases of each operator and type")
    parser.add_argument("operators", nargs="*", help="of these alone, such as ADD or ADD:int8")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--record", action="store_true", help="keep the counts if all are equal")
    parser.add_argument("--by", nargs="*", default=KERNELS, choices=KERNELS)
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.count)
    if "C" in asked.by:
        kernel_library()
    failed = 0
    with ThreadPoolExecutor(asked.processes) as pool:
        work = pairs(asked.operators)
        found = pool.map(lambda pair: sweep_apart(*pair, seeds, asked.by), work)
        for (operator, dtype), (run, wrong) in zip(work, found, strict=True):
            print(f"{operator:30} {dtype:8} {dict(run)} {len(wrong)} differ")
            for line in wrong[:5]:
                print("   ", line)
            sys.stdout.flush()
            failed += len(wrong)
            if asked.record and not wrong:
                record(operator, dtype, run)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
