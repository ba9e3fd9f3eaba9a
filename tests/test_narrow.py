"""Numbers of int4, bfloat16, float8, ... in wider types: those of ml_dtypes, of every float16."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from midge.kernels.narrow import OPERATION
from midge.runtime.backend import find_backend
from midge.runtime.errors import UnsupportedModel
from midge.runtime.graph import Graph, Node, Tensor
from midge.runtime.importers import read_model
from midge.runtime.narrow import REAL, WHOLE, Narrow
from midge.runtime.pipeline import compile_graph

HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
ml_dtypes = pytest.importorskip("ml_dtypes")


def narrowed(x: np.ndarray, **attrs: object) -> np.ndarray:
    """The operator's reference; x and its answer are of one type."""
    node = Node("narrow", (0,), (1,), Narrow(**attrs))  # type: ignore[arg-type]
    tensors = {i: Tensor(i, "", x.shape, x.dtype.name) for i in (0, 1)}
    return OPERATION.reference(Graph((node,), tensors, (0,), (1,)), node, [x])[0]


@pytest.mark.filterwarnings("ignore:.*encountered in cast")
@pytest.mark.parametrize("kind", [*REAL, "bfloat16"])
def test_floats_are_those_of_ml_dtypes(kind: str) -> None:
    rng = np.random.default_rng(5)
    others = np.ldexp(rng.uniform(-2, 2, 50_000), rng.integers(-150, 130, 50_000))
    x = np.concatenate([HALVES, others.astype(np.float32)])
    theirs = x.astype(kind_of(kind)).astype(np.float32)
    ours = narrowed(x, kind=kind, saturate=False)
    np.testing.assert_array_equal(ours, theirs)
    assert np.array_equal(np.signbit(ours[~np.isnan(x)]), np.signbit(theirs[~np.isnan(x)])) or (
        "fnuz" in kind  # which has no -0
    )
    if kind != "bfloat16":
        held = narrowed(x, kind=kind)
        most = float(ml_dtypes.finfo(kind).max)
        theirs = np.clip(x, -most, most).astype(kind_of(kind)).astype(np.float32)
        np.testing.assert_array_equal(held[~np.isnan(x)], theirs[~np.isnan(x)])


@pytest.mark.parametrize("rounding", ["up", "down", "nearest"])
@pytest.mark.parametrize("saturate", [True, False])
def test_powers_of_two_are_those_of_the_onnx_package(rounding: str, saturate: bool) -> None:
    rng = np.random.default_rng(6)
    x = rng.integers(0, 1 << 32, 100_000, dtype=np.uint32).view(np.float32)
    theirs = numpy_helper.to_float8e8m0(x, saturate, rounding).astype(np.float32)
    ours = narrowed(x, kind="float8_e8m0fnu", saturate=saturate, rounding=rounding)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_numbers_keep_their_lowest_bits(kind: str) -> None:
    x = np.arange(256).astype("int8" if WHOLE[kind].signed else "uint8")
    np.testing.assert_array_equal(narrowed(x, kind=kind), x.astype(kind_of(kind)).astype(x.dtype))


def kind_of(kind: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, kind))


def model(op: str, kind: int, **attributes: object) -> bytes:
    """One operator between an input and an output of that type."""
    node = helper.make_node(op, ["x"], ["y"], **attributes)
    ends = [helper.make_tensor_value_info(name, kind, [4]) for name in "xy"]
    made = helper.make_model(
        helper.make_graph([node], "narrow", ends[:1], ends[1:]),
        opset_imports=[helper.make_opsetid("", 21)],
    )
    made.ir_version = 10
    onnx.checker.check_model(made)
    return made.SerializeToString()


def test_int4_is_given_and_taken_as_int8() -> None:
    graph = read_model(model("Identity", TensorProto.INT4))
    assert graph.tensors[graph.inputs[0]].dtype == "int8"
    x = np.array([-8, -1, 0, 7], np.int8)
    answer = find_backend("reference").build(compile_graph(graph, "reference")).run([x])[0]
    np.testing.assert_array_equal(answer, x)
    assert answer.dtype == np.int8


def test_what_would_have_to_be_rounded_is_refused() -> None:
    """A sum of two bfloat16 is one only once it is rounded."""
    with pytest.raises(UnsupportedModel, match="it computes in bfloat16"):
        read_model(model("Abs", TensorProto.BFLOAT16))
