"""Built-in operators in files of Larq: the bits of its interpreter, not those of the reference."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from build_binary import larq_add
from build_tflite import arithmetic

from midge.runtime.backend import find_backend
from midge.runtime.importers import read_model
from midge.runtime.importers.larq_rounding import run_of
from midge.runtime.pipeline import compile_graph

EVERY = np.arange(-128, 128, dtype=np.int8)
PAIRS = np.repeat(EVERY, 256)[None], np.tile(EVERY, 256)[None]
SCALES = {  # (scales, zero points) of a, b and y: the reference rounds some sums otherwise
    "ties": ((0.5625, 0.453125, 0.65625), (-13, -23, -3)),
    "exchanged": ((0.296875, 0.53125, 0.28125), (87, 95, -4)),
    "far": ((0.109375, 0.78125, 0.40625), (0, 0, 0)),
}
# What Larq Compute Engine 0.16's interpreter answered: the start of the SHA-256.
ANSWERS = {"ties": "c6a714bccef292b1", "exchanged": "5142861b3139b5c5", "far": "85fb5e1df169d557"}
ANSWERS_OF_SHAPES = [  # with rests of a run
    (((60, 1, 31), (1, 60, 31)), "ff51f8da0dd65ffb"),
    (((1, 60, 60, 31), (31,)), "869a7cb9b09645bf"),
    (((3, 5, 3), (3, 5, 3)), "af38f1e6b6853e0e"),
]


def operands(shapes):
    rng = np.random.default_rng(5)
    return [rng.integers(-128, 128, shape).astype(np.int8) for shape in shapes]


def digest(array) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


def answer(backend, scales, shapes, given):
    content = larq_add(*SCALES[scales], shapes)
    return find_backend(backend).build(compile_graph(read_model(content), backend)).run(given)[0]


@pytest.mark.parametrize("backend", ["reference", "host"])
@pytest.mark.parametrize("scales", SCALES)
def test_every_pair(backend, scales):
    shapes = [values.shape for values in PAIRS]
    assert digest(answer(backend, scales, shapes, PAIRS)) == ANSWERS[scales]


@pytest.mark.parametrize("backend", ["reference", "host"])
@pytest.mark.parametrize(("shapes", "right"), ANSWERS_OF_SHAPES, ids=str)
def test_rests_of_runs(backend, shapes, right):
    assert digest(answer(backend, "ties", shapes, operands(shapes))) == right


@pytest.mark.parametrize(
    ("a", "b", "run"),
    [
        ((1, 2, 3, 4), (1, 2, 3, 4), (0, 24)),
        ((1, 2, 3, 4), (4,), (3, 4)),
        ((2, 3, 4), (1, 3, 4), (1, 12)),
        ((2, 1, 4, 5), (1, 3, 4, 5), (2, 20)),
        ((1, 2, 3, 4), (1,), None),
        ((2, 3, 1), (2, 3, 4), None),
        ((2, 1, 4, 1, 5), (1, 3, 1, 2, 5), None),
    ],
)
def test_what_one_loop_adds(a, b, run):
    assert run_of(a, b) == run_of(b, a) == run


def test_no_other_file_is_touched():
    """A file without Larq's operators has the reference's bits."""
    nodes = read_model(arithmetic()).nodes
    assert [node.attrs.rounded_once for node in nodes if node.op == "add"] == [(False, False)]
