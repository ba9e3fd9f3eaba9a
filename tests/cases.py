"""The table that every backend runs: one line a case, bits equal, no tolerance.

A case is a `.tflite` or `.onnx` model; the operator cases are written on the spot by `build_tflite`
and `build_onnx`, the model cases are read from the repository or found by name (and skipped, with
the reason, where they can't be had).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial

import build_binary as bits
import build_onnx as onnx
import build_signal as signal
import build_tflite as b
import general_cases
import pytest

from midge.runtime.errors import ModelError
from midge.runtime.options import Options
from midge.tools.zoo import catalogue, find_model


@dataclass(frozen=True)
class Case:
    """`make` gives the model file's bytes; `small` ones run on slow backends too.

    TFLite's own kernels can't run those that aren't `builtin`, or not so: other tests state their
    answers.
    """

    name: str
    make: Callable[[], bytes]
    small: bool = True
    builtin: bool = True
    winograd: bool = False

    def __str__(self) -> str:
        return self.name

    def options(self, given: Options | None = None) -> Options:
        """How to compile it; `given` are a backend's."""
        return replace(given or Options(), winograd=self.winograd)

    def model(self) -> bytes:
        try:
            return self.make()
        except ModelError as error:
            pytest.skip(str(error))


def case(name: str, make: Callable[..., bytes], **arguments: object) -> Case:
    return Case(name, partial(make, **arguments))


def apart(name: str, make: Callable[..., bytes], **arguments: object) -> Case:
    return Case(name, partial(make, **arguments), builtin=False)


def other(name: str, make: Callable[[], bytes]) -> Case:
    """A model that is no `.tflite`."""
    return Case(name, cache(make), builtin=False)


def model(name: str, small: bool = False) -> Case:
    return Case(name, partial(_read, name), small)


def _read(name: str) -> bytes:
    content, why = _fetch(name)
    if content is None:
        raise ModelError(name, why)
    return content


@cache
def _fetch(name: str) -> tuple[bytes | None, str]:
    """The model's bytes, or why they can't be had: asked once, not for every backend."""
    try:
        return find_model(name).read_bytes(), ""
    except ModelError as error:
        return None, str(error)


OPERATORS = [
    case("conv2d", b.conv2d),
    case("conv2d_valid_stride2", b.conv2d, shape=(1, 9, 7, 3), stride=(2, 2), padding="VALID"),
    case("conv2d_relu6", b.conv2d, activation="RELU6"),
    case("conv2d_dilated", b.conv2d, shape=(1, 9, 11, 1), dilation=(2, 3)),
    case("conv2d_1x1_17", b.conv2d, shape=(1, 5, 3, 17), filters=17, kernel=(1, 1)),
    case("conv2d_3x3_of_8", b.conv2d, shape=(1, 5, 7, 8), filters=12),
    case("conv2d_stride_over_kernel", b.conv2d, kernel=(1, 2), stride=(3, 3)),
    case("conv2d_kernel_over_width", b.conv2d, shape=(1, 4, 2, 3), kernel=(3, 5)),
    case("conv2d_per_tensor", b.conv2d, per_channel=False),
    case("conv2d_batch", b.conv2d, shape=(3, 5, 4, 2)),
    case("conv2d_uint8", b.conv2d, dtype="uint8", per_channel=False, activation="RELU"),
    case("conv2d_int16", b.conv2d, dtype="int16"),
    case("conv2d_float32", b.conv2d, dtype="float32"),
    replace(
        apart("winograd_conv2d", b.conv2d, shape=(2, 9, 13, 16), filters=20, dtype="float32"),
        winograd=True,
    ),
    case("depthwise_conv2d", b.depthwise_conv2d),
    case("depthwise_conv2d_5x5_stride2", b.depthwise_conv2d, kernel=(5, 5), stride=(2, 2)),
    case("depthwise_conv2d_multiplier", b.depthwise_conv2d, multiplier=4, shape=(1, 6, 5, 1)),
    case("depthwise_conv2d_uint8", b.depthwise_conv2d, dtype="uint8", per_channel=False),
    case("depthwise_conv2d_int16", b.depthwise_conv2d, dtype="int16"),
    case("transpose_conv", b.transpose_conv),
    case("transpose_conv_valid", b.transpose_conv, padding="VALID", kernel=(2, 5)),
    case("transpose_conv_int16", b.transpose_conv, dtype="int16"),
    case("fully_connected", b.fully_connected, shape=(1, 33), units=7),
    case("fully_connected_batch", b.fully_connected, shape=(4, 16), activation="RELU"),
    case("fully_connected_no_bias", b.fully_connected, bias=False),
    case("fully_connected_uint8", b.fully_connected, dtype="uint8"),
    case("fully_connected_int16", b.fully_connected, dtype="int16"),
    case("average_pool2d", b.pool2d),
    case("average_pool2d_same", b.pool2d, window=(3, 2), stride=(2, 1), padding="SAME"),
    case("average_pool2d_uint8", b.pool2d, window=(3, 3), padding="SAME", dtype="uint8"),
    case("average_pool2d_int16", b.pool2d, dtype="int16"),
    case("max_pool2d", b.pool2d, op="MAX_POOL_2D", window=(3, 3), padding="SAME"),
    case("max_pool2d_relu", b.pool2d, op="MAX_POOL_2D", activation="RELU"),
    case("add", b.arithmetic),
    case("add_relu", b.arithmetic, activation="RELU"),
    case("add_broadcast", b.arithmetic, other=(1, 1, 4, 1)),
    case("add_constant", b.arithmetic, other=(3,), constant=True),
    case("add_int16", b.arithmetic, dtype="int16"),
    case("add_uint8", b.arithmetic, dtype="uint8"),
    case("sub", b.arithmetic, op="SUB"),
    case("sub_int16", b.arithmetic, op="SUB", other=(1, 1, 1, 1), dtype="int16"),
    case("mul", b.arithmetic, op="MUL"),
    case("mul_scalar", b.arithmetic, op="MUL", other=(), constant=True),
    case("mul_int16", b.arithmetic, op="MUL", dtype="int16"),
    case("softmax", b.softmax),
    case("softmax_rows", b.softmax, shape=(3, 17)),
    case("softmax_uint8", b.softmax, dtype="uint8"),
    case("softmax_int16", b.softmax, dtype="int16"),
    case("softmax_float32", b.softmax, dtype="float32"),
    case("logistic", b.unary, op="LOGISTIC"),
    case("logistic_float32", b.unary, op="LOGISTIC", dtype="float32"),
    case("tanh", b.unary, op="TANH"),
    case("hard_swish", b.unary, op="HARD_SWISH"),
    case("sign_float32", b.unary, op="SIGN", dtype="float32"),
    case("relu", b.unary, op="RELU"),
    case("relu6_requantized", b.unary, op="RELU6", output=(6 / 255, -128)),
    case("leaky_relu", b.unary, op="LEAKY_RELU", alpha=0.1),
    case("leaky_relu_int16", b.unary, op="LEAKY_RELU", alpha=0.1, dtype="int16"),
    case("requantize", b.convert),
    case("quantize_float", b.convert, source=("float32", None, 0)),
    case("dequantize", b.convert, target=("float32", None, 0)),
    case("mean", b.mean),
    case("mean_keep_rescaled", b.mean, keep_dims=True, output=(0.03, 4)),
    case("mean_one_axis", b.mean, axes=(1,)),
    case("pad", b.pad),
    case("pad_int16", b.pad, dtype="int16"),
    case("pad_value", b.pad, value=9),
    case("pad_value_uint8", b.pad, value=9, dtype="uint8"),
    case("concatenation", b.concatenation),
    case("concatenation_rows", b.concatenation, shapes=((1, 2, 3, 4), (1, 3, 3, 4)), axis=1),
    case("split", b.split),
    case("split_rows", b.split, shape=(1, 5, 2, 3), axis=1, sizes=(2, 3), by_size=True),
    case("strided_slice", b.strided_slice),
    case("slice", b.slice_),
    case("transpose", b.transpose),
    case("reshape", b.reshape),
    case("resize_bilinear", b.resize),
    case("resize_bilinear_uint8", b.resize, dtype="uint8"),
    case("resize_bilinear_half_pixel", b.resize, half_pixel_centers=True),
    case("resize_nearest", b.resize, op="RESIZE_NEAREST_NEIGHBOR", align_corners=True),
    case("lstm", b.lstm),
    case("lstm_time_major", b.lstm, batch=2, time_major=True),
    case("svdf", b.svdf),
    apart("signal_front_end", signal.front_end, size=30, step=20, length=40, channels=6, stacked=2),
    apart("bconv2d", bits.bconv2d),
    apart("bconv2d_zero_padding", bits.bconv2d, pad_value=0, stride=(2, 1), activation="relu"),
    apart("bconv2d_dilated_bits", bits.bconv2d, dilation=(1, 2), bitpacked=True),
    apart(
        "bconv2d_groups_int8", bits.bconv2d, shape=(1, 5, 4, 64), filters=6, groups=2, dtype="int8"
    ),
    apart("bconv2d_int8_relu6", bits.bconv2d, padding="VALID", activation="relu6", dtype="int8"),
    other("onnx_residual_qdq", onnx.qdq_residual),
    other("onnx_separable_qdq", onnx.qdq_separable),
    apart("larq_add", bits.larq_add),
    apart("larq_add_with_rests", bits.larq_add, shapes=((1, 7, 7, 19), (19,))),
    apart("bmax_pool2d", bits.bmax_pool2d),
    apart("bmax_pool2d_int8", bits.bmax_pool2d, padding="VALID", dtype="int8"),
]

MODELS = [
    model("digits", small=True),
    *(model(name) for name in catalogue()),
]
BINARIZED = Case("digits_bnn", partial(_read, "digits_bnn"), builtin=False)
# The same operators in their other types, for the kernels in C: each is compiled and run for each
# core. On other backends each operator's own tests draw them.
FLOAT = ("float32", None, 0)
TYPES = [
    *(
        case(f"{op.lower()}_{name}_{dtype}", b.arithmetic, op=op, other=other, dtype=dtype)
        for op in ("ADD", "MUL")
        for name, other in (("same", None), ("row", (1, 1, 4, 1)), ("grid", (1, 4, 1, 1)))
        for dtype in ("int8", "int16", "float32", "int32")
    ),
    *(
        case(f"{op.lower()}_{dtype}", b.unary, op=op, dtype=dtype)
        for op, dtypes in (
            ("LOGISTIC", ("int16",)),
            ("TANH", ("int16",)),
            ("HARD_SWISH", ("float32",)),
            ("RELU", ("int16", "float32")),
            ("LEAKY_RELU", ("float32",)),
        )
        for dtype in dtypes
    ),
    *(
        case(f"{name}_{dtype}", make, dtype=dtype, **arguments)
        for name, make, arguments in (
            ("average_pool2d_3x3", b.pool2d, {"padding": "SAME", "window": (3, 3)}),
            ("max_pool2d", b.pool2d, {"op": "MAX_POOL_2D"}),
            ("mean", b.mean, {}),
            ("resize_bilinear", b.resize, {}),
        )
        for dtype in ("int16", "float32")
    ),
    *(
        case(f"{make.__name__}_float32", make, dtype="float32")
        for make in (b.depthwise_conv2d, b.fully_connected, b.transpose_conv, b.svdf)
    ),
    *(
        case(f"quantize_{source[0]}_{target[0]}", b.convert, source=source, target=target)
        for source, target in (
            (FLOAT, ("int16", 0.001, 0)),
            (FLOAT, ("uint8", 0.02, 100)),
            (("int16", 0.001, 0), FLOAT),
            (("uint8", 0.02, 100), FLOAT),
            (("int16", 0.001, 0), ("int8", 0.05, -5)),
            (("int16", 0.001, 0), ("int16", 0.002, 0)),
            (("int16", 0.001, 0), ("int32", 0.0001, 0)),
            (("int32", 0.0001, 0), ("int8", 0.05, -5)),
            (("int32", 0.0001, 0), ("int16", 0.001, 0)),
        )
    ),
    # TFLite's own kernel doesn't widen; TFLM's does.
    apart("quantize_int8_int16", b.convert, target=("int16", 0.001, 0)),
    apart("quantize_int8_int32", b.convert, target=("int32", 0.0001, 0)),
    # Step by step: TFLM's bits in int16, and in float32 up to its C library's (test_lstm.py).
    apart("lstm_int16", b.lstm, dtype="int16", batch=2, cell_clip=0.1),
    apart("lstm_float32", b.lstm, dtype="float32", time_major=True),
    case("concatenation_batch", b.concatenation, shapes=((1, 2, 3, 4), (2, 2, 3, 4)), axis=0),
    case("pad_flat", b.pad, shape=(3, 4, 2), pads=((1, 0), (2, 1), (0, 1))),
    case("fully_connected_wide", b.fully_connected, shape=(1, 512), units=8),
]

# Operators on numbers of any rank and type, and those of audio front ends.
GENERAL = [
    *(
        Case(name, make, builtin=name not in general_cases.OWN)
        for name, make in general_cases.CASES
    ),
    *(apart(f"signal_{make.__name__}", make) for make in signal.OPERATORS),
    *(
        apart(f"signal_{make.__name__}_{length}_{dtype}", make, length=length, dtype=dtype)
        for make in (signal.rfft, signal.irfft)
        for length, dtype in ((60, "int16"), (60, "int32"), (72, "float32"))
    ),
    apart("signal_overlap_add_float32", signal.overlap_add, dtype="float32"),
]
CASES = [*OPERATORS, *MODELS, BINARIZED]
