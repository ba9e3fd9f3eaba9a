"""Binarized layers in ONNX models: every spelling of a sign is found, the rest says why."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from midge.kernels.reference import ReferenceBackend
from midge.runtime.backend import find_backend
from midge.runtime.errors import UnsupportedModel
from midge.runtime.importers import read_model
from midge.runtime.options import Options
from midge.runtime.passes.recognise_bits import recognised
from midge.runtime.pipeline import compile_graph, rewrite
from midge.tools.zoo import OWN

QONNX = "qonnx.custom_op.general"
SHAPE = (1, 5, 7, 6)
# Each says -1 below 0; spelling -> (operator, operands, choices).
SPELLINGS = {
    "less": ("Less", ("x", "zero"), ("minus", "plus")),
    "less_exchanged": ("Greater", ("zero", "x"), ("minus", "plus")),
    "at_least": ("GreaterOrEqual", ("x", "zero"), ("plus", "minus")),
    "at_least_exchanged": ("LessOrEqual", ("zero", "x"), ("plus", "minus")),
}


class Net:
    """ONNX nodes, one after another."""

    def __init__(self, shape=SHAPE, seed: int = 0) -> None:
        self.nodes, self.constants, self.x = [], {}, "x"
        self.shape, self.rng = shape, np.random.default_rng(seed)
        self.channels = shape[1]
        for name, value in (("zero", 0.0), ("minus", -1.0), ("plus", 1.0), ("small", 0.1)):
            self.number(name, value)

    def number(self, name: str, values, kind=np.float32) -> str:
        self.constants[name] = np.asarray(values, kind)
        return name

    def then(self, op: str, *others: str, domain: str = "", **attributes) -> Net:
        name = f"{op.lower()}{len(self.nodes)}"
        given = [self.x if each is None else each for each in others] or [self.x]
        made = helper.make_node(op, given, [name], name=name, domain=domain, **attributes)
        self.nodes.append(made)
        self.x = name
        return self

    def sign(self, spelling: str = "less") -> Net:
        x = self.x
        if spelling == "bipolar":
            return self.then("BipolarQuant", x, "plus", domain=QONNX)
        if spelling == "twice":
            return self.then("Sign").then("Add", None, "small").then("Sign")
        op, operands, choices = SPELLINGS[spelling]
        self.then(op, *(x if name == "x" else name for name in operands))
        return self.then("Where", None, *choices)

    def pad(self, value: str) -> Net:
        edges = self.number("edges", [0, 0, 1, 1, 0, 0, 1, 1], np.int64)
        return self.then("Pad", None, edges, value)

    def conv(self, filters: int = 9, scale: float = 1.0, **attributes) -> Net:
        signs = self.rng.choice([-1.0, 1.0], (filters, self.channels, 3, 3)) * scale
        self.channels = filters
        return self.then("Conv", None, self.number(f"w{len(self.nodes)}", signs), **attributes)

    def norm(self) -> Net:
        """Batch norm with numbers of few bits, so that every order of operations is exact."""
        n = self.channels
        parts = [
            self.rng.choice([-0.5, 0.25, 1.0], n),
            self.rng.choice([-3.25, 0.5, 1.75], n),
            self.rng.integers(-9, 9, n),
            np.full(n, 1.0),
        ]
        names = [self.number(f"n{len(self.nodes)}_{i}", part) for i, part in enumerate(parts)]
        return self.then("BatchNormalization", None, *names, epsilon=0.0)

    def build(self) -> bytes:
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid(QONNX, 1)]
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(self.x, TensorProto.FLOAT, None)],
            [numpy_helper.from_array(values, name) for name, values in self.constants.items()],
        )
        return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def draw(shape, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape).astype(np.float32)
    return np.where(rng.random(shape) < 0.1, np.float32(0), x)


def plainly(model: bytes, x: np.ndarray) -> np.ndarray:
    """The imported graph node by node, no pass done."""
    graph, backend = read_model(model), ReferenceBackend()
    values = {t.index: t.data for t in graph.tensors.values()} | {graph.inputs[0]: x}
    for node in graph.nodes:
        given = [None if i is None else values[i] for i in node.inputs]
        values[node.outputs[0]] = backend.evaluate(graph, node, given)[0]
    return values[graph.outputs[0]]


def assert_same(net: Net, other: bytes | None = None) -> list[str]:
    """ONNX Runtime, the plain graph, reference and host agree; the operators that are left."""
    onnxruntime = pytest.importorskip("onnxruntime")
    model, x = net.build(), draw(net.shape)
    (wanted,) = onnxruntime.InferenceSession(other or model).run(None, {"x": x})
    np.testing.assert_array_equal(plainly(model, x), wanted)
    for target in ("reference", "host"):
        (actual,) = find_backend(target).build(compile_graph(read_model(model), target)).run([x])
        np.testing.assert_array_equal(actual, wanted)
    return [node.op for node in rewrite(read_model(model), Options()).nodes]


def without_borders(ops: list[str]) -> list[str]:
    return [op for op in ops if op not in ("transpose", "reshape")]


@pytest.mark.parametrize("spelling", [*SPELLINGS, "bipolar", "twice"])
def test_every_spelling_of_a_sign(spelling):
    def net(spelling: str) -> Net:
        return Net().sign(spelling).pad("plus").conv().norm().sign(spelling).conv(5)

    ops = assert_same(net(spelling), net("less").build())
    assert without_borders(ops) == ["binarize", "bconv2d", "bconv2d"]


@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 2, 1]])
@pytest.mark.parametrize("attributes", [{}, {"strides": [2, 1]}, {"dilations": [1, 2]}], ids=str)
def test_windows(pads, attributes):
    net = Net((1, 33, 9, 8)).sign().conv(4, pads=pads, **attributes)
    assert without_borders(assert_same(net)) == ["binarize", "bconv2d"]


def test_a_limit_for_each_channel():
    net = Net()
    limits = net.number("limits", np.linspace(-1, 1, SHAPE[1]).reshape(-1, 1, 1))
    net.then("Greater", None, limits).then("Where", None, "plus", "minus").conv()
    assert without_borders(assert_same(net)) == ["binarize", "bconv2d"]


def test_dense_layers_and_pools():
    net = Net().sign().pad("minus").conv(8).norm()
    net.then("MaxPool", None, kernel_shape=[2, 2], strides=[2, 2]).sign().conv(8)
    assert without_borders(assert_same(net))[:3] == ["binarize", "bconv2d", "bmax_pool2d"]
    dense = Net((3, 40)).sign()
    dense.then("MatMul", None, dense.number("w", dense.rng.choice([-1.0, 1.0], (40, 6))))
    assert without_borders(assert_same(dense)) == ["binarize", "bdense"]


def test_weights_through_bipolar_quant():
    net = Net()
    real = net.rng.normal(size=(4, 5, 3, 3))
    raw, half = net.number("raw", real), net.number("half", 0.5)
    net.sign("bipolar")
    x = net.x
    net.then("BipolarQuant", raw, half, domain=QONNX)
    net.then("Conv", x, net.x)
    plain = Net().sign()
    weights = plain.number("w", np.where(real < 0, -0.5, 0.5))
    ops = assert_same(net, plain.then("Conv", None, weights).build())
    assert without_borders(ops) == ["binarize", "bconv2d"]


@pytest.mark.parametrize(
    ("net", "why"),
    [
        (Net().then("Sign").conv(), "which is 0 at 0"),
        (Net().sign().conv(scale=0.3), "no power of two"),
        (Net().sign().pad("small").conv(), "it pads with 0.1"),
    ],
    ids=["sign", "scale", "padding"],
)
def test_what_is_left_says_why(net, why):
    _, report = recognised(read_model(net.build()))
    assert [entry.converted for entry in report] == [False]
    assert why in report[0].why
    origin = onnx.load_from_string(net.build()).graph.node[report[0].node]
    assert origin.op_type == "Conv"


@pytest.mark.parametrize("choices", [("zero", "plus"), ("plus", "plus"), ("minus", "x")], ids=str)
def test_other_choices_stay_choices(choices):
    ops = assert_same(Net().then("Less", None, "zero").then("Where", None, *choices))
    assert "select" in ops and "binarize" not in ops


def test_a_scale_below_zero_is_refused():
    with pytest.raises(UnsupportedModel, match="its scale is not positive"):
        read_model(Net().then("BipolarQuant", "x", "minus", domain=QONNX).build())


def test_the_digit_network_as_onnx():
    """All three layers are found, and read as many digits as ONNX Runtime does."""
    onnxruntime = pytest.importorskip("onnxruntime")
    path = OWN / "digits_bnn.onnx"
    graph, report = recognised(read_model(path))
    assert [entry.converted for entry in report] == [True] * 3
    with np.load(OWN / "digits_heldout.npz") as held_out:
        images, labels = held_out["images"], held_out["labels"]
    real = images[:, None, None].astype(np.float32) / np.float32(255)
    session = onnxruntime.InferenceSession(path)
    theirs = np.concatenate([session.run(None, {"image": image})[0] for image in real])
    host = find_backend("host").build(compile_graph(graph, "host"))
    ours = np.concatenate([host.run([image])[0] for image in real])
    assert (ours.argmax(1) == labels).sum() == (theirs.argmax(1) == labels).sum() == 975
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
