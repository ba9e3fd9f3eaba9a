"""What the TFLite importer says of files that it can't read: one sentence, never a traceback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import build_general
import build_loops
import build_tflite as b
import flatbuffers
import numpy as np
import pytest
from tflite_writer import ModelBuilder

from midge.runtime.errors import MidgeError, ModelError, Refusal, UnsupportedModel
from midge.runtime.importers.tflite import read_tflite
from midge.runtime.importers.tflite_branches import with_choices
from midge.runtime.importers.tflite_file import Malformed, parse
from midge.runtime.verify import verify


def title(value: object) -> str:
    """A test's name: its message; models and functions have none."""
    return value if isinstance(value, str) else ""


def why_not(source: Any) -> str:
    """The sentence, without the name of the source."""
    with pytest.raises(ModelError) as caught:
        read_tflite(source)
    return str(caught.value).partition(": ")[2]


def refusals(model: bytes) -> tuple[Refusal, ...]:
    with pytest.raises(UnsupportedModel) as caught:
        read_tflite(model)
    return caught.value.refusals


# ---- not a model file ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"TFL3", "not a TFLite file: bytes 4 to 7 must be 'TFL3', not ''"),
        (b"Hello, world", "not a TFLite file: bytes 4 to 7 must be 'TFL3', not 'o, w'"),
        (b"\x08\x07\x12\x04onnx", "not a TFLite file: bytes 4 to 7 must be 'TFL3', not 'onnx'"),
        (b"\x18\0\0\0TFL2", "this is TFLite schema '2', needed is '3'"),
        # tensorflow#115308: the root's offset leads out of the file.
        (b"\x18\0\0\0TFL3", "the file is truncated or damaged: an offset leads out of it"),
        (b"\xff\xff\xff\xffTFL3", "the file is truncated or damaged: an offset leads out of it"),
    ],
)
def test_other_content(content: bytes, message: str) -> None:
    assert why_not(content) == message


def test_files(tmp_path: Path) -> None:
    missing = tmp_path / "missing.tflite"
    with pytest.raises(ModelError) as caught:
        read_tflite(missing)
    assert str(caught.value) == f"{missing}: there is no such file"
    assert why_not(str(tmp_path)) == "this is a directory, not a model file"
    (tmp_path / "text.tflite").write_text("not a model")
    assert why_not(tmp_path / "text.tflite").startswith("not a TFLite file")


def test_every_truncation() -> None:
    model = b.fully_connected((1, 2), 1)
    for size in range(len(model)):
        with pytest.raises(ModelError):
            read_tflite(model[:size])


# ---- structure -----------------------------------------------------------------------------------


def one_node(
    op: str = "TANH",
    inputs: tuple[int | None, ...] = (0,),
    outputs: tuple[int, ...] = (1,),
    graph_inputs: tuple[int, ...] = (0,),
    graph_outputs: tuple[int, ...] = (1,),
    x: dict[str, Any] | None = None,
    y: dict[str, Any] | None = None,
) -> bytes:
    """One operator of tensors 0 and 1, both float32 [1, 4] unless told."""
    model = ModelBuilder()
    for fields in (x, y):
        model.tensor(**{"shape": (1, 4), "dtype": "float32", **(fields or {})})
    model.node(op, inputs, outputs)
    return model.build(graph_inputs, graph_outputs)


DATA = {"data": np.zeros(4)}
STRUCTURE: list[tuple[dict[str, Any], str]] = [
    ({"inputs": (2,)}, "node 0 (TANH): its inputs name tensor 2, the model has 2 tensors"),
    ({"inputs": (-2,)}, "node 0 (TANH): its inputs name tensor -2, the model has 2 tensors"),
    ({"outputs": (9,)}, "node 0 (TANH): its outputs name tensor 9, the model has 2 tensors"),
    ({"outputs": ()}, "node 0 (TANH) has no output"),
    ({"graph_inputs": (7,)}, "the model's inputs name tensor 7, the model has 2 tensors"),
    ({"graph_inputs": (0, 0)}, "a tensor is listed twice among the model's inputs"),
    ({"graph_inputs": ()}, "node 0 (TANH) reads tensor 0 before a node makes it"),
    ({"graph_outputs": (-1,)}, "the model's outputs name tensor -1, the model has 2 tensors"),
    ({"graph_outputs": ()}, "the model has no output"),
    ({"graph_outputs": (0,)}, "output tensor 0 is not made by any node"),
    ({"inputs": (1,)}, "node 0 (TANH) reads tensor 1 before a node makes it"),
    ({"outputs": (0,)}, "node 0 (TANH) writes tensor 0, which has a value already"),
    ({"y": DATA}, "node 0 (TANH) writes tensor 1, which has a value already"),
    ({"x": DATA}, "input tensor 0 is a constant or variable tensor"),
    ({"x": {"variable": True}}, "input tensor 0 is a constant or variable tensor"),
    ({"x": {"shape": (1, 0)}}, "input tensor 0 has no elements"),
    ({"x": {**DATA, "variable": True}}, "tensor 0 is a variable and a constant at once"),
    ({"x": {"shape": (1, -4)}}, "tensor 0 has a negative size in its shape [1, -4]"),
    ({"x": {"shape": (65536, 65536)}},
     "tensor 0 of shape [65536, 65536] has more than 2^31 elements"),
    ({"x": {"shape": (2**31 - 1, 0, 2**31 - 1)}},
     "tensor 0 of shape [2147483647, 0, 2147483647] has more than 2^31 elements"),
    ({"x": {"shape": (1,) * 9}}, "tensor 0 has 9 axes, at most 8 are read"),
    ({"x": {"data": b"12345"}},
     "tensor 0 of type FLOAT32 and shape [1, 4] needs 16 bytes of data, its buffer has 5"),
    ({"x": {"dtype": "int8", "scale": 0.0}},
     "tensor 0 has the scale 0.0; a scale is positive and finite"),
    ({"x": {"dtype": "int8", "scale": float("nan")}},
     "tensor 0 has the scale nan; a scale is positive and finite"),
    ({"x": {"dtype": "int8", "scale": -1.0}},
     "tensor 0 has the scale -1.0; a scale is positive and finite"),
    ({"x": {"dtype": "int8", "scale": [1.0, 2.0], "axis": 1}},
     "tensor 0 of shape [1, 4] has 2 scales along axis 1"),
    ({"x": {"dtype": "int8", "scale": [1.0, 2.0], "axis": 5}},
     "tensor 0 of shape [1, 4] has 2 scales along axis 5"),
    ({"x": {"dtype": "int8", "scale": 1.0, "zero_point": 128}},
     "tensor 0 of type INT8 has a zero point out of its range"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "message"), STRUCTURE)
def test_structure(fields: dict[str, Any], message: str) -> None:
    assert why_not(one_node(**fields)) == message


def test_nodes_out_of_order() -> None:
    model = ModelBuilder()
    x, y, z = (model.tensor((1,), "float32") for _ in range(3))
    model.node("TANH", [y], [z])
    model.node("TANH", [x], [y])
    assert why_not(model.build([x], [z])) == "node 0 (TANH) reads tensor 1 before a node makes it"


def test_overlapping_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose tensors share one long name would describe far more text than it holds."""
    write, written = flatbuffers.Builder.CreateString, dict[str, int]()

    def share(builder: flatbuffers.Builder, text: str) -> int:
        return written.setdefault(text, written.get(text) or write(builder, text))

    monkeypatch.setattr(flatbuffers.Builder, "CreateString", share)
    model = ModelBuilder()
    for _ in range(2000):
        model.tensor((1,), name="n" * 100_000)
    assert why_not(model.build([0], [0])) == "the file is damaged: its tables overlap"


# ---- attributes ----------------------------------------------------------------------------------


def nodes(*operands: Any, op: str, outputs: int = 1, **options: Any) -> bytes:
    """One operator; an operand is a shape (int8), an array (an int32 constant), or None."""
    model = ModelBuilder()
    inputs: list[int | None] = []
    for operand in operands:
        if isinstance(operand, tuple):
            inputs.append(model.tensor(operand, scale=0.1))
        else:
            inputs.append(None if operand is None else model.constant(operand))
    made = [model.tensor((1,), scale=0.1) for _ in range(outputs)]
    model.node(op, inputs, made, **options)
    given = [i for i, operand in zip(inputs, operands) if isinstance(operand, tuple)]
    return model.build(given, made)  # type: ignore[arg-type]


def image_op(op: str, *operands: Any, **options: Any) -> bytes:
    defaults = {"stride_h": 1, "stride_w": 1, "padding": "VALID"}
    return nodes((1, 4, 4, 2), *operands, op=op, **{**defaults, **options})


CONV, POOL = "CONV_2D", "MAX_POOL_2D"
KERNEL = (3, 2, 2, 2)
ATTRIBUTES: list[tuple[bytes, str]] = [
    (image_op(CONV, KERNEL, stride_h=0), "node 0 (CONV_2D): the stride must be positive, not 0x1"),
    (image_op(CONV, KERNEL, dilation_w_factor=0),
     "node 0 (CONV_2D): the dilation must be positive, not 1x0"),
    (image_op(CONV, KERNEL, padding=7), "node 0 (CONV_2D): there is no padding scheme 7"),
    (image_op(CONV, KERNEL, fused_activation_function=9),
     "node 0 (CONV_2D): there is no activation 9"),
    (image_op(CONV, (3, 5, 2, 2)),
     "node 0 (CONV_2D): a window of 5x2 doesn't fit an image of 4x4"),
    (image_op(CONV, (3, 2, 2, 5)),
     "node 0 (CONV_2D): weights of shape [3, 2, 2, 5] don't fit 2 input channels"),
    (image_op(CONV, (3, 2, 2)), "node 0 (CONV_2D): input 1 must have 4 axes, not 3"),
    (image_op(CONV, KERNEL, [1, 2]),
     "node 0 (CONV_2D): the bias must have 3 elements, not shape [2]"),
    (image_op(CONV), "node 0 (CONV_2D): it has 1 inputs, 2 to 3 are allowed"),
    (image_op(CONV, None), "node 0 (CONV_2D): input 1 is missing"),
    (nodes((1, 4, 4, 2), KERNEL, op=CONV, options_type="Pool2DOptions"),
     "node 0 (CONV_2D): it carries Pool2DOptions, needed are Conv2DOptions"),
    (image_op("DEPTHWISE_CONV_2D", (1, 2, 2, 4), depth_multiplier=3),
     "node 0 (DEPTHWISE_CONV_2D): the depth multiplier is 3, the shapes say 2"),
    (image_op(POOL, filter_height=0, filter_width=2),
     "node 0 (MAX_POOL_2D): the window must be positive, not 0x2"),
    (nodes([1, 3, 3, 9], KERNEL, (1, 4, 4, 2), op="TRANSPOSE_CONV", stride_h=1, stride_w=1),
     "node 0 (TRANSPOSE_CONV): the output shape [1, 3, 3, 9] must be 1 image(s) of 3 channels"),
    (nodes((1, 4), (3, 5), op="FULLY_CONNECTED"),
     "node 0 (FULLY_CONNECTED): weights of depth 5 don't fit an input of shape [1, 4]"),
    (nodes((2, 3), (4, 3), op="ADD"), "node 0 (ADD): shapes [2, 3] and [4, 3] can't be broadcast"),
    (nodes((1, 4), op="SOFTMAX", beta=float("inf")),
     "node 0 (SOFTMAX): Beta must be finite, not inf"),
    (nodes((1, 4), [2], op="MEAN"), "node 0 (MEAN): the axis 2 is out of range for 2 axes"),
    (nodes((1, 4), [[0, 1]], op="PAD"),
     "node 0 (PAD): the padding must be 2x2 numbers, not [1, 2]"),
    (nodes((1, 4), [[0, 1], [-1, 0]], op="PAD"),
     "node 0 (PAD): the padding [[0, 1], [-1, 0]] is out of range"),
    (nodes((1, 4), (1, 5), op="CONCATENATION", axis=0),
     "node 0 (CONCATENATION): shapes [1, 4] and [1, 5] can't be joined along axis 0"),
    (nodes((1, 4), op="CONCATENATION", axis=-3),
     "node 0 (CONCATENATION): the axis -3 is out of range for 2 axes"),
    (nodes(1, (1, 4), op="SPLIT", outputs=3, num_splits=3),
     "node 0 (SPLIT): 4 elements along axis 1 don't split in 3"),
    (nodes((1, 4), [3, 3], 1, op="SPLIT_V", outputs=2),
     "node 0 (SPLIT_V): sizes [3, 3] don't split 4 elements"),
    (nodes((1, 4), [0, 0], [1, 4], [1, 0], op="STRIDED_SLICE"),
     "node 0 (STRIDED_SLICE): the stride of axis 1 is 0"),
    (nodes((1, 4), [0, 4], [1, 4], [1, 1], op="STRIDED_SLICE"),
     "node 0 (STRIDED_SLICE): its output would have the shape [1, 0]"),
    (nodes((1, 4), [0, 4], [1, 5], [1, 1], op="STRIDED_SLICE", shrink_axis_mask=2),
     "node 0 (STRIDED_SLICE): the begin 4 is out of range for 4 axes"),
    (nodes((1, 4), [0, 2], [1, 3], op="SLICE"),
     "node 0 (SLICE): begin 2 and size 3 are out of range for axis 1 of size 4"),
    (nodes((1, 4), np.zeros((0, 4), np.int32), op="ADD"), "node 0 (ADD): input 1 has no elements"),
    (nodes((1, 4), [0, 0], op="TRANSPOSE"), "node 0 (TRANSPOSE): [0, 0] is not a permutation"),
    (nodes((1, 4), [3, -1], op="RESHAPE"),
     "node 0 (RESHAPE): 4 elements don't make the shape [3, -1]"),
    (nodes((1, 4), op="SQUEEZE", squeeze_dims=(1,)),
     "node 0 (SQUEEZE): axes [1] of [1, 4] are not all of size 1"),
    (nodes((1, 4, 4, 1), [0, 3], op="RESIZE_BILINEAR"),
     "node 0 (RESIZE_BILINEAR): the size must be positive, not 0x3"),
    (nodes((1, 4, 4, 1), [2**31 - 1, 2**31 - 1], op="RESIZE_BILINEAR"),
     "node 0 (RESIZE_BILINEAR): its output would have the shape [1, 2147483647, 2147483647, 1]"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "message"), ATTRIBUTES, ids=title)
def test_attributes(model: bytes, message: str) -> None:
    assert why_not(model) == message


# ---- unsupported ---------------------------------------------------------------------------------


def test_every_refused_node_is_listed() -> None:
    model = ModelBuilder()
    a, c, d, e, f = (model.tensor((1, 4), "float32") for _ in range(5))
    model.node("RANK", [a], [c])
    model.node("TANH", [c], [d], version=99)
    model.node("ADD", [d, d], [e])
    model.node("CUSTOM", [e], [f], custom_code="MyOperator")
    with pytest.raises(UnsupportedModel) as caught:
        read_tflite(model.build([a], [f]))
    assert str(caught.value) == (
        "model: midge does not support 3 nodes:\n"
        "  node 0 (RANK): the operator RANK is not supported; "
        "build the model from supported operators\n"
        "  node 1 (TANH): version 99 is newer than 3, the newest known; "
        "convert the model with an older TensorFlow\n"
        "  node 3 (MyOperator): the custom operator MyOperator is not supported; "
        "build the model from supported operators, or bring it (docs/custom-operators.md)"
    )


def typed(x: str, weights: str, y: str) -> bytes:
    """FULLY_CONNECTED with these types."""
    model = ModelBuilder()
    scaled = {name: {} if name.startswith("float") else {"scale": 0.1} for name in (x, weights, y)}
    tensors = [
        model.tensor(shape, dtype, **scaled[dtype])
        for shape, dtype in zip([(1, 4), (3, 4), (1, 3)], (x, weights, y))
    ]
    model.node("FULLY_CONNECTED", [*tensors[:2], None], [tensors[2]])
    return model.build(tensors[:2], [tensors[2]])


def reshape_to_an_input() -> bytes:
    model = ModelBuilder()
    x, shape, y = (model.tensor(sizes, "int32") for sizes in ((1, 4), (2,), (2, 2)))
    model.node("RESHAPE", [x, shape], [y])
    return model.build([x, shape], [y])


UNSUPPORTED: list[tuple[Callable[[], bytes], str]] = [
    (lambda: typed("float32", "uint8", "float32"),
     "weights of type uint8 with an input of type float32 can't be read"),
    (lambda: typed("string", "float16", "float16"), "tensor 't0' has the type STRING"),
    (lambda: typed("int16", "int16", "int16"),
     "weights of type int16 with an input of type int16 can't be read"),
    (lambda: typed("int8", "int8", "int16"), "its output is int16, its input int8"),
    (reshape_to_an_input, "the new shape is computed while the model runs"),
    (lambda: nodes((1, 4), [0, 0], [1, 4], [1, 1], op="STRIDED_SLICE", new_axis_mask=1),
     "its ellipsis or new axis mask is set"),
    (lambda: nodes((1, 4), (1, 4), op="ADD", fused_activation_function="TANH"),
     "the fused activation TANH is not supported"),
    (lambda: one_node(y={"dtype": "int32"}), "it mixes float32 and int32"),
    (lambda: one_node(inputs=(0,), graph_inputs=(), x={"variable": True}),
     "it reads the variable tensor 0"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "why"), UNSUPPORTED, ids=title)
def test_unsupported(model: Callable[[], bytes], why: str) -> None:
    (refusal,) = refusals(model())
    assert refusal.why == why
    assert refusal.remedy


# ---- mutations -----------------------------------------------------------------------------------

MUTATIONS = 1000  # of each model; 0.3 ms each
SEEDS = {
    "conv2d": b.conv2d((1, 4, 4, 2), 2),
    "depthwise": b.depthwise_conv2d((1, 4, 4, 2)),
    "transpose_conv": b.transpose_conv(),
    "fully_connected": b.fully_connected(),
    "pool": b.pool2d(),
    "arithmetic": b.arithmetic(other=(3,), constant=True),
    "softmax": b.softmax(),
    "mean": b.mean(),
    "pad": b.pad(value=3),
    "concatenation": b.concatenation(),
    "split": b.split(by_size=True),
    "strided_slice": b.strided_slice(),
    "slice": b.slice_(),
    "transpose": b.transpose(),
    "reshape": b.reshape(),
    "resize": b.resize(),
    "lstm": b.lstm(),
    "svdf": b.svdf(),
    "while": build_loops.loop(),
}
WORDS = (0, 1, 4, 8, 127, 128, 255, 256, 0x7FFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF)


def mutants(content: bytes, seed: int) -> Iterator[bytes]:
    """Copies with one to four bytes, bits or 32-bit words changed, words moved, or an end cut."""
    rng = np.random.default_rng(seed)
    for _ in range(MUTATIONS):
        data = bytearray(content)
        for _ in range(rng.integers(1, 5)):
            kind, place = rng.integers(0, 24), int(rng.integers(0, len(data)))
            word = place & ~3
            if kind < 8:
                data[place] = int(rng.integers(0, 256))
            elif kind < 12:
                data[place] ^= 1 << int(rng.integers(0, 8))
            elif kind < 18:
                data[word : word + 4] = int(rng.choice(WORDS)).to_bytes(4, "little")
            elif kind < 23:
                source = int(rng.integers(0, len(data))) & ~3
                data[word : word + 4] = data[source : source + 4]
            else:
                del data[place + 1 :]
        yield bytes(data)


@pytest.mark.parametrize("name", SEEDS)
def test_mutants_are_read_or_refused(name: str) -> None:
    read = 0
    for mutant in mutants(SEEDS[name], seed=len(name)):
        try:
            graph = read_tflite(mutant)
        except MidgeError:
            continue
        verify(graph)
        read += 1
    assert 0 < read < MUTATIONS  # some changes hit weights or names, most hit the structure


def test_branches_that_hold_themselves_are_bounded() -> None:
    """Each of the two branches chooses three times between both."""
    model = parse(build_general.choice())
    choose = next(op for op in model.operators if op.code == "IF")
    inner = tuple(replace(choose, index=i, inputs=(0, 0, 1), outputs=(2,)) for i in range(3))
    others = tuple(replace(part, operators=inner) for part in model.others)
    with pytest.raises(Malformed, match="its branches make more than 50000 operators"):
        with_choices(replace(model, others=others))


def test_loops_that_hold_themselves_are_bounded() -> None:
    """A loop whose body is that loop, with a condition that is true."""
    model = ModelBuilder()
    parts = []
    for which in ("condition", "body"):
        part = ModelBuilder()
        x, y = part.tensor((2,), "float32"), part.tensor((2,), "float32")
        if which == "condition":
            true = part.constant(np.ones(1, bool), "bool")
            parts.append(model.part(part, [x], [true]))
            continue
        part.node(
            "WHILE", [x], [y], options_type="WhileOptions",
            cond_subgraph_index=1, body_subgraph_index=2,
        )  # fmt: skip
        parts.append(model.part(part, [x], [y]))
    x, y = model.tensor((2,), "float32"), model.tensor((2,), "float32")
    model.node(
        "WHILE", [x], [y], options_type="WhileOptions",
        cond_subgraph_index=parts[0], body_subgraph_index=parts[1],
    )  # fmt: skip
    why = why_not(model.build([x], [y]))
    assert why == "node 0 (WHILE): its loops lie more than 16 deep in one another"
