"""TFLM's operators and types beside ours, for docs/operators.md.

What TFLM has is `tflm_operators.toml`, by hand: what TFLM's interpreter ran (tflite-micro
0.dev20261023182759, commit 8f6596d), and of control flow, variables and custom operators what its
sources say at other commits, which the page marks as read. What was run here on random geometry and
found equal is `sweeps.json`, which `python tests/sweeping.py COUNT --record` writes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..runtime.importers.tflite import CUSTOM_READERS, READERS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OPERATORS_FILE = Path(__file__).parent / "tflm_operators.toml"
SWEEPS_FILE = Path(__file__).parent / "sweeps.json"
# Read without a reader of their own: as states, and as one branch or the other.
OTHERWISE = ("BasicClassifier", "CALL_ONCE", "IF", "READ_VARIABLE", "VAR_HANDLE", "WHILE")
ONLY_READ = (*OTHERWISE, "ASSIGN_VARIABLE")  # and every custom operator; TFLM itself ran the others
# (Operator, type) -> where TFLM's interpreter computes something else than TFLite's reference. Ours
# are TFLite's bits.
DIFFERENCES = {
    ("ADD", "int32"): "TFLM leaves out a fused activation",
    ("ELU", "float32"): "TFLM's exponential is a C library's, one unit in the last place off",
    ("FULLY_CONNECTED", "int16"): "without a bias TFLM rescales its sum as one of 64 bits",
    ("MUL", "int16"): "TFLM multiplies and divides the scales as doubles, TFLite as floats",
    ("RELU", "int16"): "TFLM divides the scales as doubles, TFLite as floats",
    ("RELU6", "int8"): "TFLM does not rescale from the input's numbers to the output's",
    ("RELU6", "int16"): "TFLM does not rescale from the input's numbers to the output's",
    ("RELU6", "float32"): "TFLM keeps -0.0, TFLite makes 0.0 of it",
    ("SOFTMAX", "int16"): "TFLM multiplies beta and scale as doubles",
    ("UNIDIRECTIONAL_SEQUENCE_LSTM", "int8"): "TFLM is off by one in a few numbers of a hundred; "
    "where it rounds otherwise was not found",
    ("UNIDIRECTIONAL_SEQUENCE_LSTM", "float32"): "TFLM adds in another order, some units in the "
    "last place",
    ("SVDF", "float32"): "TFLM adds in another order, one unit in the last place here and there",
    ("SPACE_TO_BATCH_ND", "int8"): "TFLM pads with a number that it never set",
    ("SPACE_TO_BATCH_ND", "float32"): "TFLM pads with a number that it never set",
    ("TRANSPOSE_CONV", "int16"): "without a bias TFLM rescales its sum as one of 64 bits",
}
HEAD = """
## TensorFlow Lite for Microcontrollers

Every operator that TFLM's resolver registers, the types of its reference kernels, and which of them
are here. The types are those with which TFLM's interpreter ran a model of that one operator
(`tflite-micro` 0.dev20261023182759, commit 8f6596d); "(read)" are those that its sources name, at
several commits of 2021 to 2026, and that were not run.

A *case* is a model of that one operator with random shapes, strides, paddings, dilations, axes,
broadcasts, scales and zero points: on each, TFLite's reference kernels (`tflite-runtime`,
`BUILTIN_REF`) and the NumPy reference gave the same bits in two inferences. In so many of them the
C of a microcontroller, compiled for this machine, and the host's native code did as well, and wrote
nothing outside of the arena; and in so many TFLM's own interpreter, which has not every type and
rank that TFLite has. Made by `python tests/sweeping.py COUNT --record`; {total} cases in all, types
that only TFLite has among them.

In float32 COS, SIN, LOG, TANH, POW and LOG_SOFTMAX come from a C library in TFLite, which may
differ by one unit in the last place (the last three: by two); ours are equal to each other.
TFLite's reference has no ELU, CEIL, ROUND and CUMSUM, errors of its own in RSQRT and SUM of int8
and SUM of int16, and turns too few matrices in BATCH_MATMUL where the first operand is turned and
the second has one for many: those were compared with TFLM's own interpreter alone (CUMSUM of int32,
which it has not either, and what it refuses of the others, with our C and host), as were DIV,
ADD_N, CUMSUM and ZEROS_LIKE of int8, SQUARED_DIFFERENCE, DYNAMIC_UPDATE_SLICE, PRELU (of int8
slopes) and RSQRT of int16 and QUANTIZE to int32. A quotient of int8 that it would shift by 32 bits
or more (under half a step, and by zero) is left to the processor there, and is 0 here. Its GREATER
takes int16 and is never true of it, which isn't counted as a type. In inferences that a
CIRCULAR_BUFFER ends (`cycles_max`), an output made behind it keeps its numbers, zeros at first and
after a reset; in TFLM it is whatever lies in the arena.

Where TFLM and TFLite differ, ours are TFLite's bits:

{differences}
| operator | TFLM has | here | cases: type, number (C, host, TFLM) |
|---|---|---|---|
"""


def sweeps() -> dict[str, dict[str, dict[str, int]]]:
    """Operator -> type -> kernels -> cases that were equal; all of them by the reference."""
    found: dict[str, dict[str, dict[str, int]]] = json.loads(SWEEPS_FILE.read_text())
    return found


def operators() -> Mapping[str, Mapping[str, list[str]]]:
    """TFLM's operators, `builtin` and `custom`, with their types."""
    with open(OPERATORS_FILE, "rb") as file:
        return tomllib.load(file)


def table() -> Iterator[str]:
    """The section of the page."""
    run = sweeps()
    total = sum(by["reference"] for types in run.values() for by in types.values())
    told = "".join(f"- {op} of {dtype}: {why}.\n" for (op, dtype), why in DIFFERENCES.items())
    yield HEAD.format(total=f"{total:,}", differences=told)
    for kind, known in operators().items():
        readers = READERS if kind == "builtin" else CUSTOM_READERS
        for name, types in known.items():
            cases = run.get(name, {})
            has = name in readers or name in OTHERWISE
            shown = ", ".join(f"{dtype} {_counts(by)}" for dtype, by in cases.items())
            theirs = ", ".join(types) + " (read)" * (kind == "custom" or name in ONLY_READ)
            yield f"| `{name}` | {theirs} | {_here(types, cases, has)} | {shown} |\n"


def _counts(by: Mapping[str, int]) -> str:
    others = ", ".join(f"{by.get(name, 0):,}" for name in ("C", "host", "TFLM"))
    return f"{by['reference']:,} ({others})"


def _here(types: list[str], cases: Mapping[str, Mapping[str, int]], has: bool) -> str:
    """Which of TFLM's types are here."""
    if not has:
        return "no"
    if types == ["any"] or not cases:
        return "yes, see the tests" if not cases else "all"
    missing = [dtype for dtype in types if dtype not in cases]
    return f"all but {', '.join(missing)}" if missing else "all"
