"""Small transformers and a recurrent network from ONNX, float and quantized by ONNX Runtime."""

from __future__ import annotations

import build_onnx_sequences as build
import numpy as np
import onnx
import pytest

from midge.runtime.backend import find_backend
from midge.runtime.errors import UnsupportedModel
from midge.runtime.pipeline import compile_model

onnxruntime = pytest.importorskip("onnxruntime")


def worst(model: onnx.ModelProto, target: str) -> float:
    """The largest difference of an answer from ONNX Runtime's, in parts of the largest answer."""
    content = model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options)
    executor = find_backend(target).build(compile_model(content, target))
    feeds = build.samples(model, 3, seed=7)
    wanted = np.stack([session.run(None, feed)[0] for feed in feeds])
    found = np.stack([executor.run(list(feed.values()))[0] for feed in feeds])
    executor.close()
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def test_a_transformer_of_words_in_qdq() -> None:
    """Its answers are ONNX Runtime's own."""
    assert worst(build.quantized(build.text_transformer(), static=True), "host") == 0


@pytest.mark.parametrize("make", [build.text_transformer, build.vision_transformer])
def test_transformers_with_dynamic_products(make) -> None:  # type: ignore[no-untyped-def]
    """Embeddings of bytes, MatMulInteger, DynamicQuantizeLinear; float sums in another order."""
    assert worst(build.quantized(make(), static=False), "reference") < 1e-5


@pytest.mark.parametrize("static", [True, False])
def test_sound_by_convolutions_and_a_gru(static: bool) -> None:
    model = build.quantized(build.recurrent("GRU", length=6), static)
    assert worst(model, "reference") < 1e-5


def test_a_dynamic_lstm_of_onnxruntime_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedModel, match="DynamicQuantizeLSTM is not supported"):
        compile_model(
            build.quantized(build.recurrent("LSTM", length=4), static=False).SerializeToString()
        )
