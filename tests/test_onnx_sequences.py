"""Small transformers and a recurrent network from ONNX, float and quantized by ONNX Runtime."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import build_onnx_sequences as build
import numpy as np
import onnx
import pytest

from midge.runtime.backend import find_backend
from midge.runtime.pipeline import compile_model

onnxruntime = pytest.importorskip("onnxruntime")


def answers(model: onnx.ModelProto, target: str) -> np.ndarray:
    executor = find_backend(target).build(compile_model(model.SerializeToString(), target))
    found = [executor.run(list(feed.values()))[0] for feed in build.samples(model, 3, seed=7)]
    executor.close()
    return np.stack(found)


def wanted(model: onnx.ModelProto, as_written: bool = False) -> np.ndarray:
    """ONNX Runtime's answers: by its fused operators, or by those of the model one by one."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if as_written:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return np.stack([session.run(None, feed)[0] for feed in build.samples(model, 3, seed=7)])


def worst(model: onnx.ModelProto) -> float:
    """The largest difference of an answer from ONNX Runtime's, in parts of the largest answer."""
    right = wanted(model)
    return float(np.abs(answers(model, "reference") - right).max() / np.abs(right).max())


STATIC = {
    "text": build.text_transformer,
    "vision": build.vision_transformer,
    "GRU": partial(build.recurrent, "GRU", length=6),
    "LSTM": partial(build.recurrent, "LSTM", length=6),
}


@pytest.mark.parametrize("name", STATIC)
def test_static_networks_in_qdq(name: str) -> None:
    """Their answers are ONNX Runtime's own, of the model as it is written. Its fused Softmax is off
    by one in a tenth of its numbers (test_softmax), which the vision transformer shows.
    """
    model = build.quantized(STATIC[name](), static=True)
    right, found = wanted(model, as_written=True), answers(model, "reference")
    np.testing.assert_array_equal(answers(model, "host"), found)
    np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("make", [build.text_transformer, build.vision_transformer])
def test_transformers_with_dynamic_products(make) -> None:  # type: ignore[no-untyped-def]
    """Embeddings of bytes, MatMulInteger, DynamicQuantizeLinear; float sums in another order."""
    assert worst(build.quantized(make(), static=False)) < 1e-5


def test_a_transformer_as_onnxruntime_runs_it(tmp_path: Path) -> None:
    """Saved by its optimizer: DynamicQuantizeMatMul, FusedMatMul, SkipLayerNormalization, Gelu."""
    model = build.quantized(build.text_transformer(), static=False)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    onnxruntime.InferenceSession(model.SerializeToString(), options)
    fused = onnx.load(options.optimized_model_filepath)
    domains = {node.op_type for node in fused.graph.node if node.domain == "com.microsoft"}
    assert {"DynamicQuantizeMatMul", "FusedMatMul", "SkipLayerNormalization", "Gelu"} <= domains
    assert worst(fused) < 1e-5


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_sound_by_convolutions_and_a_dynamic_recurrent_layer(kind: str) -> None:
    """Of the LSTM, the quantizer makes DynamicQuantizeLSTM; of the GRU, products of bytes."""
    model = build.quantized(build.recurrent(kind, length=6), static=False)
    assert worst(model) < 1e-5
    if kind == "LSTM":
        assert "DynamicQuantizeLSTM" in [node.op_type for node in model.graph.node]
        np.testing.assert_array_equal(answers(model, "host"), answers(model, "reference"))
