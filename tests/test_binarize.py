"""binarize, bit_planes and debinarize: thresholds, subnormal numbers, and both kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_call import run_native

from midge.kernels import table
from midge.runtime import bits
from midge.runtime.attributes import Binarize, BitPlanes
from midge.runtime.graph import BINARY, Graph, Node, Quantization, Tensor
from midge.runtime.shapes import words_of

TINY = np.finfo(np.float32).tiny


def sign_node(x: np.ndarray, thresholds: np.ndarray | None = None, zero=None):
    """A binarize node over `x`."""
    levels = 1 if thresholds is None else len(thresholds)
    quantization = None if zero is None else Quantization([0.1], [zero])
    tensors = [
        Tensor(0, "x", x.shape, str(x.dtype), quantization),
        Tensor(1, "y", (*x.shape[:-1], words_of(x.shape[-1] * levels)), BINARY),
    ]
    inputs = [0]
    if thresholds is not None:
        kind = "float32" if x.dtype == np.float32 else "int32"
        tensors.append(Tensor(2, "t", thresholds.shape, kind, data=thresholds))
        inputs.append(2)
    node = Node("binarize", tuple(inputs), (1,), Binarize(levels))
    return Graph((node,), {t.index: t for t in tensors}, (0,), (1,)), node


def answers(graph: Graph, node: Node, x: np.ndarray) -> np.ndarray:
    """The reference's answer, once the native kernel has given it too."""
    assert table.refusal(graph, node, 0) is None
    arrays = [x, *[None] * (len(node.inputs) - 1)]
    (wanted,) = table.OPERATIONS[node.op].reference(graph, node, arrays)
    for overlap in (False, True):
        (actual,) = run_native(graph, node, arrays, overlap)
        np.testing.assert_array_equal(actual, wanted)
    return wanted


SPECIAL = np.array(
    [0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, -1e-45, -TINY / 2, -TINY, TINY, -1, 1], np.float32
)


def test_subnormal_numbers_and_nan_are_plus_one():
    x = SPECIAL[None, None, None]
    graph, node = sign_node(x)
    below = bits.unpack(answers(graph, node, x), len(SPECIAL))[0, 0, 0]
    np.testing.assert_array_equal(SPECIAL[below], [-np.inf, -TINY, -1])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_thresholds_by_channel_and_level(data):
    channels, levels = data.draw(st.sampled_from([1, 5, 32, 33, 70])), data.draw(st.integers(1, 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    shape = (1, 2, 3, channels)
    if data.draw(st.booleans()):
        pool = np.array([*SPECIAL, 0.5, 0.25])
        x, thresholds = (
            rng.choice(pool, shape),
            rng.choice(pool[~np.isnan(pool)], (levels, channels)),
        )
        thresholds = thresholds.astype(np.float32)
        x = x.astype(np.float32)
        flushed, limit = x, thresholds
    else:
        x = rng.integers(-128, 128, shape, np.int8)
        thresholds = rng.integers(-300, 300, (levels, channels)).astype(np.int32)
        flushed, limit = x.astype(int), thresholds
    graph, node = sign_node(x, thresholds)
    found = bits.unpack(answers(graph, node, x), channels * levels)
    wanted = np.concatenate([flushed < limit[level] for level in range(levels)], axis=-1)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("zero", [-128, 3, 127])
def test_int8_is_compared_with_its_zero_point(zero):
    x = np.arange(-128, 128, dtype=np.int8)[None, None]
    graph, node = sign_node(x, zero=zero)
    found = bits.unpack(answers(graph, node, x), 256)
    np.testing.assert_array_equal(found, x.astype(int) < zero)


@pytest.mark.parametrize("zero", [-128, 0, 5])
def test_nine_planes_hold_any_int8_less_its_zero_point(zero):
    x = np.arange(-128, 128, dtype=np.int8).reshape(1, 2, 2, 64)
    tensors = [
        Tensor(0, "x", x.shape, "int8", Quantization([0.1], [zero])),
        Tensor(1, "y", (1, 2, 2, 18), BINARY),
    ]
    node = Node("bit_planes", (0,), (1,), BitPlanes(9))
    graph = Graph((node,), {t.index: t for t in tensors}, (0,), (1,))
    planes = answers(graph, node, x)
    found = bits.values(planes, 64, bits.two_complement(9), plain=True)
    np.testing.assert_array_equal(found, x.astype(int) - zero)


def test_refusals():
    x = np.zeros((1, 4), np.float32)
    graph, node = sign_node(x, np.array([[0, np.nan, 0, 0]], np.float32))
    refused = table.refusal(graph, node, 0)
    assert refused is not None and refused.why.startswith("Thresholds must be constants")
    graph, node = sign_node(np.zeros((1, 4), np.int16))
    refused = table.refusal(graph, node, 0)
    assert refused is not None and refused.why.startswith("binarize must be from float32")
