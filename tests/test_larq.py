"""Models of Larq Compute Engine: what its own interpreter answered, bit for bit, on every backend;
and files that say what no such model may."""

from __future__ import annotations

from pathlib import Path

import build_binary as build
import numpy as np
import pytest
from flatbuffers import flexbuffers
from hypothesis import given, settings
from hypothesis import strategies as st

from midge.kernels.reference import ReferenceBackend
from midge.runtime.backend import find_backend
from midge.runtime.errors import MidgeError
from midge.runtime.importers import read_model
from midge.runtime.importers.larq import flex_options
from midge.runtime.importers.tflite_file import Malformed
from midge.runtime.pipeline import compile_model
from midge.tools.larq_writer import LarqBuilder


def golden(model: Path) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and outputs, as many of both, from the files beside the model."""
    inputs, outputs = (
        np.load(model.with_name(f"{model.stem}_{k}.npy")) for k in ("input", "output")
    )
    return inputs, outputs


@pytest.mark.parametrize("backend", ["reference", "host"])
def test_larq_answers(backend, larq_model):
    executor = find_backend(backend).build(compile_model(larq_model, backend))
    inputs, outputs = golden(larq_model)
    actual = np.concatenate([executor.run([x[None]])[0] for x in inputs])
    assert (actual.dtype, actual.shape) == (outputs.dtype, outputs.shape)
    assert actual.tobytes() == outputs.tobytes()


def test_binary_tensors_are_binary():
    graph = read_model(build.bconv2d(bitpacked=True))
    quantize, bconv2d, dequantize = graph.nodes
    assert [node.op for node in graph.nodes] == ["binarize", "bconv2d", "debinarize"]
    for index in (quantize.outputs[0], bconv2d.inputs[1], dequantize.inputs[0]):
        assert graph.tensors[index].dtype == "binary"
    assert graph.tensors[bconv2d.inputs[4]].dtype == "int32"


def test_an_activation_is_not_applied_to_bits_again():
    """The thresholds that the converter writes contain it."""
    graphs = [read_model(build.bconv2d(bitpacked=True, activation=a)) for a in ("none", "relu6")]
    x = np.random.default_rng(0).normal(size=(1, 6, 5, 40)).astype(np.float32)
    backend = ReferenceBackend()
    answers = []
    for graph in graphs:
        values = {graph.inputs[0]: x}
        for node in graph.nodes:
            given = [None if i is None else values.get(i) for i in node.inputs]
            values[node.outputs[0]] = backend.evaluate(graph, node, given)[0]
        answers.append(values[graph.outputs[0]])
    np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (b"", "damaged"),
        (b"\x00\x01\x02\x03", "FlexBuffer map"),
        (bytes(flexbuffers.Dumps([1, 2])), "not a FlexBuffer map"),
        (bytes(flexbuffers.Dumps({"padding": "SAME"})), "not an integer"),
        (bytes(flexbuffers.Dumps({f"k{i}": i for i in range(40)})), "40 entries"),
    ],
)
def test_bad_options_are_one_sentence(options, why):
    with pytest.raises(Malformed, match=why):
        flex_options(options)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_options_make_it_crash(data):
    good = bytearray(flexbuffers.Dumps({"padding": 1, "stride_height": 1, "channels_in": 40}))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        flex_options(bytes(good))
    except Malformed:
        pass


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ({"channels_in": 40}, {"channels_in": 400}),
        ({"channels_in": 40}, {"channels_in": 0}),
        ({"pad_values": 1}, {"pad_values": 7}),
        ({"padding": 0}, {"padding": 9}),
        ({"stride_height": 1}, {"stride_height": 0}),
        ({"fused_activation_function": 0}, {"fused_activation_function": 99}),
        ({"stride_width": 1}, {"another": 1}),
    ],
    ids=str,
)
def test_wrong_options_are_refused(monkeypatch, was, now):
    custom = LarqBuilder.custom

    def changed(model, name, inputs, output, **options):
        if name == "LceBconv2d":
            for key in was:
                del options[key]
            options |= now
        return custom(model, name, inputs, output, **options)

    monkeypatch.setattr(LarqBuilder, "custom", changed)
    with pytest.raises(MidgeError):
        read_model(build.bconv2d())
