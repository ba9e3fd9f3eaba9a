"""Constants that TFLM's compressor packs are what they were, by TFLM's interpreter too."""

from __future__ import annotations

import numpy as np
import pytest
from tflite_writer import ModelBuilder
from tflm_oracle import tflm_runs

from midge.runtime.backend import build
from midge.runtime.errors import ModelError, UnsupportedModel
from midge.runtime.importers.tflite import read_tflite
from midge.runtime.pipeline import compile_model
from midge.tools.arguments import random_inputs

RNG = np.random.default_rng(3)
WEIGHTS = RNG.choice([-90, -3, 5, 17, 100], (6, 24)).astype(np.int8)
PRUNED = (WEIGHTS * (RNG.random((6, 24)) < 0.3)).astype(np.int8)
ROWS = (WEIGHTS // 2 + np.arange(6)[:, None]).astype(np.int8)


def packed_bits(numbers: np.ndarray, bits: int) -> np.ndarray:
    digits = numbers.reshape(-1, 1) >> np.arange(bits)[::-1] & 1
    return np.packbits(digits.astype(np.uint8))


def by_table(weights: np.ndarray, bits: int, axis: int = 15) -> tuple[np.ndarray, np.ndarray]:
    """Packed indices, and their description, as TFLM's compressor writes them."""
    slices = weights.reshape(1, -1) if axis == 15 else weights
    tables = [np.unique(part) for part in slices]
    stride = max(map(len, tables))
    indices = np.stack([np.searchsorted(t, part) for t, part in zip(tables, slices, strict=True)])
    values = np.zeros((len(tables), stride), np.int8)
    for row, table in zip(values, tables, strict=True):
        row[: len(table)] = table
    return packed_bits(indices, bits), header(0, axis << 4 | bits, stride, values)


def header(kind: int, how: int, stride: int, values: np.ndarray) -> np.ndarray:
    first = np.array([kind, 1, 0, 0, 1, how, stride, *[0] * 9], np.uint8)
    return np.concatenate([first, values.reshape(-1).view(np.uint8)])


def pruned(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return packed_bits((weights != 0).astype(int), 1), header(2, 0, 0, weights[weights != 0])


def layer(packed: np.ndarray, how: np.ndarray, scales: object = 0.01) -> bytes:
    model = ModelBuilder()
    x, y = model.tensor((2, 24), "int8", 0.05, -3), model.tensor((2, 6), "int8", 0.2, 4)
    kept = {"axis": 0} if isinstance(scales, list) else {}
    zeros = [0] * len(scales) if isinstance(scales, list) else 0
    w = model.tensor((6, 24), "int8", scales, zeros, **kept)
    operands = [model.constant(packed, "uint8"), model.constant(how, "uint8")]
    model.node("CUSTOM", operands, [w], custom_code="TFLM_DECODE")
    bias = model.constant(np.arange(6) * 100, "int32", scale=0.0005)
    model.node("FULLY_CONNECTED", [x, w, bias], [y], version=4)
    return model.build([x], [y])


CASES = {
    "table": (WEIGHTS, by_table(WEIGHTS, 3)),
    "wide_table": (WEIGHTS, by_table(WEIGHTS, 7)),
    "rows": (ROWS, by_table(ROWS, 4, axis=0)),
    "pruned": (PRUNED, pruned(PRUNED)),
}


@pytest.mark.parametrize("name", CASES)
def test_weights_are_what_they_were(name: str) -> None:
    weights, packed = CASES[name]
    graph = read_tflite(layer(*packed))
    (node,) = graph.nodes
    np.testing.assert_array_equal(graph.input(node, 1).data, weights)


@pytest.mark.parametrize("name", CASES)
def test_answers_are_those_of_tflm(name: str) -> None:
    scales = [0.01, 0.02, 0.03, 0.01, 0.02, 0.03] if name == "rows" else 0.01
    model = layer(*CASES[name][1], scales)
    runs = [random_inputs(read_tflite(model), seed) for seed in range(3)]
    executor = build(compile_model(model, "host"))
    for inputs, wanted in zip(runs, tflm_runs(model, runs), strict=True):
        np.testing.assert_array_equal(executor.run(inputs), wanted)


@pytest.mark.parametrize(
    ("packed", "how", "why"),
    [
        (np.zeros(2, np.uint8), by_table(WEIGHTS, 3)[1], "2 bytes hold fewer than 144 numbers"),
        (by_table(WEIGHTS, 3)[0], np.zeros(7, np.uint8), "must have 16 bytes or more"),
        (np.full(54, 255, np.uint8), by_table(WEIGHTS, 3)[1], "an index is 7, its table has 5"),
        (pruned(PRUNED)[0], header(2, 0, 0, PRUNED[:1, :2]), "numbers are there, 2 are given"),
    ],
)
def test_damage_is_named(packed: np.ndarray, how: np.ndarray, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        read_tflite(layer(packed, how))


def test_other_methods_are_refused() -> None:
    packed, how = by_table(WEIGHTS, 3)
    with pytest.raises(UnsupportedModel, match="it unpacks by method 130"):
        read_tflite(layer(packed, np.concatenate([[130], how[1:]]).astype(np.uint8)))
