"""Models of one operator on numbers of any rank and type, operands and output as given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from flatbuffers import flexbuffers
from tflite_writer import ModelBuilder

Spec = tuple[Any, ...]  # shape, dtype and, if it is quantized, scale and zero point


def general(
    op: str,
    operands: list[Spec | np.ndarray | Constant],
    outputs: Spec,
    options: str | None = None,
    **named: Any,
) -> bytes:
    """`op` of operands, an array is a constant; one output. `options` is the table of `named`."""
    model = ModelBuilder()
    inputs, indices = [], []
    for operand in operands:
        if isinstance(operand, np.ndarray):
            indices.append(model.constant(operand, operand.dtype.name))
        elif isinstance(operand, Constant):
            indices.append(operand.add(model))
        else:
            indices.append(_tensor(model, operand))
            inputs.append(indices[-1])
    made = [_tensor(model, outputs)]
    model.node(op, indices, made, options_type=options, **named)
    return model.build(inputs, made)


@dataclass(frozen=True)
class Constant:
    """A quantized constant, its numbers drawn."""

    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int

    def add(self, model: ModelBuilder) -> int:
        limits = np.iinfo(self.dtype)
        values = np.random.default_rng(5).integers(
            limits.min, limits.max, self.shape, self.dtype, endpoint=True
        )
        return model.constant(values, self.dtype, scale=self.scale, zero_point=self.zero_point)


def gathered(
    op: str,
    shape: tuple[int, ...],
    indices: tuple[int, ...],
    axis: int = 0,
    data: np.ndarray | None = None,
) -> bytes:
    """Slices of x, or of the constant `data`, by indices 0 and 1 that come as true and false."""
    model = ModelBuilder()
    chosen, places = model.tensor(indices, "bool"), model.tensor(indices, "int32")
    x = model.tensor(shape, *Q) if data is None else model.constant(data)
    model.node("CAST", [chosen], [places])
    if op == "GATHER":
        answer = shape[:axis] + indices + shape[axis + 1 :]
        named = {"options_type": "GatherOptions", "axis": axis}
    else:
        answer, named = indices[:-1] + shape[indices[-1] :], {}
    made = model.tensor(answer, *(Q if data is None else ("int32",)))
    model.node(op, [x, places], [made], **named)
    return model.build([chosen] if data is not None else [x, chosen], [made])


def hybrid(
    op: str,
    shape: tuple[int, ...],
    weights: tuple[int, ...],
    per_channel: bool = False,
    asymmetric: bool = False,
    activation: str = "NONE",
) -> bytes:
    """A layer of float numbers with int8 weights and a bias; convolutions are SAME, stride 1."""
    model, rng = ModelBuilder(), np.random.default_rng(11)
    axis = 3 if op == "DEPTHWISE_CONV_2D" else 0
    filters = weights[axis]
    scales = rng.uniform(0.001, 0.02, filters if per_channel else 1).astype(np.float32)
    values = rng.integers(-127, 128, weights).astype(np.int8)
    own: Any = ([float(s) for s in scales], [0] * filters) if per_channel else (float(scales[0]), 0)
    x = model.tensor(shape, F)
    taps = model.tensor(weights, "int8", *own, axis, data=values)
    bias = model.constant(rng.normal(size=filters).astype(np.float32), F)
    y = model.tensor((*shape[:-1], filters), F)
    named: dict[str, Any] = {"fused_activation_function": activation}
    if op == "FULLY_CONNECTED":
        named |= {"asymmetric_quantize_inputs": asymmetric, "version": 9}
    else:
        steps = ("stride_h", "stride_w", "dilation_h_factor", "dilation_w_factor")
        named |= dict.fromkeys(steps, 1) | {"padding": 0, "version": 5}
    if axis:
        named |= {"depth_multiplier": filters // shape[-1], "version": 6}
    model.node(op, [x, taps, bias], [y], **named)
    return model.build([x], [y])


def int4_weights(op: str, shape: tuple[int, ...], weights: tuple[int, ...]) -> bytes:
    """An int8 layer whose weights have four bits, two of them in a byte of the file."""
    model, rng = ModelBuilder(), np.random.default_rng(13)
    axis = 3 if op == "DEPTHWISE_CONV_2D" else 0
    count, filters = math.prod(weights), weights[axis]
    nibbles = rng.integers(0, 16, count + count % 2).astype(np.uint8)
    packed = (nibbles[::2] | nibbles[1::2] << 4).astype(np.uint8)
    slices = 1 if op == "FULLY_CONNECTED" else filters  # TFLite has no other kernel
    scales = [float(s) for s in rng.uniform(0.01, 0.05, slices).astype(np.float32)]
    x = model.tensor(shape, *Q)
    taps = model.tensor(weights, "int4", scales, [0] * slices, axis, data=packed.tobytes())
    sums = rng.integers(-200, 200, filters).astype(np.int32)
    bias_scales = [Q[1] * scale for scale in scales]
    bias = model.constant(sums, scale=bias_scales, zero_point=[0] * slices)
    y = model.tensor((*shape[:-1], filters), "int8", 0.2, 3)
    if op == "FULLY_CONNECTED":
        model.node(op, [x, taps, bias], [y], version=9)
        return model.build([x], [y])
    steps = ("stride_h", "stride_w", "dilation_h_factor", "dilation_w_factor")
    named: dict[str, Any] = dict.fromkeys(steps, 1) | {"padding": 0}
    if axis:
        named["depth_multiplier"] = weights[3] // shape[3]
    model.node(op, [x, taps, bias], [y], version=6, **named)
    return model.build([x], [y])


def weights_of_int8(per_channel: bool) -> bytes:
    """A float TRANSPOSE_CONV whose weights stand in the file as int8, as converters write it: there
    is no float kernel with int8 weights."""
    model, rng = ModelBuilder(), np.random.default_rng(14)
    slices, shape = 4 if per_channel else 1, (4, 3, 3, 2)
    scales = [float(s) for s in rng.uniform(0.01, 0.05, slices).astype(np.float32)]
    x, y = model.tensor((1, 3, 4, 2), F), model.tensor((1, 6, 8, 4), F)
    values = rng.integers(-127, 128, shape).astype(np.int8)
    stored = model.tensor(shape, "int8", scales, [0] * slices, data=values)
    weights = model.tensor(shape, F)
    model.node("DEQUANTIZE", [stored], [weights])
    named = {"padding": "SAME", "stride_h": 2, "stride_w": 2}
    model.node("TRANSPOSE_CONV", [model.constant((1, 6, 8, 4)), weights, x], [y], **named)
    return model.build([x], [y])


def choice() -> bytes:
    """IF: x + y or x * y, by whether a number is over 0."""
    model = ModelBuilder()
    x, y, number = model.tensor((3, 4), F), model.tensor((3, 4), F), model.tensor((1,), F)
    condition, made = model.tensor((1,), B), model.tensor((3, 4), F)
    branches = []
    for op in ("ADD", "MUL"):
        part = ModelBuilder()
        a, b, answer = (part.tensor((3, 4), F) for _ in range(3))
        part.node(op, [a, b], [answer])
        branches.append(model.part(part, [a, b], [answer]))
    model.node("GREATER", [number, model.constant(np.zeros(1, np.float32), F)], [condition])
    then, other = branches
    model.node(
        "IF", [condition, x, y], [made], options_type="IfOptions",
        then_subgraph_index=then, else_subgraph_index=other,
    )  # fmt: skip
    return model.build([x, y, number], [made])


def circular_buffer(rows: int = 5, **options: int) -> bytes:
    """A convolution over the last rows that came, one an inference, as TFLM's streaming models."""
    model, rng = ModelBuilder(), np.random.default_rng(13)
    x, kept = model.tensor((1, 1, 4, 3), *Q), model.tensor((1, rows, 4, 3), *Q, variable=True)
    model.node(
        "CUSTOM", [x], [kept], custom_code="CIRCULAR_BUFFER",
        custom_options=flexbuffers.Dumps(options) if options else b"",
    )  # fmt: skip
    weights = rng.integers(-127, 128, (2, rows, 2, 3))
    w = model.constant(weights, "int8", scale=[0.01, 0.02], axis=0)
    bias = model.constant(rng.integers(-99, 99, 2), "int32", scale=[0.0005, 0.001], axis=0)
    y = model.tensor((1, 1, 3, 2), "int8", 0.1, 3)
    model.node("CONV_2D", [kept, w, bias], [y], padding="VALID", stride_h=1, stride_w=1)
    return model.build([x], [y])


def detector(
    regular: bool = False, dtype: str = "float32", boxes: int = 60, classes: int = 3, most: int = 8
) -> bytes:
    """TFLite_Detection_PostProcess of boxes, scores with a background, and anchors."""
    model, rng = ModelBuilder(), np.random.default_rng(14)
    quantized = dtype != F
    raw = model.tensor((1, boxes, 4), dtype, *((0.03, 120) if quantized else ()))
    scores = model.tensor((1, boxes, classes + 1), dtype, *((1 / 256, 0) if quantized else ()))
    places = np.concatenate([rng.uniform(0, 1, (boxes, 2)), rng.uniform(0.2, 0.5, (boxes, 2))], 1)
    if quantized:
        anchors = model.constant(np.rint(places * 250), dtype, scale=0.004)
    else:
        anchors = model.constant(places, F)
    made = [model.tensor(shape, F) for shape in ((1, most, 4), (1, most), (1, most), (1,))]
    options = {
        "max_detections": most, "max_classes_per_detection": 1, "detections_per_class": 5,
        "use_regular_nms": regular, "nms_score_threshold": 0.3, "nms_iou_threshold": 0.4,
        "num_classes": classes, "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0,
        "_output_types": [0, 0, 0, 0],
    }  # fmt: skip
    model.node(
        "CUSTOM", [raw, scores, anchors], made, custom_code="TFLite_Detection_PostProcess",
        custom_options=flexbuffers.Dumps(options),
    )  # fmt: skip
    return model.build([raw, scores], made)


def classifier(shape: tuple[int, ...] = (2, 3)) -> bytes:
    """BasicClassifier: four of six numbers, and whether each reaches its threshold."""
    model = ModelBuilder()
    x = model.tensor(shape, "int32")
    places = model.constant(np.array([3, 0, 3, 5]), "int32")
    least = model.constant(np.array([9, -5, 11, 0]), "int32")
    made = [model.tensor((4,), "bool"), model.tensor((4,), "int32")]
    model.node("CUSTOM", [x, places, least], made, custom_code="BasicClassifier")
    return model.build([x], made)


def updated(
    shape: tuple[int, ...],
    part: tuple[int, ...],
    dtype: str,
    first: tuple[int, ...] | None,
    index: str,
) -> bytes:
    """DYNAMIC_UPDATE_SLICE from `first` on, or from where true and false say."""
    model = ModelBuilder()
    spec = Q if dtype == "int8" else (dtype,)
    x, new, y = model.tensor(shape, *spec), model.tensor(part, *spec), model.tensor(shape, *spec)
    inputs = [x, new]
    if first is None:
        inputs.append(model.tensor((len(shape),), B))
        places = model.tensor((len(shape),), index)
        model.node("CAST", inputs[2:], [places])
    else:
        places = model.constant(np.array(first), index)
    model.node("DYNAMIC_UPDATE_SLICE", [x, new, places], [y])
    return model.build(inputs, [y])


def pooled(padding: str, activation: str) -> bytes:
    """L2_POOL_2D of 3 x 2 pixels, two rows apart."""
    rows, columns = (3, 5) if padding == "SAME" else (2, 4)
    return general(
        "L2_POOL_2D", [((2, 5, 5, 19), F)], ((2, rows, columns, 19), F), "Pool2DOptions",
        padding=padding, stride_h=2, stride_w=1, filter_height=3,
        filter_width=2, fused_activation_function=activation,
    )  # fmt: skip


def half_weights() -> bytes:
    """A fully connected layer whose weights stand in the file as float16."""
    model, rng = ModelBuilder(), np.random.default_rng(12)
    x, y = model.tensor((2, 9), F), model.tensor((2, 4), F)
    half = model.constant(rng.normal(size=(4, 9)).astype(np.float16), "float16")
    weights = model.tensor((4, 9), F)
    model.node("DEQUANTIZE", [half], [weights])
    bias = model.constant(rng.normal(size=4).astype(np.float32), F)
    model.node("FULLY_CONNECTED", [x, weights, bias], [y])
    return model.build([x], [y])


def unpack() -> bytes:
    """The three slices of an axis."""
    model = ModelBuilder()
    x = model.tensor((2, 3, 4), *Q)
    made = [model.tensor((2, 4), *Q) for _ in range(3)]
    model.node("UNPACK", [x], made, version=2, options_type="UnpackOptions", num=3, axis=1)
    return model.build([x], made)


def _tensor(model: ModelBuilder, spec: Spec) -> int:
    shape, dtype, *quantization = spec
    return model.tensor(shape, dtype, *quantization)


F, INT, B = "float32", "int32", "bool"
Q = ("int8", 0.05, -5)


def ints(*values: Any) -> np.ndarray:
    return np.array(values, np.int32)


def one(op: str, dtype: str = F, shape: tuple[int, ...] = (2, 3, 5)) -> bytes:
    return general(op, [(shape, dtype)], (shape, dtype))


def two(
    op: str,
    dtype: str = F,
    a: tuple[int, ...] = (2, 3, 5),
    b: tuple[int, ...] = (3, 1),
    answer: str | None = None,
) -> bytes:
    shape = np.broadcast_shapes(a, b)
    return general(op, [(a, dtype), (b, dtype)], (shape, answer or dtype))


def reduced(op: str, dtype: str = F, axes: tuple[int, ...] = (1, -1), keep: bool = False) -> bytes:
    shape = (2, 3, 5, 4)
    counted = {axis % 4 for axis in axes}
    kept = [1 if i in counted else n for i, n in enumerate(shape) if keep or i not in counted]
    operands: list[Spec | np.ndarray | Constant] = [(shape, dtype), np.array(axes, np.int32)]
    return general(op, operands, (kept, dtype), options="ReducerOptions", keep_dims=keep)
