"""Binarized layers in plain float models are found, and become layers of bits without one bit of
their answers changing; what is left as it is says why."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import tflite_reference
from tflite_writer import ModelBuilder

from midge.runtime.backend import find_backend
from midge.runtime.importers import read_model
from midge.runtime.options import Options
from midge.runtime.passes.recognise_bits import recognised
from midge.runtime.pipeline import compile_model, rewrite
from midge.tools.cli import main


class FloatNet:
    """A float model as a training tool writes it, layer by layer."""

    def __init__(self, shape=(1, 7, 6, 12), seed: int = 0) -> None:
        self.model, self.shape = ModelBuilder(), shape
        self.rng = np.random.default_rng(seed)
        self.input = self.x = self.model.tensor(shape, "float32")

    def then(self, op: str, *others: int, shape=None, **options: object) -> FloatNet:
        self.shape = shape or self.shape
        y = self.model.tensor(self.shape, "float32")
        self.model.node(op, [self.x, *others], [y], **options)
        self.x = y
        return self

    def number(self, values) -> int:
        return self.model.constant(np.asarray(values, np.float32), "float32")

    def sign(self, shift: float | None = 0.1) -> FloatNet:
        self.then("SIGN")
        return self if shift is None else self.then("ADD", self.number(shift)).then("SIGN")

    def pad(self, value: float) -> FloatNet:
        n, h, w, c = self.shape
        edges = self.model.constant([[0, 0], [1, 1], [1, 1], [0, 0]])
        return self.then("PADV2", edges, self.number(value), shape=(n, h + 2, w + 2, c))

    def conv(self, filters: int = 9, scale=1.0, padding="VALID", bias=None) -> FloatNet:
        n, h, w, c = self.shape
        signs = np.where(self.rng.integers(0, 2, (filters, 3, 3, c)), 1, -1)
        weights = self.number(signs * np.reshape(scale, (-1, 1, 1, 1)))
        offset = self.number(np.zeros(filters) if bias is None else bias)
        size = (h, w) if padding == "SAME" else (h - 2, w - 2)
        self.then("CONV_2D", weights, offset, shape=(n, *size, filters), stride_w=1, stride_h=1,
                  dilation_w_factor=1, dilation_h_factor=1, padding=padding)  # fmt: skip
        return self

    def norm(self) -> FloatNet:
        channels = self.shape[-1]
        slope = self.rng.normal(size=channels) / 9
        slope[::5] = 0
        self.then("MUL", self.number(slope))
        return self.then("ADD", self.number(self.rng.normal(size=channels)))

    def pool(self) -> FloatNet:
        n, h, w, c = self.shape
        return self.then("MAX_POOL_2D", shape=(n, h // 2, w // 2, c), stride_w=2, stride_h=2,
                         filter_width=2, filter_height=2, padding="VALID")  # fmt: skip

    def build(self) -> bytes:
        return self.model.build([self.input], [self.x])

    def draw(self, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        values = rng.normal(size=self.model.tensors[self.input].shape).astype(np.float32)
        special = rng.choice(np.array([0, -0.0, 1e-40, -1e-40], np.float32), values.shape)
        return np.where(rng.random(values.shape) < 0.1, special, values)


def assert_same(net: FloatNet) -> list[str]:
    """TFLite's reference answers so, and reference and host too; the operators that are left."""
    model = net.build()
    for seed in range(3):
        x = net.draw(seed)
        (wanted,) = tflite_reference(model, [x])
        for target in ("reference", "host"):
            (actual,) = find_backend(target).build(compile_model(model, target)).run([x])
            assert actual.tobytes() == wanted.tobytes(), target
    return [node.op for node in rewrite(read_model(model), Options()).nodes]


def test_sign_conv_norm_sign_is_one_kernel():
    net = FloatNet().sign().pad(1).conv().norm().sign().conv()
    assert assert_same(net) == ["binarize", "bconv2d", "bconv2d"]


@pytest.mark.parametrize("value", [1, 0, -1])
def test_padding_is_kept(value):
    assert assert_same(FloatNet().sign().pad(value).conv()) == ["binarize", "bconv2d"]


def test_zero_padding_of_the_convolution_itself():
    net = FloatNet().sign().conv(padding="SAME").norm().sign().conv(padding="SAME")
    assert assert_same(net) == ["binarize", "bconv2d", "bconv2d"]


def test_a_pool_between_norm_and_sign_pools_bits():
    net = FloatNet().sign().pad(1).conv().norm().pool().sign().conv(filters=4)
    assert assert_same(net) == ["binarize", "bconv2d", "bmax_pool2d", "bconv2d"]


def test_norm_without_a_sign_stays_float():
    ops = assert_same(FloatNet().sign().conv().norm())
    assert ops == ["binarize", "bconv2d", "mul", "add"]


def test_a_bias_stays_an_addition_but_goes_into_thresholds():
    bias = np.linspace(-3, 3, 9)
    assert assert_same(FloatNet().sign().conv(bias=bias)) == ["binarize", "bconv2d", "add"]
    net = FloatNet().sign().conv(bias=bias).sign().then("RELU")
    assert assert_same(net) == ["binarize", "bconv2d", "debinarize", "relu"]


def test_scales_of_powers_of_two():
    net = FloatNet().sign().conv(scale=2.0 ** np.arange(-4, 5)).norm().sign().then("RELU")
    assert assert_same(net)[:2] == ["binarize", "bconv2d"]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_norm_becomes_thresholds(data):
    net = FloatNet((1, 4, 5, data.draw(st.sampled_from([1, 6, 33]))), data.draw(st.integers(0, 99)))
    net.sign().pad(data.draw(st.sampled_from([1, -1])))
    net.conv(filters=data.draw(st.integers(1, 9)), bias=None)
    for _ in range(data.draw(st.integers(0, 3))):
        op = data.draw(st.sampled_from(["MUL", "ADD", "SUB", "RELU"]))
        if op == "RELU":
            net.then("RELU")
            continue
        numbers = st.one_of(st.floats(-30, 30, width=32), st.sampled_from([0.0, -1.0, 1e-40]))
        count = data.draw(st.sampled_from([1, net.shape[-1]]))
        net.then(op, net.number(data.draw(st.lists(numbers, min_size=count, max_size=count))))
    ops = assert_same(net.sign().then("RELU"))
    assert ops[:2] == ["binarize", "bconv2d"]


@pytest.mark.parametrize(
    ("net", "why"),
    [
        (FloatNet().sign(None).conv(), "its input is sign(x), which is 0 at 0"),
        (FloatNet().sign().conv(scale=0.3), "no power of two"),
        (FloatNet().sign().pad(0.5).conv(), "it pads with 0.5, which is no sign"),
        (FloatNet().sign().pad(1).conv(padding="SAME"), "it pads twice"),
    ],
    ids=["sign", "scale", "value", "twice"],
)
def test_what_is_left_says_why(net, why):
    _, report = recognised(read_model(net.build()))
    assert [entry.converted for entry in report] == [False]
    assert why in report[0].why
    assert "bconv2d" not in assert_same(net)


def test_weights_that_are_no_signs_are_left():
    net = FloatNet().sign().conv()
    graph = read_model(net.build())
    (conv,) = [node for node in graph.nodes if node.op == "conv2d"]
    weights = graph.input(conv, 1)
    real = weights.data.copy()
    real[2, 1, 1, 3] = 0.25
    changed = {
        weights.index: type(weights)(weights.index, "w", weights.shape, "float32", data=real)
    }
    _, report = recognised(graph.with_nodes(graph.nodes, changed))
    assert report[0].why == "its weights are not +a and -a, with one a for each filter"


def test_inspect_tells(tmp_path, capsys):
    path = tmp_path / "net.tflite"
    path.write_bytes(FloatNet().sign().conv().norm().sign().conv(scale=0.3).build())
    assert main(["inspect", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["binarized"]
    assert [layer["converted"] for layer in found] == [True, False]
    assert main(["inspect", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "becomes a layer of bits" in shown and "no power of two" in " ".join(shown.split())


def test_dense_layers_of_signs(shared):
    model = shared / "op_tests/larq/68_try_quantdense_c64_o16.tflite"
    graph, report = recognised(read_model(model))
    assert [node.op for node in graph.nodes] == ["binarize", "bdense"]
    assert [(entry.operator, entry.converted) for entry in report] == [("fully_connected", True)]
