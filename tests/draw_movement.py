"""Random geometry of operators that move elements, or make them of shapes alone."""

from __future__ import annotations

from typing import Any

import build_general as g
import numpy as np
from draw_general import ANY, SIMPLE
from drawing import Draws, Sweep
from tflite_writer import ModelBuilder

MOVED = ("int8", "uint8", "int16", "float32", "int32", "int64")


def pad(op: str) -> Any:
    def draw(d: Draws, dtype: str) -> bytes:
        shape, numbers = d.shape(), d.numbers(dtype)
        edges = np.array([[d.between(0, 3), d.between(0, 3)] for _ in shape], np.int32)
        operands: list[Any] = [(shape, *numbers), edges]
        if op == "PADV2":
            operands.append(d.constant((1,), numbers))
        made = tuple(int(n + sum(edge)) for n, edge in zip(shape, edges, strict=True))
        return g.general(op, operands, (made, *numbers), version=4)

    return draw


def mirror_pad(d: Draws, dtype: str) -> bytes:
    shape, numbers, mode = d.shape(), d.numbers(dtype), d.one_of(0, 1)
    most = [n - 1 + mode for n in shape]
    edges = np.array([[d.between(0, n), d.between(0, n)] for n in most], np.int32)
    made = tuple(int(n + sum(edge)) for n, edge in zip(shape, edges, strict=True))
    return g.general(
        "MIRROR_PAD", [(shape, *numbers), edges], (made, *numbers),
        options="MirrorPadOptions", mode=mode, version=2,
    )  # fmt: skip


def concatenation(d: Draws, dtype: str) -> bytes:
    shape, numbers, count = d.shape(), d.numbers(dtype), d.between(1, 5)
    axis = d.between(0, len(shape) - 1)
    sizes = [d.between(1, 6) for _ in range(count)]
    parts = [((*shape[:axis], n, *shape[axis + 1 :]), *numbers) for n in sizes]
    if dtype == "uint8" and d.flag():  # the one type that TFLite requantizes
        parts = [(part[0], *d.numbers(dtype)) for part in parts]
    made = ((*shape[:axis], sum(sizes), *shape[axis + 1 :]), *numbers)
    return g.general(
        "CONCATENATION", parts, made, options="ConcatenationOptions", version=3,
        axis=d.axis(axis, len(shape)),
    )  # fmt: skip


def split(op: str) -> Any:
    def draw(d: Draws, dtype: str) -> bytes:
        shape, numbers, count = d.shape(), d.numbers(dtype), d.between(1, 4)
        axis = d.between(0, len(shape) - 1)
        sizes = [d.between(1, 4)] * count
        if op == "SPLIT_V":
            sizes = [d.between(1, 4) for _ in range(count)]
        shapes = [(*shape[:axis], n, *shape[axis + 1 :]) for n in (sum(sizes), *sizes)]
        model, named = ModelBuilder(), d.axis(axis, len(shape))
        x, *made = (model.tensor(each, *numbers) for each in shapes)
        where = model.constant(named)
        operands = [where, x] if op == "SPLIT" else [x, model.constant(sizes), where]
        model.node(op, operands, made, num_splits=count)
        return model.build([x], made)

    return draw


def pack(d: Draws, dtype: str) -> bytes:
    shape, numbers, count = d.shape(1, 3), d.numbers(dtype), d.between(1, 4)
    axis = d.between(0, len(shape))
    made = (*shape[:axis], count, *shape[axis:])
    return g.general(
        "PACK", [(shape, *numbers)] * count, (made, *numbers), options="PackOptions", version=2,
        values_count=count, axis=d.axis(axis, len(shape) + 1),
    )  # fmt: skip


def unpack(d: Draws, dtype: str) -> bytes:
    shape, numbers = d.shape(2), d.numbers(dtype)
    axis = d.between(0, len(shape) - 1)
    model = ModelBuilder()
    x = model.tensor(shape, *numbers)
    made = [model.tensor(shape[:axis] + shape[axis + 1 :], *numbers) for _ in range(shape[axis])]
    options = {"num": shape[axis], "axis": d.axis(axis, len(shape))}
    model.node("UNPACK", [x], made, version=2, options_type="UnpackOptions", **options)
    return model.build([x], made)


def slice_(d: Draws, dtype: str) -> bytes:
    shape, numbers = d.shape(), d.numbers(dtype)
    begin = [d.between(0, n - 1) for n in shape]
    made = [d.between(1, n - b) for n, b in zip(shape, begin, strict=True)]
    sizes = [
        -1 if b + m == n and d.flag() else m for n, b, m in zip(shape, begin, made, strict=True)
    ]
    kind = d.one_of(np.int32, np.int64)
    operands = [(shape, *numbers), np.array(begin, kind), np.array(sizes, kind)]
    return g.general("SLICE", operands, (made, *numbers), version=5)


def strided_slice(d: Draws, dtype: str) -> bytes:
    """Positive and negative strides, indices from the back, masks, dropped axes."""
    shape, numbers = d.shape(), d.numbers(dtype)
    vectors, made, masks = [], [], dict.fromkeys(("begin_mask", "end_mask", "shrink_axis_mask"), 0)
    for axis, n in enumerate(shape):
        first, last = sorted((d.between(0, n - 1), d.between(0, n - 1)))
        step = d.one_of(1, 1, 2, 3, -1, -2)
        begin, end = (first, last + 1) if step > 0 else (last, first - 1)
        where = d.between(0, 5)
        if where == 0:
            masks["shrink_axis_mask"] |= 1 << axis
            begin, end, step = first, first + 1, 1
            made.append(None)
        else:
            if where == 1:
                masks["begin_mask"] |= 1 << axis
            if where == 2 or end < 0:
                masks["end_mask"] |= 1 << axis
            start = None if where == 1 else begin
            stop = None if masks["end_mask"] >> axis & 1 else end
            made.append(len(range(*slice(start, stop, step).indices(n))))
        vectors.append((begin - n if d.flag() else begin, max(end, 0), step))
    kept = [n for n in made if n is not None]
    operands = [(shape, *numbers), *(np.array(v, np.int32) for v in zip(*vectors, strict=True))]
    return g.general(
        "STRIDED_SLICE", operands, (kept, *numbers), options="StridedSliceOptions", version=4,
        **masks,
    )  # fmt: skip


def transpose(d: Draws, dtype: str) -> bytes:
    shape, numbers = d.shape(1, 5), d.numbers(dtype)
    order = d.rng.permutation(len(shape)).astype(np.int32)
    made = tuple(shape[i] for i in order)
    return g.general("TRANSPOSE", [(shape, *numbers), order], (made, *numbers), version=4)


def reshape(d: Draws, dtype: str) -> bytes:
    shape, numbers = d.shape(), d.numbers(dtype)
    count = int(np.prod(shape))
    first = d.one_of(*(n for n in range(1, count + 1) if count % n == 0))
    made = (first, count // first)
    given = np.array((first, d.one_of(-1, made[1])), np.int32)
    return g.general(
        "RESHAPE", [(shape, *numbers), given], (made, *numbers), options="ReshapeOptions",
        new_shape=tuple(given.tolist()),
    )  # fmt: skip


def squeeze(d: Draws, dtype: str) -> bytes:
    shape = tuple(d.one_of(1, n) for n in d.shape(2))
    ones = [axis for axis, n in enumerate(shape) if n == 1]
    gone = [d.axis(axis, len(shape)) for axis in ones[: d.between(0, len(ones))]]
    dropped = {axis % len(shape) for axis in gone or ones}
    made = tuple(n for axis, n in enumerate(shape) if axis not in dropped)
    numbers = d.numbers(dtype)
    return g.general(
        "SQUEEZE", [(shape, *numbers)], (made, *numbers), options="SqueezeOptions",
        squeeze_dims=gone,
    )  # fmt: skip


def expand_dims(d: Draws, dtype: str) -> bytes:
    shape, numbers = d.shape(1, 3), d.numbers(dtype)
    axis = d.between(0, len(shape))
    made = (*shape[:axis], 1, *shape[axis:])
    given = np.array(d.axis(axis, len(made)), np.int32)
    return g.general("EXPAND_DIMS", [(shape, *numbers), given], (made, *numbers))


def tile(d: Draws, dtype: str) -> bytes:
    shape, numbers = d.shape(), d.numbers(dtype)
    counts = [d.between(1, 3) for _ in shape]
    made = tuple(n * count for n, count in zip(shape, counts, strict=True))
    return g.general("TILE", [(shape, *numbers), g.ints(*counts)], (made, *numbers))


def broadcast_to(d: Draws, dtype: str) -> bytes:
    shape = d.shape(1, 3)
    made = (*d.shape(0, 1), *(d.between(1, 4) if n == 1 else n for n in shape))
    numbers = d.numbers(dtype)
    operands = [(shape, *numbers), g.ints(*made)]
    return g.general("BROADCAST_TO", operands, (made, *numbers), version=2)


def blocks(op: str) -> Any:
    def draw(d: Draws, dtype: str) -> bytes:
        numbers, block = d.numbers(dtype), d.between(1, 3)
        batch, height, width, depth = (d.between(1, 4) for _ in range(4))
        small = (batch, height, width, depth * block * block)
        large = (batch, height * block, width * block, depth)
        x, y = (small, large) if op == "DEPTH_TO_SPACE" else (large, small)
        table = "DepthToSpaceOptions" if op == "DEPTH_TO_SPACE" else "SpaceToDepthOptions"
        made = (y, *numbers)
        version = 1 if op == "DEPTH_TO_SPACE" else 2
        named = {"options": table, "block_size": block, "version": version}
        return g.general(op, [(x, *numbers)], made, **named)

    return draw


def batches(op: str) -> Any:
    def draw(d: Draws, dtype: str) -> bytes:
        numbers, block = d.numbers(dtype), d.pair(3)
        batch, depth, cells = d.between(1, 3), d.between(1, 5), d.pair(3)
        whole = [c * b for c, b in zip(cells, block, strict=True)]
        edges = [(d.between(0, (n - 1) // 2), d.between(0, (n - 1) // 2)) for n in whole]
        image = [n - sum(edge) for n, edge in zip(whole, edges, strict=True)]
        large, small = (batch, *image, depth), (batch * block[0] * block[1], *cells, depth)
        x, y = (large, small) if op == "SPACE_TO_BATCH_ND" else (small, large)
        operands = [(x, *numbers), g.ints(*block), np.array(edges, np.int32)]
        return g.general(op, operands, (y, *numbers), version=2)

    return draw


def resize(op: str) -> Any:
    def draw(d: Draws, dtype: str) -> bytes:
        shape, numbers, size = d.image(7, 7), d.numbers(dtype), d.pair(14)
        align, half = d.one_of((False, False), (True, False), (False, True))
        table = "".join(part.title() for part in op.split("_")) + "Options"
        return g.general(
            op, [(shape, *numbers), g.ints(*size)], ((shape[0], *size, shape[3]), *numbers),
            options=table, version=4, align_corners=align, half_pixel_centers=half,
        )  # fmt: skip

    return draw


def gather(d: Draws, dtype: str) -> bytes:
    """By constant indices, or by such as come."""
    shape, numbers = d.shape(), d.numbers(dtype)
    axis = d.between(0, len(shape) - 1)
    batch = d.between(0, axis) if d.flag() else 0
    chosen = (*shape[:batch], *d.shape(0, 2))
    made = (*shape[:axis], *chosen[batch:], *shape[axis + 1 :])
    return _gathered(
        d, "GATHER", (shape, *numbers), chosen, [shape[axis]], (made, *numbers),
        options="GatherOptions", axis=axis, batch_dims=batch, version=5 if batch else 4,
    )  # fmt: skip


def gather_nd(d: Draws, dtype: str) -> bytes:
    shape, numbers = d.shape(), d.numbers(dtype)
    count = d.between(1, len(shape))
    chosen = (*d.shape(1, 2), count)
    made = (*chosen[:-1], *shape[count:])
    return _gathered(
        d, "GATHER_ND", (shape, *numbers), chosen, list(shape[:count]), (made, *numbers), version=3
    )


def _gathered(
    d: Draws, op: str, x: Any, chosen: Any, most: list[int], made: Any, **named: Any
) -> bytes:
    """`most`: the sizes that indices are under, along their last axis."""
    if d.flag() and x[1] not in ("int32", "int64"):
        d.limits["int32"] = (0, min(most) - 1)
        return g.general(op, [x, (chosen, "int32")], made, **named)
    indices = d.rng.integers(0, most if op == "GATHER_ND" else most[0], chosen)
    return g.general(op, [x, indices.astype(d.one_of(np.int32, np.int64))], made, **named)


def embedding_lookup(d: Draws, dtype: str) -> bytes:
    rows, shape, numbers = d.between(1, 9), d.shape(1, 2), d.numbers(dtype)
    chosen = d.rng.integers(0, rows, d.between(1, 5)).astype(np.int32)
    operands = [chosen, ((rows, *shape), *numbers)]
    return g.general("EMBEDDING_LOOKUP", operands, ((len(chosen), *shape), *numbers))


def reverse(d: Draws, dtype: str) -> bytes:
    shape, numbers = d.shape(), d.numbers(dtype)
    given = g.ints(d.axis(d.between(0, len(shape) - 1), len(shape)))  # TFLite turns one
    return g.general("REVERSE_V2", [(shape, *numbers), given], (shape, *numbers), version=2)


def fill(d: Draws, dtype: str) -> bytes:
    shape, numbers = d.shape(), d.numbers(dtype)
    return g.general("FILL", [g.ints(*shape), ((), *numbers)], (shape, *numbers), version=3)


def _beside(model: ModelBuilder, known: int, shape: Any, kind: str, inputs: list[int]) -> bytes:
    """The greater of what is known while a model is read, and an input: no model has the former
    as its output."""
    x, y = model.tensor(shape, kind), model.tensor(shape, kind)
    model.node("MAXIMUM", [known, x], [y], version=2)
    return model.build([*inputs, x], [y])


def zeros_like(d: Draws, dtype: str) -> bytes:
    model, shape = ModelBuilder(), d.shape()
    x, zeros = model.tensor(shape, dtype), model.tensor(shape, dtype)
    model.node("ZEROS_LIKE", [x], [zeros])
    return _beside(model, zeros, shape, dtype, [x])


def shape_of(d: Draws, dtype: str) -> bytes:
    model, shape = ModelBuilder(), d.shape()
    kind, number = d.one_of(("int32", 2), ("int64", 4))
    x, sizes = model.tensor(shape, *d.numbers(dtype)), model.tensor((len(shape),), kind)
    model.node("SHAPE", [x], [sizes], options_type="ShapeOptions", out_type=number)
    return _beside(model, sizes, (len(shape),), kind, [x])


def broadcast_args(d: Draws, dtype: str) -> bytes:
    model, shapes = ModelBuilder(), [shape or (1,) for shape in d.broadcast()]
    made = (max(map(len, shapes)),)
    together = model.tensor(made, dtype)
    model.node("BROADCAST_ARGS", [model.constant(s, dtype) for s in shapes], [together])
    return _beside(model, together, made, dtype, [])


def update_slice(d: Draws, dtype: str) -> bytes:
    shape, numbers = d.shape(), d.numbers(dtype)
    part = tuple(d.between(1, n) for n in shape)
    d.limits["int32"] = (-2, 6)
    operands = [(shape, *numbers), (part, *numbers), ((len(shape),), "int32")]
    return g.general("DYNAMIC_UPDATE_SLICE", operands, (shape, *numbers))


MOVEMENT = {
    "PAD": Sweep(pad("PAD"), MOVED),
    "PADV2": Sweep(pad("PADV2"), MOVED),
    "MIRROR_PAD": Sweep(mirror_pad, MOVED),
    "CONCATENATION": Sweep(concatenation, ANY),
    "SPLIT": Sweep(split("SPLIT"), SIMPLE),
    "SPLIT_V": Sweep(split("SPLIT_V"), (*SIMPLE, "int64")),
    "PACK": Sweep(pack, MOVED),
    "UNPACK": Sweep(unpack, (*SIMPLE, "bool")),
    "SLICE": Sweep(slice_, ANY),
    "STRIDED_SLICE": Sweep(strided_slice, ANY),
    "TRANSPOSE": Sweep(transpose, ANY),
    "RESHAPE": Sweep(reshape, ANY),
    "SQUEEZE": Sweep(squeeze, ANY),
    "EXPAND_DIMS": Sweep(expand_dims, SIMPLE),
    "TILE": Sweep(tile, ("float32", "int8", "uint8", "int32", "int64", "bool")),
    "BROADCAST_TO": Sweep(broadcast_to, ANY),
    "DEPTH_TO_SPACE": Sweep(blocks("DEPTH_TO_SPACE"), ("int8", "uint8", "float32", "int32")),
    "SPACE_TO_DEPTH": Sweep(blocks("SPACE_TO_DEPTH"), ("int8", "uint8", "float32", "int32")),
    "BATCH_TO_SPACE_ND": Sweep(batches("BATCH_TO_SPACE_ND"), MOVED),
    "SPACE_TO_BATCH_ND": Sweep(batches("SPACE_TO_BATCH_ND"), MOVED),
    "RESIZE_BILINEAR": Sweep(resize("RESIZE_BILINEAR"), ("int8", "uint8", "int16", "float32")),
    "RESIZE_NEAREST_NEIGHBOR": Sweep(
        resize("RESIZE_NEAREST_NEIGHBOR"), ("int8", "uint8", "int16", "float32")
    ),
    "GATHER": Sweep(gather, ANY),
    "GATHER_ND": Sweep(gather_nd, MOVED),
    "EMBEDDING_LOOKUP": Sweep(embedding_lookup, ("int8", "uint8", "float32")),
    "REVERSE_V2": Sweep(reverse, ANY),
    "DYNAMIC_UPDATE_SLICE": Sweep(
        update_slice, ("int8", "float32", "int16", "int32"), by_tflm=("int16",)
    ),
    "FILL": Sweep(fill, ("int8", "int16", "float32", "int32", "int64", "bool")),
    "ZEROS_LIKE": Sweep(zeros_like, ("float32", "int32", "int64", "int8"), by_tflm=("int8",)),
    "SHAPE": Sweep(shape_of, ("int8", "float32", "int32")),
    "BROADCAST_ARGS": Sweep(broadcast_args, ("int32", "int64")),
}
