"""Networks as people export them: weights of 4 bits, an audio front end, a detector's head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_onnx_windows import agree_model

from midge.runtime.errors import UnsupportedModel
from midge.runtime.importers import read_model

make = helper.make_node


def network(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int]],
    constants: Mapping[str, np.ndarray | np.generic | onnx.TensorProto],
    outputs: Mapping[str, int] | None = None,
    kind: int = TensorProto.FLOAT,
) -> bytes:
    """Inputs of these shapes; the last node's answer, in floats, if no `outputs` are named."""
    ends = outputs or {nodes[-1].output[0]: TensorProto.FLOAT}
    held = [
        v if isinstance(v, TensorProto) else numpy_helper.from_array(np.asarray(v), name)
        for name, v in constants.items()
    ]
    graph = helper.make_graph(
        list(nodes), "export",
        [helper.make_tensor_value_info(n, kind, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, kind, None) for n, kind in ends.items()],
        held,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    return model.SerializeToString()


def packed(name: str, values: np.ndarray) -> onnx.TensorProto:
    return helper.make_tensor(name, TensorProto.INT4, values.shape, values.reshape(-1).tolist())


def float32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_weights_of_4_bits_in_blocks() -> None:
    """Two layers as language models have them: scales and zero points for each 16 numbers."""
    rng = np.random.default_rng(1)
    nodes, held, x = [], {}, "x"
    for i in range(2):
        held[f"w{i}"] = packed(f"w{i}", rng.integers(-8, 8, (32, 32)))
        held[f"s{i}"] = rng.uniform(0.01, 0.1, (2, 32)).astype(np.float32)
        held[f"z{i}"] = packed(f"z{i}", rng.integers(-3, 4, (2, 32)))
        weights = [f"w{i}", f"s{i}", f"z{i}"]
        nodes.append(make("DequantizeLinear", weights, [f"r{i}"], axis=0, block_size=16))
        nodes.append(make("MatMul", [x, f"r{i}"], [f"y{i}"]))
        nodes.append(make("Gelu", [f"y{i}"], [f"g{i}"]))
        x = f"g{i}"
    model = network(nodes, {"x": (1, 3, 32)}, held)
    agree_model(model, {"x": rng.normal(0, 1, (1, 3, 32)).astype(np.float32)})
    kinds = [node.op for node in read_model(model).nodes]
    assert kinds.count("fully_connected") == 2, "weights are constants"


def test_convolutions_with_weights_of_4_bits_are_integer() -> None:
    """Between bytes: the same whole numbers as ONNX Runtime's but for ties."""
    rng = np.random.default_rng(2)
    held = {
        "s": np.float32(0.04), "t": np.float32(0.05), "b": rng.normal(0, 0.1, 6).astype(np.float32),
        "z": np.array(3, np.int8), "v": np.array(-7, np.int8),
        "w": packed("w", rng.integers(-8, 8, (6, 4, 3, 3))),
        "ws": rng.uniform(0.01, 0.05, 6).astype(np.float32),
    }  # fmt: skip
    nodes = [
        make("QuantizeLinear", ["x", "s", "z"], ["q"]),
        make("DequantizeLinear", ["q", "s", "z"], ["d"]),
        make("DequantizeLinear", ["w", "ws"], ["k"], axis=0),
        make("Conv", ["d", "k", "b"], ["c"], pads=[1, 1, 1, 1]),
        make("QuantizeLinear", ["c", "t", "v"], ["r"]),
        make("DequantizeLinear", ["r", "t", "v"], ["y"]),
    ]
    model = network(nodes, {"x": (1, 4, 8, 8)}, held)
    assert [node.op for node in read_model(model).nodes].count("conv2d") == 1
    agree_model(model, {"x": rng.normal(0, 1, (1, 4, 8, 8)).astype(np.float32)}, step=0.05)


def test_an_audio_front_end() -> None:
    """Log-mel energies: STFT, squares, a matrix of triangles, log."""
    rng = np.random.default_rng(3)
    held = {
        "step": np.array(160), "length": np.array(400), "last": np.array([3]),
        "window": np.hanning(400).astype(np.float32), "bins": np.array(20), "dft": np.array(400),
        "rate": np.array(16000), "low": np.float32(60), "high": np.float32(7600),
        "least": np.float32(1e-6),
    }  # fmt: skip
    nodes = [
        make("STFT", ["x", "step", "window", "length"], ["spectrum"]),
        make("Mul", ["spectrum", "spectrum"], ["squares"]),
        make("ReduceSum", ["squares", "last"], ["power"], keepdims=0),
        make("MelWeightMatrix", ["bins", "dft", "rate", "low", "high"], ["triangles"]),
        make("MatMul", ["power", "triangles"], ["mel"]),
        make("Add", ["mel", "least"], ["some"]),
        make("Log", ["some"], ["y"]),
    ]
    model = network(nodes, {"x": (1, 3200, 1)}, held)
    x = rng.normal(0, 0.3, (1, 3200, 1)).astype(np.float32)
    agree_model(model, {"x": x}, tolerance=1e-4)


BYTES: Mapping[str, Sequence[onnx.NodeProto]] = {
    "an image turned first": [make("Transpose", ["x"], ["b"], perm=[0, 3, 1, 2])],
    "bytes that were cast": [make("Cast", ["x"], ["i"], to=6), make("Cast", ["i"], ["b"], to=2)],
    "bytes in other uses": [make("Identity", ["x"], ["b"]), make("Cast", ["x"], ["z"], to=1)],
}  # fmt: skip


@pytest.mark.parametrize("way", BYTES)
def test_bytes_from_anywhere_are_dequantized(way: str) -> None:
    """uint8 is kept as int8 inside, 128 less; what reads the numbers themselves isn't to see it."""
    held = {"s": np.float32(0.3), "p": np.uint8(7)}
    nodes = [*BYTES[way], make("DequantizeLinear", ["b", "s", "p"], ["y"])]
    ends = {name: TensorProto.FLOAT for node in nodes for name in node.output if name in "yz"}
    model = network(nodes, {"x": (1, 4, 5, 3)}, held, ends, TensorProto.UINT8)
    x = np.random.default_rng(6).integers(0, 256, (1, 4, 5, 3)).astype(np.uint8)
    agree_model(model, {"x": x})


@pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.UINT4, TensorProto.INT4])
def test_quantized_numbers_are_cast_and_dequantized(kind: int) -> None:
    """Quantized without a zero point, by the type that is asked for."""
    nodes = [
        make("QuantizeLinear", ["x", "s"], ["q"], output_dtype=kind),
        make("Cast", ["q"], ["z"], to=1),
        make("DequantizeLinear", ["q", "s"], ["y"]),
    ]
    ends = dict.fromkeys("yz", TensorProto.FLOAT)
    model = network(nodes, {"x": (2, 9)}, {"s": np.float32(0.3)}, ends)
    agree_model(model, {"x": np.linspace(-5, 5, 18, dtype=np.float32).reshape(2, 9)})


def detector(ending: bool) -> bytes:
    """Boxes and scores of a small image's pixels; NonMaxSuppression at the end if asked."""
    rng = np.random.default_rng(4)
    held = {
        "w": rng.normal(0, 0.3, (6, 3, 3, 3)).astype(np.float32),
        "of_boxes": np.array([1, 4, 64]), "of_scores": np.array([1, 2, 64]),
        "parts": np.array([4, 2]), "most": np.array([5]), "overlap": float32(0.5),
        "score": float32(0.4),
    }  # fmt: skip
    nodes = [
        make("Conv", ["x", "w"], ["head"], pads=[1, 1, 1, 1]),
        make("Split", ["head", "parts"], ["raw", "classes"], axis=1),
        make("Sigmoid", ["classes"], ["likely"]),
    ]
    nodes += [
        make("Reshape", ["raw", "of_boxes"], ["flat"]),
        make("Transpose", ["flat"], ["boxes"], perm=[0, 2, 1]),
        make("Reshape", ["likely", "of_scores"], ["scores"]),
    ]
    if not ending:
        left = {k: v for k, v in held.items() if k not in ("most", "overlap", "score")}
        floats = dict.fromkeys(("boxes", "scores"), TensorProto.FLOAT)
        return network(nodes, {"x": (1, 3, 8, 8)}, left, floats)
    nodes.append(
        make("NonMaxSuppression", ["boxes", "scores", "most", "overlap", "score"], ["kept"])
    )
    return network(nodes, {"x": (1, 3, 8, 8)}, held, {"kept": TensorProto.INT64})


def test_a_detector_is_cut_before_what_has_no_size() -> None:
    with pytest.raises(UnsupportedModel) as told:
        read_model(detector(True))
    (refused,) = told.value.refusals
    assert refused.operator == "NonMaxSuppression"
    assert refused.why == "how many boxes it leaves depends on them"
    assert "end the model before it" in refused.remedy
    x = np.random.default_rng(5).normal(0, 1, (1, 3, 8, 8)).astype(np.float32)
    agree_model(detector(False), {"x": x})
