"""Products of bytes that become floats, against ONNX Runtime: of its quantizer, and its fused ones.

Whole numbers are ONNX Runtime's own, and so are products: bit by bit where this was measured. Gates
and attention are functions of floats, which it approximates: they may differ by a part in a
million.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from midge.runtime.backend import find_backend
from midge.runtime.errors import UnsupportedModel
from midge.runtime.importers import read_model
from midge.runtime.pipeline import compile_model

onnxruntime = pytest.importorskip("onnxruntime")

CLOSE = 2e-6  # of the largest answer
SIGNED = {"int8": 0, "uint8": 64}  # types of weights, and the middle of 7 bits in them
Arrays = Mapping[str, np.ndarray]


def operator(
    op: str, operands: Sequence[str], inputs: Arrays, held: Mapping[str, Any],
    kinds: Sequence[int] = (TensorProto.FLOAT,), **attributes: Any,
) -> bytes:  # fmt: skip
    """One node of ONNX Runtime's own operators; an operand called "" is left out."""
    ends = [helper.make_tensor_value_info(f"y{i}", kind, None) for i, kind in enumerate(kinds)]
    node = helper.make_node(
        op, operands, [end.name for end in ends], domain="com.microsoft", **attributes
    )
    graph = helper.make_graph(
        [node], "one",
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
         for n, v in inputs.items()],
        ends, [numpy_helper.from_array(np.asarray(v), name) for name, v in held.items()],
    )  # fmt: skip
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=sets)
    model.ir_version = 8
    return bytes(model.SerializeToString())


def furthest(content: bytes, *feeds: Arrays) -> float:
    """The largest difference from ONNX Runtime's answers, in parts of the largest of them; host and
    reference have the same bits."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # with more, parts of a batch are quantized by themselves
    session = onnxruntime.InferenceSession(content, options)
    ours = [find_backend(t).build(compile_model(content, t)) for t in ("reference", "host")]
    found = 0.0
    for feed in feeds:
        answers = [executor.run(list(feed.values())) for executor in ours]
        for one, other, wanted in zip(*answers, session.run(None, dict(feed)), strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == wanted.dtype and one.shape == wanted.shape
            off = np.abs(one.astype(float) - wanted).max()
            found = max(found, off / max(np.abs(wanted).max(), 1e-9))
    return found


def weights(rng: np.random.Generator, kind: str, *shape: int) -> np.ndarray:
    """Of 7 bits: without VNNI, ONNX Runtime's sums of two products saturate at 16."""
    return (rng.integers(-63, 64, shape) + SIGNED[kind]).astype(kind)


def floats(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(0, 1, shape).astype(np.float32)


@pytest.mark.parametrize("kind", SIGNED)
def test_products_of_quantized_floats(kind: str) -> None:
    """Of silence too, which has no steps: all its numbers are 0."""
    rng = np.random.default_rng(1)
    x = floats(rng, 2, 7, 20)
    held = {"w": weights(rng, kind, 20, 9), "s": rng.uniform(0.01, 0.1, 9).astype(np.float32),
            "z": np.full(9, SIGNED[kind], kind), "b": floats(rng, 9)}  # fmt: skip
    content = operator("DynamicQuantizeMatMul", ["x", *held], {"x": x}, held)
    assert furthest(content, {"x": x}, {"x": np.zeros_like(x)}, {"x": np.abs(x)}) <= CLOSE


@pytest.mark.parametrize("kind", SIGNED)
def test_products_of_bytes(kind: str) -> None:
    rng = np.random.default_rng(2)
    x = rng.integers(0, 256, (2, 5, 20)).astype(np.uint8)
    held = {"w": weights(rng, kind, 20, 9), "s": np.float32(0.013),
            "t": rng.uniform(0.01, 0.1, 9).astype(np.float32), "z": np.uint8(100),
            "u": np.full(9, SIGNED[kind], kind), "b": floats(rng, 9)}  # fmt: skip
    content = operator("MatMulIntegerToFloat", ["x", *held], {"x": x}, held)
    assert furthest(content, {"x": x}) <= CLOSE


def test_scales_of_rows_are_refused() -> None:
    x = np.zeros((5, 20), np.uint8)
    held = {"w": np.zeros((20, 5), np.int8), "s": np.ones(5, np.float32), "t": np.float32(1)}
    content = operator("MatMulIntegerToFloat", ["x", *held], {"x": x}, held)
    with pytest.raises(UnsupportedModel, match="a scale for each row"):
        read_model(content)


def test_networks_that_onnxruntime_fused(tmp_path: Path) -> None:
    """Quantized by its tool, then saved as it runs them."""
    from onnxruntime import quantization as tool

    rng = np.random.default_rng(3)
    held = {"v": floats(rng, 24, 16), "w": floats(rng, 16, 4)}
    nodes = [
        helper.make_node("MatMul", ["x", "v"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "network", [helper.make_tensor_value_info("x", TensorProto.FLOAT, (3, 24))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (3, 4))],
        [numpy_helper.from_array(v, name) for name, v in held.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    source, made, fused = (tmp_path / f"{name}.onnx" for name in ("float", "bytes", "fused"))
    onnx.save(model, source)
    tool.quantize_dynamic(source, made, per_channel=True, reduce_range=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(fused)
    onnxruntime.InferenceSession(str(made), options)
    kinds = {node.op_type for node in onnx.load(fused).graph.node}
    assert "DynamicQuantizeMatMul" in kinds
    assert furthest(fused.read_bytes(), {"x": floats(rng, 3, 24)}) <= CLOSE


def test_lstms_with_a_scale_for_each_column() -> None:
    rng = np.random.default_rng(4)
    steps, batch, width, units = 3, 2, 6, 8
    columns = (2, 4 * units)
    held = {
        "w": weights(rng, "uint8", 2, width, 4 * units),
        "r": weights(rng, "uint8", 2, units, 4 * units), "b": floats(rng, 2, 8 * units),
        "s": rng.uniform(0.005, 0.02, columns).astype(np.float32),
        "z": np.full(columns, 64, np.uint8),
        "t": rng.uniform(0.005, 0.02, columns).astype(np.float32),
    }  # fmt: skip
    x = floats(rng, steps, batch, width)
    operands = ["x", "w", "r", "b", "", "", "", "", "s", "z", "t", "z"]
    content = operator("DynamicQuantizeLSTM", operands, {"x": x}, held, (TensorProto.FLOAT,) * 3,
                       direction="bidirectional", hidden_size=units)  # fmt: skip
    assert furthest(content, {"x": x}) <= CLOSE


MASKS = {
    "of keys": [[1, 1, 1, 0, 0, 0], [1, 0, 1, 1, 1, 1]],
    "of pairs": np.tri(6, 6, 2)[None].repeat(2, 0),
    "ends": [4, 6],
    "ends and beginnings": [4, 6, 1, 0],
}


def attention(mask: np.ndarray, **more: int) -> tuple[bytes, Arrays]:
    rng = np.random.default_rng(5)
    inputs = {"x": rng.integers(0, 256, (2, 6, 8)).astype(np.uint8), "m": mask}
    held = {"w": weights(rng, "int8", 8, 24), "b": floats(rng, 24), "s": np.float32(0.02),
            "t": np.float32(0.01), "z": np.uint8(100), "u": np.int8(0)}  # fmt: skip
    operands = ["x", "w", "b", "s", "t", "m", "z", "u"]
    return operator("QAttention", operands, inputs, held, num_heads=2, **more), inputs


@pytest.mark.parametrize("later", [0, 1])
@pytest.mark.parametrize("mask", MASKS)
def test_attention_of_bytes(mask: str, later: int) -> None:
    content, inputs = attention(np.asarray(MASKS[mask], np.int32), unidirectional=later)
    assert furthest(content, inputs) <= CLOSE


def test_masks_of_other_shapes_are_refused() -> None:
    content, _ = attention(np.ones((2, 1, 8, 8), np.int32))
    with pytest.raises(UnsupportedModel, match=r"its mask has the shape \[2, 1, 8, 8\]"):
        read_model(content)


@pytest.mark.parametrize("kind", SIGNED)
def test_pools_with_channels_last(kind: str) -> None:
    limits, rng = np.iinfo(kind), np.random.default_rng(6)
    x = rng.integers(limits.min, limits.max + 1, (2, 7, 9, 5)).astype(kind)
    own = helper.np_dtype_to_tensor_dtype(x.dtype)
    content = operator("NhwcMaxPool", ["x"], {"x": x}, {}, [own], kernel_shape=[3, 2],
                       strides=[2, 2], pads=[1, 0, 1, 1])  # fmt: skip
    assert furthest(content, {"x": x}) == 0


@pytest.mark.parametrize("zeros", [True, False])
def test_tables_in_blocks(zeros: bool) -> None:
    """Embeddings of language models: 4 bits, two in a byte."""
    rng = np.random.default_rng(7)
    held = {"w": rng.integers(0, 256, (12, 32)).astype(np.uint8),
            "s": rng.uniform(0.01, 0.1, (12, 4)).astype(np.float32)}  # fmt: skip
    if zeros:
        held["z"] = rng.integers(0, 256, (12, 2)).astype(np.uint8)
    x = rng.integers(0, 12, (2, 5))
    content = operator("GatherBlockQuantized", ["w", "x", *list(held)[1:]], {"x": x}, held,
                       block_size=16)  # fmt: skip
    assert furthest(content, {"x": x}) == 0


@pytest.mark.parametrize("kind", SIGNED)
def test_quantization_of_onnxruntimes_own_domain(kind: str) -> None:
    held = {"s": np.float32(0.03), "z": np.asarray(SIGNED[kind] + 7, kind)}
    own = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    x = floats(np.random.default_rng(8), 3, 50)
    content = operator("QuantizeLinear", ["x", "s", "z"], {"x": x}, held, [own])
    assert furthest(content, {"x": x}) == 0
    whole = np.arange(100, dtype=kind)
    content = operator("DequantizeLinear", ["x", "s", "z"], {"x": whole}, held)
    assert furthest(content, {"x": whole}) == 0


FUSED = {
    "FusedMatMul": ({"x": (2, 5, 6), "w": (2, 7, 5)}, {"transA": 1, "transB": 1, "alpha": 0.3}),
    "Gelu": ({"x": (4, 30)}, {}),
    "BiasGelu": ({"x": (4, 30), "b": (30,)}, {}),
    "FastGelu": ({"x": (4, 30), "b": (30,)}, {}),
    "SkipLayerNormalization": (
        {"x": (2, 5, 8), "s": (2, 5, 8), "g": (8,), "b": (8,), "c": (8,)}, {"epsilon": 1e-3}
    ),
}  # fmt: skip


@pytest.mark.parametrize("op", FUSED)
def test_what_the_optimizer_joins(op: str) -> None:
    shapes, attributes = FUSED[op]
    rng = np.random.default_rng(9)
    inputs = {name: floats(rng, *shape) for name, shape in shapes.items()}
    content = operator(op, list(inputs), inputs, {}, **attributes)
    assert furthest(content, inputs) <= CLOSE
