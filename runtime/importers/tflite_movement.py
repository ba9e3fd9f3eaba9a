"""Readers of the operators that move elements: padding, slices, shapes, joins, resizing, means."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..attributes import (
    Concatenation,
    Mean,
    Pad,
    Reshape,
    Resize,
    Shape,
    Split,
    StridedSlice,
    Transpose,
)
from ..graph import Tensor
from .tflite_file import Malformed
from .tflite_reading import Parts, Reading, Unsupported, axis_in


def mean(node: Reading) -> Parts:
    x = node.tensor(0)
    node.same_type()
    node.per_tensor(x, node.output())
    rank = len(x.shape)
    axes = tuple(sorted({axis_in(axis, rank) for axis in node.numbers(1, "axes")}))
    return Parts("mean", Mean(axes, bool(node.option("KeepDims", False))), node.operands(0))


def pad(node: Reading) -> Parts:
    """PAD and PADV2, which has the value as its third operand."""
    x, pads = node.tensor(0), node.constant(1, "padding")
    node.same_type()
    if pads.shape != (len(x.shape), 2):
        raise Malformed(f"the padding must be {len(x.shape)}x2 numbers, not {list(pads.shape)}")
    if (pads < 0).any() or (pads > 2**31 - 1).any():
        raise Malformed(f"the padding {pads.tolist()} is out of range")
    before, after = (tuple(int(n) for n in pads[:, side]) for side in (0, 1))
    return Parts("pad", Pad(before, after, _pad_value(node, x)), node.operands(0))


def _pad_value(node: Reading, x: Tensor) -> float | int | None:
    value = node.optional(2)
    if value is None:
        return None
    if value.data is None:
        raise Unsupported(
            "its padding value is computed while the model runs", "make the value a constant"
        )
    if value.dtype != x.dtype or value.elements != 1:
        raise Malformed(f"the padding value must be one {x.dtype}, not {value.dtype}")
    a, b = value.quantization, x.quantization
    if a is not None and b is not None and (a.scale, a.zero_point) != (b.scale, b.zero_point):
        raise Unsupported(
            "its padding value has another scale than its input",
            "quantize both with the same scale and zero point",
        )
    found = value.data.reshape(-1)[0].item()
    return float(found) if x.dtype == "float32" else int(found)


def concatenation(node: Reading) -> Parts:
    count = len(node.operator.inputs)
    parts = [node.tensor(position) for position in range(count)]
    node.same_type(*range(count))
    node.per_tensor(*(t for t in (*parts, node.output()) if t.quantization is not None))
    axis = axis_in(node.option("Axis"), len(parts[0].shape))
    first = _without(parts[0].shape, axis)
    for part in parts:
        if len(part.shape) != len(parts[0].shape) or _without(part.shape, axis) != first:
            raise Malformed(
                f"shapes {list(parts[0].shape)} and {list(part.shape)} can't be joined along "
                f"axis {axis}"
            )
    attrs = Concatenation(axis, activation=node.activation())
    return Parts("concatenation", attrs, node.operator.inputs)


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]


def split(node: Reading) -> Parts:
    """Operands: axis, x. The parts are equal."""
    x, count = node.tensor(1), len(node.operator.outputs)
    node.same_type(1)
    axis = axis_in(node.numbers(0, "axis", 1)[0], len(x.shape))
    if x.shape[axis] % count:
        raise Malformed(f"{x.shape[axis]} elements along axis {axis} don't split in {count}")
    return Parts("split", Split(axis, (x.shape[axis] // count,) * count), node.operands(1))


def split_v(node: Reading) -> Parts:
    """Operands: x, sizes, axis. One size may be -1, which is all that is left."""
    x, count = node.tensor(0), len(node.operator.outputs)
    node.same_type()
    axis = axis_in(node.numbers(2, "axis", 1)[0], len(x.shape))
    sizes = list(node.numbers(1, "sizes", count))
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = x.shape[axis] - sum(sizes) - 1
    if min(sizes) < 0 or sum(sizes) != x.shape[axis]:
        raise Malformed(f"sizes {sizes} don't split {x.shape[axis]} elements")
    return Parts("split", Split(axis, tuple(sizes)), node.operands(0))


def strided_slice(node: Reading) -> Parts:
    """Operands: x, begin, end, strides; indices and masks as Python's slices have them."""
    x = node.tensor(0)
    node.same_type()
    if node.option("EllipsisMask", 0) or node.option("NewAxisMask", 0):
        raise Unsupported(
            "its ellipsis or new axis mask is set", "write the slice with one range for each axis"
        )
    if node.option("Offset", False):
        raise Unsupported("its end is an offset from its begin", "write the slice with its end")
    vectors = [node.numbers(i, name) for i, name in ((1, "begin"), (2, "end"), (3, "strides"))]
    count = len(vectors[0])
    if count > len(x.shape) or {len(vector) for vector in vectors} != {count}:
        raise Malformed(f"begin, end and strides must be {len(x.shape)} numbers each")
    ranges = [_range(node, axis, *vector) for axis, vector in enumerate(zip(*vectors, strict=True))]
    ranges += [range(size) for size in x.shape[count:]]
    dropped = tuple(axis for axis in range(count) if _bit(node, "ShrinkAxisMask", axis))
    attrs = StridedSlice(
        tuple(r.start for r in ranges),
        tuple(r.step for r in ranges),
        tuple(len(r) for r in ranges),
        dropped,
    )
    return Parts("strided_slice", attrs, node.operands(0))


def _bit(node: Reading, mask: str, axis: int) -> bool:
    return bool(node.option(mask, 0) >> axis & 1)


def _range(node: Reading, axis: int, begin: int, end: int, stride: int) -> range:
    size = node.tensor(0).shape[axis]
    if stride == 0:
        raise Malformed(f"the stride of axis {axis} is 0")
    if _bit(node, "ShrinkAxisMask", axis):
        if stride < 0:
            raise Malformed(f"axis {axis} is dropped, its stride must be positive, not {stride}")
        start = 0 if _bit(node, "BeginMask", axis) else axis_in(begin, size, "begin")
        return range(start, start + 1)
    first = None if _bit(node, "BeginMask", axis) else begin
    last = None if _bit(node, "EndMask", axis) else end
    return range(*slice(first, last, stride).indices(size))


def slice_(node: Reading) -> Parts:
    """SLICE. Operands: x, begin, size; a size of -1 is all that is left."""
    x = node.tensor(0)
    node.same_type()
    rank = len(x.shape)
    begin, sizes = node.numbers(1, "begin", rank), node.numbers(2, "size", rank)
    sizes = tuple(n - b if s == -1 else s for n, b, s in zip(x.shape, begin, sizes, strict=True))
    for axis, (n, b, s) in enumerate(zip(x.shape, begin, sizes, strict=True)):
        if b < 0 or s < 1 or b + s > n:
            raise Malformed(f"begin {b} and size {s} are out of range for axis {axis} of size {n}")
    attrs = StridedSlice(begin, (1,) * rank, sizes)
    return Parts("strided_slice", attrs, node.operands(0))


def transpose(node: Reading) -> Parts:
    rank = len(node.tensor(0).shape)
    node.same_type()
    axes = tuple(axis_in(axis, rank) for axis in node.numbers(1, "permutation", rank))
    if sorted(axes) != list(range(rank)):
        raise Malformed(f"{list(axes)} is not a permutation")
    return Parts("transpose", Transpose(axes), node.operands(0))


def reshape(node: Reading) -> Parts:
    """The shape is the second operand where there is one, else an option."""
    node.same_type()
    if node.optional(1) is not None:
        shape = list(node.numbers(1, "new shape"))
    else:
        shape = node.option_vector("NewShape")
    return _reshape(node, [] if shape == [0] else shape)  # [0] is how old files write a scalar


def _reshape(node: Reading, shape: list[int]) -> Parts:
    elements, known = node.tensor(0).elements, math.prod(n for n in shape if n != -1)
    if shape.count(-1) == 1 and known > 0 and elements % known == 0:
        shape[shape.index(-1)] = elements // known
    if any(n < 0 for n in shape) or math.prod(shape) != elements:
        raise Malformed(f"{elements} elements don't make the shape {shape}")
    return Parts("reshape", Reshape(tuple(shape)), node.operands(0))


def squeeze(node: Reading) -> Parts:
    node.same_type()
    shape = node.tensor(0).shape
    ones = [axis for axis, size in enumerate(shape) if size == 1]
    axes = {axis_in(axis, len(shape)) for axis in node.option_vector("SqueezeDims") or ones}
    if any(shape[axis] != 1 for axis in axes):
        raise Malformed(f"axes {sorted(axes)} of {list(shape)} are not all of size 1")
    return _reshape(node, [n for axis, n in enumerate(shape) if axis not in axes])


def expand_dims(node: Reading) -> Parts:
    node.same_type()
    shape = node.tensor(0).shape
    axis = axis_in(node.numbers(1, "axis", 1)[0], len(shape) + 1)
    return _reshape(node, [*shape[:axis], 1, *shape[axis:]])


def resize(op: str) -> Callable[[Reading], Parts]:
    def read(node: Reading) -> Parts:
        node.image()
        node.same_type()
        height, width = node.numbers(1, "size", 2)
        align, half = bool(node.option("AlignCorners")), bool(node.option("HalfPixelCenters"))
        if not (0 < height < 2**31 and 0 < width < 2**31):
            raise Malformed(f"the size must be positive, not {height}x{width}")
        if align and half and op == "resize_bilinear":
            raise Malformed("align_corners and half_pixel_centers exclude each other")
        return Parts(op, Resize((height, width), align, half), node.operands(0))

    return read
