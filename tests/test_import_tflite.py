"""TFLite files to graphs: against what TFLite itself says of the same file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import build_tflite as b
import numpy as np
import pytest
from oracle import reference_interpreter
from tflite_writer import ModelBuilder

from midge.runtime.attributes import (
    Arithmetic,
    Concatenation,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    LeakyRelu,
    Mean,
    NoAttrs,
    Pad,
    Padding,
    Pool2D,
    Relu,
    Reshape,
    Resize,
    Softmax,
    Split,
    StridedSlice,
    Svdf,
    Transpose,
    TransposeConv,
)
from midge.runtime.backend import check_inputs
from midge.runtime.errors import InputError
from midge.runtime.graph import Graph, Node
from midge.runtime.importers.tflite import read_tflite
from midge.runtime.verify import verify


def only_node(model: bytes) -> Node:
    (node,) = verify(read_tflite(model)).nodes
    return node


def assert_as_tflite_says(graph: Graph, content: bytes, sizes: dict[int, list[int]]) -> None:
    """Every tensor has TFLite's name, shape, dtype and quantization once it has allocated them."""
    interpreter = reference_interpreter(content, preserve_all_tensors=True)
    for index, size in sizes.items():
        interpreter.resize_tensor_input(index, size)
    interpreter.allocate_tensors()
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    for index, tensor in graph.tensors.items():
        detail, scales = details[index], details[index]["quantization_parameters"]
        assert (tensor.name, tensor.shape) == (detail["name"], tuple(detail["shape"]))
        assert np.dtype(tensor.dtype) == detail["dtype"]
        if tensor.quantization is None:
            assert len(scales["scales"]) == 0
        else:
            np.testing.assert_array_equal(tensor.quantization.scales, scales["scales"])
            np.testing.assert_array_equal(tensor.quantization.zero_points, scales["zero_points"])
            if tensor.quantization.per_axis:
                assert tensor.quantization.axis == scales["quantized_dimension"]
        if tensor.constant:
            np.testing.assert_array_equal(tensor.data, interpreter.get_tensor(index))
    assert list(graph.inputs) == [d["index"] for d in interpreter.get_input_details()]
    assert list(graph.outputs) == [d["index"] for d in interpreter.get_output_details()]


def test_shared_model(shared_model: Path) -> None:
    content = shared_model.read_bytes()
    graph = verify(read_tflite(shared_model))
    assert_as_tflite_says(graph, content, {})
    assert graph.sha256 == hashlib.sha256(content).hexdigest()


def test_seanet_model(seanet_model: Path) -> None:
    assert_as_tflite_says(verify(read_tflite(seanet_model)), seanet_model.read_bytes(), {})


def test_operators_of_a_model(shared: Path) -> None:
    graph = read_tflite(shared / "models/kws_ref_model.tflite")
    pairs = ["conv2d", "depthwise_conv2d"] * 4
    tail = ["conv2d", "average_pool2d", "reshape", "fully_connected", "softmax"]
    assert [node.op for node in graph.nodes] == pairs + tail
    assert graph.nodes[0].attrs == Conv2D((2, 2), (1, 1), Padding(4, 5, 1, 1), "relu")
    assert graph.nodes[0].name == graph.tensors[22].name


# (model, operator, attributes, number of operands): the attributes are the whole meaning.
CASES = [
    (b.conv2d(), "conv2d", Conv2D((1, 1), (1, 1), Padding(1, 1, 1, 1)), 3),
    (
        b.conv2d((1, 8, 8, 3), stride=(2, 3), dilation=(2, 1), activation="RELU6"),
        "conv2d",
        Conv2D((2, 3), (2, 1), Padding(1, 2, 0, 1), "relu6"),
        3,
    ),
    (b.conv2d(padding="VALID", bias=False), "conv2d", Conv2D(), 2),
    (
        b.depthwise_conv2d(multiplier=2, stride=(2, 2), padding="VALID"),
        "depthwise_conv2d",
        DepthwiseConv2D(stride=(2, 2), multiplier=2),
        3,
    ),
    (
        b.transpose_conv(),
        "transpose_conv",
        TransposeConv((2, 2), Padding(0, 1, 0, 1), output_shape=(1, 8, 8, 4)),
        3,
    ),
    (b.transpose_conv(bias=False, padding="VALID"), "transpose_conv",
     TransposeConv((2, 2), output_shape=(1, 9, 9, 4)), 2),
    (b.fully_connected(activation="RELU"), "fully_connected", FullyConnected("relu"), 3),
    (b.fully_connected((2, 3, 4), keep_dims=True, bias=False), "fully_connected",
     FullyConnected("none", True), 2),
    (b.pool2d(window=(3, 2), padding="SAME", activation="RELU_N1_TO_1"), "average_pool2d",
     Pool2D((3, 2), (2, 2), Padding(0, 1, 0, 0), "relu_n1_to_1"), 1),
    (b.pool2d("MAX_POOL_2D"), "max_pool2d", Pool2D((2, 2), (2, 2)), 1),
    (b.arithmetic("ADD", activation="RELU"), "add", Arithmetic("relu"), 2),
    (b.arithmetic("SUB", other=(3,), constant=True), "sub", Arithmetic(), 2),
    (b.arithmetic("MUL", other=(1, 4, 1, 1)), "mul", Arithmetic(), 2),
    (b.softmax(beta=0.5), "softmax", Softmax(0.5), 1),
    (b.unary("RELU"), "relu", Relu(0.0, None), 1),
    (b.unary("RELU6"), "relu", Relu(0.0, 6.0), 1),
    (b.unary("RELU_N1_TO_1"), "relu", Relu(-1.0, 1.0), 1),
    (b.unary("RELU_0_TO_1"), "relu", Relu(0.0, 1.0), 1),
    (b.unary("LEAKY_RELU", alpha=0.25), "leaky_relu", LeakyRelu(0.25), 1),
    (b.unary("LOGISTIC"), "logistic", NoAttrs(), 1),
    (b.unary("TANH", dtype="int16"), "tanh", NoAttrs(), 1),
    (b.unary("HARD_SWISH"), "hard_swish", NoAttrs(), 1),
    (b.convert(source=("int32", 0.1, 0), target=("int16", 0.2, 0)), "quantize", NoAttrs(), 1),
    (b.convert(target=("float32", None, 0)), "dequantize", NoAttrs(), 1),
    (b.mean(axes=(-1, 1, 3), keep_dims=True), "mean", Mean((1, 3), True), 1),
    (b.pad(), "pad", Pad((0, 1, 2, 0), (0, 2, 1, 0)), 1),
    (b.pad(value=-7), "pad", Pad((0, 1, 2, 0), (0, 2, 1, 0), -7), 1),
    (b.pad(value=0.5, dtype="float32"), "pad", Pad((0, 1, 2, 0), (0, 2, 1, 0), 0.5), 1),
    (b.concatenation(axis=-1), "concatenation", Concatenation(3), 2),
    (b.split(axis=-1), "split", Split(3, (2, 2, 2)), 1),
    (b.split(sizes=(1, 2, 3), by_size=True), "split", Split(3, (1, 2, 3)), 1),
    (b.slice_(), "strided_slice", StridedSlice((0, 1, 2, 0), (1, 1, 1, 1), (1, 4, 6, 3)), 1),
    (b.strided_slice(), "strided_slice", StridedSlice((0, 1, 0, 0), (1, 2, 1, 1), (1, 2, 8, 3)), 1),
    (
        b.strided_slice(
            begin=(9, -2, -1), end=(9, 0, 0), strides=(1, -2, 1), output=(3, 3), begin_mask=1,
            end_mask=1 | 2, shrink_axis_mask=1 | 4,
        ),
        "strided_slice",
        StridedSlice((0, 4, 7, 0), (1, -2, 1, 1), (1, 3, 1, 3), (0, 2)),
        1,
    ),
    (b.transpose(permutation=(0, -1, 1, 2)), "transpose", Transpose((0, 3, 1, 2)), 1),
    (b.reshape(target=(3, -1)), "reshape", Reshape((3, 20)), 1),
    (b.resize(align_corners=True), "resize_bilinear", Resize((7, 9), True, False), 1),
    (b.resize("RESIZE_NEAREST_NEIGHBOR", half_pixel_centers=True), "resize_nearest",
     Resize((7, 9), False, True), 1),
    (b.svdf(), "svdf", Svdf(2, "relu"), 5),
]  # fmt: skip


@pytest.mark.parametrize(("model", "op", "attrs", "operands"), CASES)
def test_attributes(model: bytes, op: str, attrs: object, operands: int) -> None:
    node = only_node(model)
    assert (node.op, node.attrs, len(node.inputs)) == (op, attrs, operands)


@pytest.mark.parametrize(
    "model",
    [model for model, _, attrs, _ in CASES if not (isinstance(attrs, Conv2D) and attrs == Conv2D())]
    + [b.conv2d(dtype=dtype) for dtype in ("int8", "uint8", "int16", "float32")]
    + [b.lstm(), b.lstm(dtype="float32", batch=2, time_major=True), b.svdf(batch=2)],
)
def test_as_tflite_says(model: bytes) -> None:
    assert_as_tflite_says(verify(read_tflite(model)), model, {})


def test_transpose_conv_operands_are_put_in_order() -> None:
    node = only_node(b.transpose_conv())
    graph = read_tflite(b.transpose_conv())
    assert [graph.tensors[i].shape for i in node.operands] == [(1, 4, 4, 3), (4, 3, 3, 3), (4,)]


def test_transpose_conv_with_the_output_shape_as_an_input(shared: Path) -> None:
    graph = read_tflite(shared / "op_tests/seanet/transpose_conv/transpose_conv0.tflite")
    assert graph.inputs == (0, 2)
    assert graph.nodes[0].attrs.output_shape == (1, 3, 12, 64)
    assert {i: v.tolist() for i, v in graph.fixed_inputs.items()} == {0: [1, 3, 12, 64]}
    x = np.zeros((1, 1, 5, 64), np.int16)
    check_inputs(graph, [np.array([1, 3, 12, 64], np.int32), x])
    with pytest.raises(InputError) as caught:
        check_inputs(graph, [np.array([1, 3, 13, 64], np.int32), x])
    assert str(caught.value) == (
        f"input {graph.tensors[0].name!r} must be [1, 3, 12, 64], the value that the model was "
        "compiled for, not [1, 3, 13, 64]"
    )


def test_lstm_keeps_its_input_positions() -> None:
    graph = verify(read_tflite(b.lstm(batch=2, units=3, depth=4)))
    (node,) = graph.nodes
    assert len(node.inputs) == 24
    assert only_node(b.lstm(dtype="float32")).attrs.intermediates == ()
    left_out = {9, 10, 11, 16, 17, 20, 21, 22, 23}
    assert {i for i, index in enumerate(node.inputs) if index is None} == left_out
    assert [graph.input(node, i).variable for i in (18, 19)] == [True, True]
    assert node.attrs.intermediates == (None, None, None, None, (1 / 128, 0))
    assert graph.tensors[node.outputs[0]].shape == (2, 5, 3)


def test_shapes_without_a_shape_operand() -> None:
    model = ModelBuilder()
    x = model.tensor((1, 2, 1, 3), "int32")
    reshaped, squeezed, all_squeezed, expanded = (
        model.tensor(shape, "int32") for shape in ((6, 1), (2, 1, 3), (2, 3), (1, 2, 1, 3, 1))
    )
    model.node("RESHAPE", [x], [reshaped], new_shape=(-1, 1))
    model.node("SQUEEZE", [x], [squeezed], squeeze_dims=(-4,))
    model.node("SQUEEZE", [x], [all_squeezed])
    model.node("EXPAND_DIMS", [x, model.constant(-1)], [expanded])
    graph = verify(read_tflite(model.build([x], [reshaped, squeezed, all_squeezed, expanded])))
    assert [node.op for node in graph.nodes] == ["reshape"] * 4
    shapes = [node.attrs.shape for node in graph.nodes]
    assert shapes == [(6, 1), (2, 1, 3), (2, 3), (1, 2, 1, 3, 1)]


def test_scalar_reshapes() -> None:
    model = ModelBuilder()
    x, y, z = model.tensor((1, 1), "int32"), model.tensor((), "int32"), model.tensor((), "int32")
    model.node("RESHAPE", [x, model.tensor((0,), "int32")], [y])  # an empty buffer
    model.node("RESHAPE", [x, model.constant([0])], [z])  # as old converters write a scalar
    graph = verify(read_tflite(model.build([x], [y, z])))
    assert [node.attrs.shape for node in graph.nodes] == [(), ()]


def test_int4_weights_are_unpacked() -> None:
    model = ModelBuilder()
    x, y = model.tensor((1, 3), scale=0.1), model.tensor((1, 1), scale=0.1)
    packed = bytes([0x8 | 0x7 << 4, 0xF])  # -8, 7, -1: the lower nibble first
    weights = model.tensor((1, 3), "int4", scale=0.5, data=packed)
    model.node("FULLY_CONNECTED", [x, weights, None], [y], version=10)
    graph = verify(read_tflite(model.build([x], [y])))
    assert graph.tensors[weights].dtype == "int8"
    assert graph.tensors[weights].data.tolist() == [[-8, 7, -1]]
    assert graph.nodes[0].inputs == (x, weights)


def test_signatures() -> None:
    model = ModelBuilder()
    x, y = model.tensor((1, 2), "float32"), model.tensor((1, 2), "float32")
    model.node("TANH", [x], [y])
    model.signature("serving_default", {"image": x}, {"scores": y})
    graph = read_tflite(model.build([x], [y]))
    assert graph.signatures == {
        "serving_default": {"inputs": {"image": x}, "outputs": {"scores": y}}
    }


def test_unquantized_zero_points_default_to_zero_and_scales_are_broadcast() -> None:
    graph = read_tflite(b.conv2d(filters=4))
    weights = graph.input(graph.nodes[0], 1)
    assert weights.quantization.scales.shape == weights.quantization.zero_points.shape == (4,)


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        (b.conv2d(stride=(2, 2)), {0: (3, 9, 6, 3)}),
        (b.pool2d(padding="SAME"), {0: (2, 5, 7, 3)}),
        (b.strided_slice(end=(1, -1, 8, 3), output=(1, 2, 8, 3), end_mask=1), {0: (2, 9, 8, 3)}),
        (b.reshape(target=(-1, 60)), {0: (4, 4, 5, 3)}),
        (b.arithmetic(other=(3,), constant=True), {0: (2, 1, 2, 3)}),
        (b.split(), {0: (2, 1, 1, 9)}),
        (b.fully_connected((1, 16)), {0: (7, 16)}),
    ],
)
def test_input_shapes(model: bytes, sizes: dict[int, tuple[int, ...]]) -> None:
    graph = verify(read_tflite(model, sizes))
    assert_as_tflite_says(graph, model, {index: list(size) for index, size in sizes.items()})


def test_paddings_follow_the_input_shape() -> None:
    wide = read_tflite(b.conv2d(stride=(2, 2)), {0: (1, 9, 8, 3)}).nodes[0].attrs
    assert wide == Conv2D((2, 2), (1, 1), Padding(1, 1, 0, 1))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({0: (1, 8, 8, 5)},
         "model can't take the input shapes 0: [1, 8, 8, 5]: node 0 (CONV_2D): "
         "weights of shape [4, 3, 3, 3] don't fit 5 input channels"),
        ({0: (1, 0, 8, 3)}, "input 0 can't have the shape [1, 0, 8, 3]"),
        ({1: (4, 3, 3, 3)}, "tensor 1 is not an input; the inputs are (0,)"),
    ],
)  # fmt: skip
def test_input_shapes_that_do_not_fit(shapes: dict[int, tuple[int, ...]], message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_tflite(b.conv2d(), shapes)
    assert str(caught.value) == message
