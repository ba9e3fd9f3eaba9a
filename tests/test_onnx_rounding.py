"""Quantized operators of ONNX, one at a time, against ONNX Runtime: its rounding is ours.

All that may differ are ties, where ONNX Runtime's float sums lean to one side: by one, and rarely;
and what ONNX Runtime's fused Softmax makes of a scale that is no 1 / n.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from midge.runtime.backend import find_backend
from midge.runtime.errors import MissingTool, TargetError, UnsupportedModel
from midge.runtime.importers import read_model
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_graph, compile_model
from midge.targets.split.onnx_tail import to_onnx
from midge.tools.cli import parse_and_run

onnxruntime = pytest.importorskip("onnxruntime")

KINDS = {np.int8: TensorProto.INT8, np.uint8: TensorProto.UINT8}
SHAPE = (1, 4, 12, 12)
make = helper.make_node


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, tuple[int, ...]],
    kind: type,
    **constants: object,
) -> bytes:
    graph = helper.make_graph(
        list(nodes), "operator",
        [helper.make_tensor_value_info(name, KINDS[kind], shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("y", KINDS[kind], None)],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )  # fmt: skip
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    made = helper.make_model(graph, opset_imports=sets)
    made.ir_version = 8
    return made.SerializeToString()


def share_off(content: bytes, fixed_point: bool = False, as_written: bool = False) -> float:
    """The share of numbers that aren't ONNX Runtime's, none by more than one; reference and host
    have the same bits. As it's written, a model's operators are run one by one, none fused."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if as_written:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(content, options)
    rng = np.random.default_rng(5)
    feed = {}
    for value in session.get_inputs():
        limits = np.iinfo(np.int8 if value.type == "tensor(int8)" else np.uint8)
        feed[value.name] = rng.integers(limits.min, limits.max + 1, value.shape, limits.dtype)
    (wanted,) = session.run(None, feed)
    chosen = Options(fixed_point=fixed_point)
    answers = [
        find_backend(target).build(compile_model(content, target, chosen)).run(list(feed.values()))
        for target in ("reference", "host")
    ]
    np.testing.assert_array_equal(answers[0][0], answers[1][0])
    off = np.abs(answers[0][0].astype(int) - wanted)
    assert off.max() <= 1
    return float(np.mean(off > 0))


def points(kind: type, *values: int) -> dict[str, np.generic]:
    """Zero points of the operands, given for int8."""
    shift = 128 if kind is np.uint8 else 0
    return {f"z{name}": kind(value + shift) for name, value in zip("abcy", values)}


def one(
    op: str, kind: type, sy: float = 0.0217, zy: int = -5, sa: float = 0.0371,
    shape: tuple[int, ...] = SHAPE, **attributes: object,
) -> bytes:  # fmt: skip
    nodes = [
        make("DequantizeLinear", ["a", "sa", "za"], ["x"]),
        make(op, ["x"], ["r"], **attributes),
        make("QuantizeLinear", ["r", "sy", "zy"], ["y"]),
    ]
    zeros = points(kind, 3, 0, 0, zy)
    return model(nodes, {"a": shape}, kind, sa=np.float32(sa), sy=np.float32(sy),
                 za=zeros["za"], zy=zeros["zy"])  # fmt: skip


UNARY = {
    "Relu": {},
    "LeakyRelu": {"alpha": 0.3},
    "HardSwish": {},
    "Sigmoid": {"sy": 1 / 256, "zy": -128},
    "Tanh": {"sy": 1 / 128, "zy": 0},
    "GlobalAveragePool": {},
    "MaxPool": {"sy": 0.0371, "zy": 3, "kernel_shape": [2, 2]},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op", UNARY)
def test_one_operand(op: str, kind: type) -> None:
    assert share_off(one(op, kind, **UNARY[op])) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(("sy", "zy"), [(0.0371, 3), (0.0217, -5)])
@pytest.mark.parametrize("kind", KINDS)
def test_averages(kind: type, sy: float, zy: int) -> None:
    """A quarter of the averages of four are ties."""
    same = share_off(one("AveragePool", kind, sy, zy, kernel_shape=[2, 2], strides=[2, 2]))
    assert same <= 0.1
    assert share_off(one("AveragePool", kind, sy, zy, kernel_shape=[3, 3], pads=[1] * 4)) <= 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_softmax(kind: type) -> None:
    """As the model is written. Where ONNX Runtime fuses it, it multiplies by floor(1 / scale): by
    254 for its own calibration's 1 / 255, which is a little more in float32."""
    exact, calibrated = one("Softmax", kind, 1 / 256, -128), one("Softmax", kind, 1 / 255, -128)
    assert share_off(exact) == share_off(exact, as_written=True) == 0
    assert share_off(calibrated, as_written=True) == 0
    assert share_off(calibrated) <= 0.15


@pytest.mark.parametrize("kind", KINDS)
def test_a_softmax_of_many_alike(kind: type) -> None:
    """Where exponentials add up to 512, TFLite's fixed point is wrong, and isn't taken."""
    for length in (511, 600):
        content = one("Softmax", kind, 1 / 256, -128, sa=0.0002, shape=(3, length))
        assert share_off(content) == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
def test_two_operands(op: str, kind: type) -> None:
    nodes = [
        make("DequantizeLinear", ["a", "sa", "za"], ["x"]),
        make("DequantizeLinear", ["b", "sb", "zb"], ["w"]),
        make(op, ["x", "w"], ["r"]),
        make("QuantizeLinear", ["r", "sy", "zy"], ["y"]),
    ]
    scales = {"sa": np.float32(0.0371), "sb": np.float32(0.05), "sy": np.float32(0.0217)}
    zeros = points(kind, 3, 7, 0, -5)
    del zeros["zc"]
    assert share_off(model(nodes, {"a": SHAPE, "b": SHAPE}, kind, **scales, **zeros)) <= 0.002


def quantized(op: str, kind: type, operands: Sequence[str], **more: object) -> bytes:
    """An operator on quantized numbers; `operands` are all but the output's scale."""
    domain = "" if op in ("QLinearConv", "QLinearMatMul") else "com.microsoft"
    ends = ("sy", "zy")
    names = [*ends, *operands] if op == "QLinearConcat" else [*operands, *ends]
    attributes = {k: v for k, v in more.items() if not isinstance(v, (np.ndarray, np.generic))}
    constants = {k: v for k, v in more.items() if k not in attributes}
    inputs = {name: SHAPE for name in operands if name in "ab" and name not in constants}
    scales = {"sa": np.float32(0.0371), "sb": np.float32(0.05), "sy": np.float32(0.0217)}
    known = {**scales, **points(kind, 3, 7, 0, -5), **constants}
    node = make(op, names, ["y"], domain=domain, **attributes)
    return model([node], inputs, kind, **{n: v for n, v in known.items() if n in names})


# Of 7 bits: without VNNI, ONNX Runtime's sums of two products saturate at 16.
WEIGHTS = np.random.default_rng(2).integers(-63, 64, (40, 4, 3, 3)).astype(np.int8)
BIAS = np.random.default_rng(3).integers(-5000, 5000, 40).astype(np.int32)
A, B = ("a", "sa", "za"), ("b", "sb", "zb")
QUANTIZED = {
    "QLinearConv": (
        (*A, "w", "sw", "zw"),
        {"w": WEIGHTS, "sw": np.linspace(0.001, 0.01, 40).astype("f"), "zw": np.zeros(40, np.int8),
         "pads": [1] * 4},
    ),
    "QLinearMatMul": ((*A, "w", "sw", "zw"), {"w": WEIGHTS[:12, 0, 0].repeat(4, 1),
                                              "sw": np.float32(0.01), "zw": np.int8(0)}),
    "QLinearAdd": ((*A, *B), {}),
    "QLinearMul": ((*A, *B), {}),
    "QLinearConcat": ((*A, *B), {"axis": 1}),
    "QLinearLeakyRelu": (A, {"alpha": 0.2}),
    "QLinearSigmoid": (A, {"sy": np.float32(1 / 256)}),
    "QLinearGlobalAveragePool": (A, {}),
    "QLinearAveragePool": (A, {"kernel_shape": [3, 3], "strides": [2, 2]}),
    "QLinearWhere": (("k", *A, *B), {"k": WEIGHTS[:4, 0, 0, :1, None] > 0}),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op", QUANTIZED)
def test_operators_on_quantized_numbers(op: str, kind: type) -> None:
    operands, more = QUANTIZED[op]
    assert share_off(quantized(op, kind, operands, **more)) <= 0.01


def test_dense_layers_of_onnxruntime() -> None:
    node = make("QGemm", [*A, "w", "sw", "zw", "bias", "sy", "zy"], ["y"], domain="com.microsoft",
                transB=1)  # fmt: skip
    zeros = points(np.uint8, 3, 0, 0, -5)
    content = model(
        [node], {"a": (5, 36)}, np.uint8, sa=np.float32(0.0371), za=zeros["za"],
        w=WEIGHTS.reshape(40, 36), sw=np.linspace(0.001, 0.01, 40).astype("f"),
        zw=np.zeros(40, np.int8), bias=BIAS, sy=np.float32(0.0217), zy=zeros["zy"],
    )  # fmt: skip
    assert share_off(content) == 0


def test_channels_last_are_refused() -> None:
    content = quantized("QLinearGlobalAveragePool", np.uint8, A, channels_last=1)
    with pytest.raises(UnsupportedModel, match="its channels come last"):
        read_model(content)


def test_bytes_without_a_sign_stay_whole_numbers() -> None:
    """An input of uint8 is dequantized by no float operator."""
    graph = read_model(one("HardSwish", np.uint8))
    assert [node.op for node in graph.nodes] == ["quantize", "hard_swish", "quantize"]


def test_fixed_point_is_the_rule_of_all_targets() -> None:
    """What cores compute is what the host computes if asked to; it is off by one now and then."""
    operands, more = QUANTIZED["QLinearConv"]
    content = quantized("QLinearConv", np.int8, operands, **more)
    assert 0 < share_off(content, fixed_point=True) < 0.02
    graph = read_model(content)
    assert all(t.quantization is None or t.quantization.in_floats for t in graph.tensors.values())
    for target in ("cortex-m4", "fpga-sim"):
        made = compile_graph(graph, target).graph
        assert not any(t.quantization and t.quantization.in_floats for t in made.tensors.values())


def test_targets_are_compared_by_the_rounding_that_both_have(tmp_path: Path) -> None:
    operands, more = QUANTIZED["QLinearConv"]
    path = tmp_path / "conv.onnx"
    path.write_bytes(quantized("QLinearConv", np.int8, operands, **more))
    try:
        found = parse_and_run(["compare", str(path), "--targets", "reference,cortex-m4"])
    except MissingTool as error:
        pytest.skip(str(error))
    assert found["equal"], found["first_difference"]


def test_tails_in_tflites_rounding_are_of_tflite_models() -> None:
    operands, more = QUANTIZED["QLinearConv"]
    graph = read_model(quantized("QLinearConv", np.int8, operands, **more))
    with pytest.raises(TargetError, match="rounds in floats; take the form qdq"):
        to_onnx(graph, form="exact")
