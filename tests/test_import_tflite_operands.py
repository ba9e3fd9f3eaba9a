"""Operands and tables that don't fit together, one sentence each."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import build_tflite as b
import numpy as np
import pytest
import tflite
from tflite_writer import ModelBuilder

from midge.runtime.errors import ModelError, UnsupportedModel
from midge.runtime.importers.tflite import read_tflite


def title(value: object) -> str:
    """A test's name: its message; models and functions have none."""
    return value if isinstance(value, str) else ""


def message(model: bytes) -> str:
    """What the importer says, without the source's name and the remedy."""
    with pytest.raises((ModelError, UnsupportedModel)) as caught:
        read_tflite(model)
    if isinstance(caught.value, UnsupportedModel):
        (refusal,) = caught.value.refusals
        return refusal.why
    return str(caught.value).removeprefix("model: ")


def node(
    op: str, *operands: dict[str, Any] | None, y: dict[str, Any] | None = None, **options: Any
) -> bytes:
    """One operator; operands as the arguments of `ModelBuilder.tensor`, int8 of scale 0.1."""
    model = ModelBuilder()

    def tensor(fields: dict[str, Any]) -> int:
        plain = fields.get("dtype", "int8") in ("float32", "int32", "int64")
        scale = {} if plain else {"scale": 0.1}
        return model.tensor(**{"shape": (1,), **scale, **fields})

    inputs = [None if operand is None else tensor(operand) for operand in operands]
    output = tensor(y or {})
    model.node(op, inputs, [output], **options)
    given = [
        index
        for index, operand in zip(inputs, operands)
        if index is not None and operand is not None and not {"data", "variable"} & operand.keys()
    ]
    return model.build(given, [output])


def numbers(*values: Any, dtype: str = "int32") -> dict[str, Any]:
    data = np.array(values)
    return {"shape": data.shape, "dtype": dtype, "data": data}


IMAGE, KERNEL = {"shape": (1, 4, 4, 2)}, {"shape": (3, 2, 2, 2)}
WINDOW = {"stride_h": 1, "stride_w": 1, "padding": "VALID"}
ROW, UNITS = {"shape": (1, 4)}, {"shape": (3, 4)}
FEATURES, TIMES = {"shape": (4, 8)}, {"shape": (4, 5), "dtype": "int16"}
X, MEMORY = {"shape": (1, 8)}, {"shape": (1, 20), "dtype": "int16", "variable": True}

CASES: list[tuple[bytes, str]] = [
    (node("CONV_2D", IMAGE, {**KERNEL, "scale": None}, **WINDOW),
     "node 0 (CONV_2D): the weights of type int8 have no scale"),
    (node("CONV_2D", IMAGE, {**KERNEL, "scale": [1, 2], "axis": 1}, **WINDOW),
     "node 0 (CONV_2D): the weights have a scale for each slice of axis 1, it must be axis 0"),
    (node("CONV_2D", IMAGE, KERNEL, {"shape": (3,), "dtype": "int64"}, **WINDOW),
     "the bias must be int32, not int64"),
    (node("CONV_2D", {**IMAGE, "scale": None}, KERNEL, **WINDOW),
     "node 0 (CONV_2D): tensor 0 of type int8 has no scale"),
    (node("CONV_2D", {**IMAGE, "scale": [1, 2], "axis": 3}, KERNEL, **WINDOW),
     "tensor 0 has a scale for each slice, which only weights may"),
    (node("DEPTHWISE_CONV_2D", IMAGE, {"shape": (1, 2, 2, 3)}, **WINDOW),
     "node 0 (DEPTHWISE_CONV_2D): weights of shape [1, 2, 2, 3] don't fit 2 input channels"),
    (node("TRANSPOSE_CONV", numbers(1, 4, 4, 3), {"shape": (3, 2, 2, 5)}, IMAGE, **WINDOW),
     "node 0 (TRANSPOSE_CONV): weights of shape [3, 2, 2, 5] don't fit 2 input channels"),
    (node("TRANSPOSE_CONV", {"shape": (3,), "dtype": "int32"}, KERNEL, IMAGE, **WINDOW),
     "node 0 (TRANSPOSE_CONV): the output shape must be int32 [4], not int32 [3]"),
    (node("FULLY_CONNECTED", ROW, UNITS, None, weights_format="SHUFFLED4x16INT8"),
     "its weights are shuffled"),
    (node("FULLY_CONNECTED", ROW, {"shape": (3, 4, 1)}, None),
     "node 0 (FULLY_CONNECTED): the weights must have 2 axes, not 3"),
    (node("SOFTMAX", {"shape": ()}, beta=1.0), "node 0 (SOFTMAX): softmax of a scalar"),
    (node("QUANTIZE", {"dtype": "int64"}), "it converts int64 to int8"),
    (node("QUANTIZE", {"dtype": "int32"}),
     "node 0 (QUANTIZE): tensor 0 of type int32 has no scale"),
    (node("TRANSPOSE", ROW, numbers(0.0, 1.0, dtype="float32")),
     "node 0 (TRANSPOSE): the permutation must be int32 or int64, not float32"),
    (node("TRANSPOSE", ROW, numbers(0, 1, 2)),
     "node 0 (TRANSPOSE): the permutation must be 2 numbers, not 3"),
    (node("PADV2", ROW, numbers((0, 0), (0, 1)), {}),
     "its padding value is computed while the model runs"),
    (node("PADV2", ROW, numbers((0, 0), (0, 1)), numbers(0)),
     "node 0 (PADV2): the padding value must be one int8, not int32"),
    (node("PADV2", ROW, numbers((0, 0), (0, 1)), {"data": np.ones(1), "scale": 0.2}),
     "its padding value has another scale than its input"),
    (node("STRIDED_SLICE", ROW, *(numbers(0, 1),) * 3, offset=True),
     "its end is an offset from its begin"),
    (node("STRIDED_SLICE", ROW, numbers(0, 1), numbers(1), numbers(1, 1)),
     "node 0 (STRIDED_SLICE): begin, end and strides must be 2 numbers each"),
    (node("RESIZE_BILINEAR", IMAGE, numbers(3, 3), align_corners=True, half_pixel_centers=True),
     "node 0 (RESIZE_BILINEAR): align_corners and half_pixel_centers exclude each other"),
    (node("RESHAPE", ROW, options_type="ReshapeOptions", new_shape=(1,) * 9),
     "node 0 (RESHAPE): NewShape has 9 numbers, at most 8 are read"),
    (node("SVDF", X, FEATURES, TIMES, None, MEMORY, rank=3),
     "node 0 (SVDF): rank 3 doesn't divide 4 filters"),
    (node("SVDF", X, {"shape": (4, 7)}, TIMES, None, MEMORY, rank=2),
     "node 0 (SVDF): weights [4, 7] and [4, 5] and a state [1, 20] don't fit an input [1, 8]"),
    (node("SVDF", {"shape": (8,)}, FEATURES, TIMES, None, MEMORY, rank=2),
     "node 0 (SVDF): its operands must have 2 axes each, not [1, 2, 2, 2]"),
    (node("SVDF", X, FEATURES, TIMES, None, {"shape": (1, 20), "dtype": "int16"}, rank=2),
     "its state, tensor 3, is not a variable tensor"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "expected"), CASES, ids=title)
def test_operands(model: bytes, expected: str) -> None:
    assert message(model) == expected


def test_missing_options() -> None:
    model = ModelBuilder()
    x, w, y = (model.tensor(s, scale=0.1) for s in ((1, 4, 4, 2), (3, 2, 2, 2), (1, 3, 3, 3)))
    model.node("CONV_2D", [x, w], [y], options_type="AddOptions")
    content = patch(model.build([x, w], [y]), operator, 10, 0, "<B")
    assert message(content) == "node 0 (CONV_2D): its options are missing"


def test_one_split_size_is_what_is_left() -> None:
    model = ModelBuilder()
    x, y, z = (model.tensor(shape, "int32") for shape in ((5, 2), (2, 2), (3, 2)))
    model.node("SPLIT_V", [x, model.constant([2, -1]), model.constant(0)], [y, z])
    assert read_tflite(model.build([x], [y, z])).nodes[0].attrs.sizes == (2, 3)


def test_a_state_of_two_nodes() -> None:
    model = ModelBuilder()
    x, features, times = (model.tensor(s, "float32") for s in ((1, 8), (4, 8), (4, 5)))
    state = model.tensor((1, 20), "float32", variable=True)
    outputs = [model.tensor((1, 4), "float32") for _ in range(2)]
    for y in outputs:
        model.node("SVDF", [x, features, times, None, state], [y], rank=1)
    assert message(model.build([x, features, times], outputs)) == (
        "it shares the variable tensor 3 with another node"
    )


def test_an_output_shape_of_two_nodes() -> None:
    model = ModelBuilder()
    shape, weights = model.tensor((4,), "int32"), model.tensor((3, 2, 2, 2), "float32")
    x = model.tensor((1, 4, 4, 2), "float32")
    outputs = [model.tensor((1, size, size, 3), "float32") for size in (5, 6)]
    for y in outputs:
        model.node("TRANSPOSE_CONV", [shape, weights, x], [y], **WINDOW)
    assert message(model.build([shape, weights, x], outputs)) == (
        "node 1 (TRANSPOSE_CONV): input 0 would have to be two output shapes at once"
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"position": 1, "shape": (3, 5)}, "input 1 must have shape [3, 4], not [3, 5]"),
        ({"position": 18, "shape": (3,)}, "its states must have 2 axes"),
        ({"position": 0, "shape": (5, 4)}, "its input must have 3 axes, not 2"),
        ({"position": 18, "shape": (1, 2)}, "input 6 must have shape [3, 2], not [3, 3]"),
        ({"position": 14, "dtype": "int32"}, "the bias must be float32, not int32"),
    ],
)
def test_lstm_operands(change: dict[str, Any], expected: str) -> None:
    shapes = {0: (1, 5, 4), 18: (1, 3), 19: (1, 3)}
    shapes |= dict.fromkeys((2, 3, 4), (3, 4)) | dict.fromkeys((6, 7, 8), (3, 3))
    shapes |= dict.fromkeys((13, 14, 15), (3,))
    model, inputs = ModelBuilder(), []
    for position in range(24):
        fields = {"shape": shapes.get(position), "variable": position in (18, 19)}
        if change["position"] == position:
            fields |= {name: value for name, value in change.items() if name != "position"}
        known = fields["shape"] is not None
        inputs.append(model.tensor(**{"dtype": "float32", **fields}) if known else None)
    y = model.tensor((1, 5, 3), "float32")
    model.node("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [y], fused_activation_function="TANH")
    given = [i for k, i in enumerate(inputs) if i is not None and k not in (18, 19)]
    assert message(model.build(given, [y])).endswith(expected)


@pytest.mark.parametrize(
    ("scales", "expected"),
    [
        ((None, None), "it has 2 intermediates, 5 are needed"),
        ((None,) * 5, "its hidden value, the last intermediate, has no scale"),
    ],
)
def test_lstm_intermediates(
    monkeypatch: pytest.MonkeyPatch, scales: tuple[float | None, ...], expected: str
) -> None:
    write = ModelBuilder.node

    def other(self: ModelBuilder, *operands: Any, **options: Any) -> None:
        middle = [self.tensor((0,), "int8", scale) for scale in scales]
        write(self, *operands, **{**options, "intermediates": middle})

    monkeypatch.setattr(ModelBuilder, "node", other)
    wanted = f"node 0 (UNIDIRECTIONAL_SEQUENCE_LSTM): {expected}"
    assert message(b.lstm()) == wanted


# ---- single numbers of the file ------------------------------------------------------------------


def patch(
    content: bytes, find: Callable[[Any], Any], slot: int, value: int, form: str = "<I"
) -> bytes:
    """The file with one number of one table changed; `slot` is the field's vtable offset."""
    table = find(tflite.Model.GetRootAs(content, 0))._tab
    data = bytearray(content)
    assert table.Offset(slot), "the field is left out, since it has its default"
    struct.pack_into(form, data, table.Pos + table.Offset(slot), value)
    return bytes(data)


def root(model: Any) -> Any:
    return model


def tensor0(model: Any) -> Any:
    return model.Subgraphs(0).Tensors(0)


def operator(model: Any) -> Any:
    return model.Subgraphs(0).Operators(0)


def signed() -> bytes:
    """The signature's input is tensor 1, so that its number is written out."""
    model = ModelBuilder()
    y, x = model.tensor((1,), "float32"), model.tensor((1,), "float32")
    model.node("TANH", [x], [y])
    model.signature("run", {"x": x}, {"y": y})
    return model.build([x], [y])


def two_codes() -> bytes:
    """The first node has the second operator code, so that its number is written out."""
    model = ModelBuilder()
    x, y, z = (model.tensor((1, 4), "float32") for _ in range(3))
    model.node("TANH", [x], [y])
    model.node("RELU", [y], [z])
    return model.build([x], [z])


PATCHES: list[tuple[bytes, Callable[[Any], Any], int, int, str, str]] = [
    (b.softmax(), root, 4, 2, "<I", "the schema version must be 3, not 2"),
    (b.softmax(), tensor0, 6, 77, "<b", "tensor 0 has the unknown type 77"),
    (b.mean(), lambda m: m.Subgraphs(0).Tensors(2), 8, 9, "<I",
     "tensor 2 names buffer 9, the file has 2"),
    (two_codes(), lambda m: m.Subgraphs(0).Operators(1), 4, 5, "<I",
     "node 1 has operator code 5, the file has 2"),
    (b.softmax(), operator, 10, 250, "<B",
     "node 0 (SOFTMAX): it has options of the unknown type 250"),
    (signed(), lambda m: m.SignatureDefs(0).Inputs(0), 6, 99, "<I",
     "signature 'run' names tensor 99, the model has 2 tensors"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "find", "slot", "value", "form", "expected"), PATCHES, ids=title
)
def test_single_numbers(
    content: bytes, find: Callable[[Any], Any], slot: int, value: int, form: str, expected: str
) -> None:
    assert message(patch(content, find, slot, value, form)) == expected


@pytest.mark.parametrize("op", ["PAD", "STRIDED_SLICE", "CONCATENATION"])
def test_options_decide_where_the_code_was_left_at_add(op: str) -> None:
    make = {"PAD": b.pad, "STRIDED_SLICE": b.strided_slice, "CONCATENATION": b.concatenation}[op]
    expected = read_tflite(make()).nodes[0]

    def as_add(self: ModelBuilder, code: str, *operands: Any, **options: Any) -> None:
        write(self, "ADD", *operands, **{**options, "options_type": OPTIONS[op]})

    write, ModelBuilder.node = ModelBuilder.node, as_add  # type: ignore[method-assign]
    try:
        content = make()
    finally:
        ModelBuilder.node = write  # type: ignore[method-assign]
    node = read_tflite(content).nodes[0]
    assert (node.op, node.attrs) == (expected.op, expected.attrs)


OPTIONS = {
    "PAD": "PadOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "CONCATENATION": "ConcatenationOptions",
}
