"""Files that would take all memory or time are refused in one sentence, and broken ones too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from midge.runtime.backend import find_backend
from midge.runtime.errors import ModelError, UnsupportedModel
from midge.runtime.importers import read_model
from midge.runtime.pipeline import compile_model

HUGE = np.array([1 << 20, 1 << 20], np.int64)
make = helper.make_node


def model(
    nodes: Sequence[onnx.NodeProto], shape: tuple[int, ...] = (1, 4), **constants: object
) -> bytes:
    held = [
        v if isinstance(v, onnx.TensorProto) else numpy_helper.from_array(np.asarray(v), name)
        for name, v in constants.items()
    ]
    graph = helper.make_graph(
        list(nodes), "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        held,
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    return made.SerializeToString()


ADD = make("Add", ["x", "c"], ["y"])
BEFOREHAND = {
    "ConstantOfShape": ([make("ConstantOfShape", ["s"], ["c"]), ADD], {"s": HUGE}),
    "Range": (
        [make("Range", ["a", "b", "d"], ["e"]), make("Cast", ["e"], ["c"], to=1), ADD],
        {"a": np.int64(0), "b": np.int64(1 << 40), "d": np.int64(1)},
    ),
    "Tile": ([make("Tile", ["k", "s"], ["c"]), ADD], {"k": np.ones((1, 1), "f"), "s": HUGE}),
    "MatMul": (
        [make("MatMul", ["k", "l"], ["c"]), ADD],
        {"k": np.ones((1 << 15, 1), "f"), "l": np.ones((1, 1 << 15), "f")},
    ),
}


@pytest.mark.parametrize("operator", BEFOREHAND)
def test_what_is_computed_beforehand_is_bounded(operator: str) -> None:
    nodes, constants = BEFOREHAND[operator]
    with pytest.raises(
        UnsupportedModel, match="elements, at most 134217728 are computed"
    ) as caught:
        read_model(model(nodes, **constants))
    assert caught.value.refusals[0].operator == operator


def test_what_a_node_makes_is_bounded() -> None:
    with pytest.raises(UnsupportedModel, match="at most 8 axes and 2147483647 elements"):
        read_model(model([make("Expand", ["x", "s"], ["y"])], s=np.array([1 << 30, 4])))
    with pytest.raises(UnsupportedModel, match="at most 8 axes"):
        read_model(model([make("Unsqueeze", ["x", "s"], ["y"])], s=np.arange(20)))
    resized = make("Resize", ["x", "", "s"], ["y"])
    with pytest.raises(UnsupportedModel, match="it interpolates from 4 to 4000000"):
        read_model(model([resized], (1, 1, 4, 4), s=np.array([1, 1, 1e6, 1e6], "f")))


def test_control_flow_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,024 passes of 1,024 passes."""
    monkeypatch.setattr("midge.runtime.importers.onnx_nodes.MOST_NODES", 2_000)
    named = helper.make_tensor_value_info

    def body(nodes: list[onnx.NodeProto], tag: str) -> onnx.GraphProto:
        given = [
            named(f"i{tag}", TensorProto.INT64, []), named(f"c{tag}", TensorProto.BOOL, []),
            named(f"s{tag}", TensorProto.FLOAT, None),
        ]  # fmt: skip
        nodes.append(make("Identity", [f"c{tag}"], [f"d{tag}"]))
        made = [named(f"d{tag}", TensorProto.BOOL, []), named(f"t{tag}", TensorProto.FLOAT, None)]
        return helper.make_graph(nodes, tag, given, made)

    inner = body([make("Relu", ["sa"], ["ta"])], "a")
    outer = body([make("Loop", ["n", "go", "sb"], ["tb"], body=inner)], "b")
    loop = make("Loop", ["n", "go", "x"], ["y"], body=outer)
    with pytest.raises(UnsupportedModel, match="it makes more than 2000 nodes"):
        read_model(model([loop], n=np.int64(1024), go=np.bool_(True)))


@pytest.mark.parametrize(("kind", "dims"), [(TensorProto.FLOAT, [1000, 1000]), (99, [1])])
def test_broken_constants_get_a_sentence(kind: int, dims: list[int]) -> None:
    tensor = TensorProto(name="c", data_type=kind, dims=dims, raw_data=b"abcd")
    with pytest.raises(ModelError, match="the constant 'c' is broken"):
        read_model(model([ADD], c=tensor))


def test_operators_of_unknown_domains_are_refused() -> None:
    node = make("QLinearAdd", ["x"], ["y"], domain="somebody")
    content = onnx.load_model_from_string(model([node]))
    content.opset_import.append(helper.make_opsetid("somebody", 1))
    with pytest.raises(UnsupportedModel, match="the operator QLinearAdd is not supported"):
        read_model(content.SerializeToString())


OUTSIDE = np.array([[5], [1], [-5], [-1], [2**40]], np.int64)  # of an axis of four
SCATTERED = {"ScatterND": (5, 3), "ScatterElements": (5, 1)}  # the updates' shapes


def scattering(op: str, **constants: np.ndarray) -> bytes:
    """x [4, 3] with 1, 2, ... put or added, where the input or the constant `where` says."""
    updates = np.arange(1, 1 + np.prod(SCATTERED[op])).reshape(SCATTERED[op]).astype("f")
    held = {"updates": updates, **constants}
    info = helper.make_tensor_value_info
    inputs = [info("x", TensorProto.FLOAT, (4, 3)), info("where", TensorProto.INT64, OUTSIDE.shape)]
    graph = helper.make_graph(
        [make(op, ["x", "where", "updates"], ["y"], reduction="add")], "network",
        inputs[: 2 - len(constants)], [info("y", TensorProto.FLOAT, (4, 3))],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    return made.SerializeToString()


@pytest.mark.parametrize("op", SCATTERED)
def test_updates_outside_are_left_out(op: str) -> None:
    """Whoever runs them; indices that are known beforehand are refused."""
    x = np.zeros((4, 3), np.float32)
    wanted = x.copy()
    columns = slice(SCATTERED[op][1])
    updates = np.arange(1, 1 + np.prod(SCATTERED[op])).reshape(SCATTERED[op])
    wanted[1, columns], wanted[3, columns] = updates[1], updates[3]
    for target in ("reference", "host", "split"):
        executor = find_backend(target).build(compile_model(scattering(op), target))
        np.testing.assert_array_equal(executor.run([x, OUTSIDE])[0], wanted)
    with pytest.raises(ModelError, match=r"indices from -5 to 1099511627776 in axes of \[4\]"):
        read_model(scattering(op, where=OUTSIDE))
