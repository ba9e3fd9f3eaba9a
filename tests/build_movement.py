"""Ready .tflite models of one operator that moves elements, and of MEAN."""

from __future__ import annotations

import math
from collections.abc import Sequence

from seeded_model import ZERO_POINTS, Pair, SeededModel, Shape


def mean(
    shape: Shape = (1, 4, 4, 3),
    axes: Sequence[int] = (1, 2),
    keep_dims: bool = False,
    dtype: str = "int8",
    output: tuple[float, int] | None = None,
) -> bytes:
    """MEAN over constant axes."""
    model = SeededModel(dtype, 0)
    dropped = {axis % len(shape) for axis in axes}
    kept = [1 if i in dropped else n for i, n in enumerate(shape) if keep_dims or i not in dropped]
    x, y = model.activation(shape), model.activation(kept, *(output or ()))
    model.node("MEAN", [x, model.constant(axes)], [y], keep_dims=keep_dims)
    return model.build([x], [y])


def pad(
    shape: Shape = (1, 4, 4, 3),
    pads: Sequence[Pair] = ((0, 0), (1, 2), (2, 1), (0, 0)),
    value: float | None = None,
    dtype: str = "int8",
) -> bytes:
    """PAD, or PADV2 if a value (in the tensor's own numbers) is given."""
    model = SeededModel(dtype, 0)
    x = model.activation(shape)
    y = model.activation(
        [n + before + after for n, (before, after) in zip(shape, pads, strict=True)]
    )
    operands = [x, model.constant(pads)]
    if value is not None:
        quantized = (
            {}
            if dtype == "float32"
            else {"scale": model.input_scale, "zero_point": ZERO_POINTS[dtype]}
        )
        operands.append(model.constant([value], dtype, **quantized))
    model.node("PAD" if value is None else "PADV2", operands, [y])
    return model.build([x], [y])


def concatenation(
    shapes: Sequence[Shape] = ((1, 4, 4, 3), (1, 4, 4, 5)),
    axis: int = -1,
    dtype: str = "int8",
    activation: str = "NONE",
    scales: Sequence[float] | None = None,
) -> bytes:
    """CONCATENATION; other `scales` than the output's only where TFLite requantizes (uint8)."""
    model = SeededModel(dtype, 0)
    inputs = [model.activation(s, scales[i] if scales else None) for i, s in enumerate(shapes)]
    shape = list(shapes[0])
    shape[axis] = sum(s[axis] for s in shapes)
    y = model.activation(shape)
    model.node("CONCATENATION", inputs, [y], axis=axis, fused_activation_function=activation)
    return model.build(inputs, [y])


def split(
    shape: Shape = (1, 4, 4, 6),
    axis: int = 3,
    sizes: Sequence[int] = (2, 2, 2),
    dtype: str = "int8",
    by_size: bool = False,
) -> bytes:
    """SPLIT into equal parts, or SPLIT_V if `by_size`."""
    model = SeededModel(dtype, 0)
    x, outputs = model.activation(shape), []
    for size in sizes:
        part = list(shape)
        part[axis] = size
        outputs.append(model.activation(part))
    if by_size:
        operands = [x, model.constant(sizes), model.constant(axis)]
        model.node("SPLIT_V", operands, outputs, num_splits=len(sizes))
    else:
        model.node("SPLIT", [model.constant(axis), x], outputs, num_splits=len(sizes))
    return model.build([x], outputs)


def strided_slice(
    shape: Shape = (1, 6, 8, 3),
    begin: Sequence[int] = (0, 1, 0, 0),
    end: Sequence[int] = (1, 5, 8, 3),
    strides: Sequence[int] = (1, 2, 1, 1),
    dtype: str = "int8",
    output: Shape | None = None,
    **masks: int,
) -> bytes:
    """STRIDED_SLICE; `masks` as begin_mask, end_mask, shrink_axis_mask.

    `output` must be given if masks or negative indices are used.
    """
    model = SeededModel(dtype, 0)
    if output is None:
        output = [len(range(*s)) for s in zip(begin, end, strides, strict=True)]
    x, y = model.activation(shape), model.activation(output)
    operands = [x, *(model.constant(values) for values in (begin, end, strides))]
    model.node("STRIDED_SLICE", operands, [y], **masks)
    return model.build([x], [y])


def slice_(
    shape: Shape = (1, 6, 8, 3),
    begin: Sequence[int] = (0, 1, 2, 0),
    size: Sequence[int] = (1, 4, -1, 3),
    dtype: str = "int8",
) -> bytes:
    """SLICE; a size of -1 is all that is left."""
    model = SeededModel(dtype, 0)
    output = [n - b if s == -1 else s for n, b, s in zip(shape, begin, size, strict=True)]
    x, y = model.activation(shape), model.activation(output)
    model.node("SLICE", [x, model.constant(begin), model.constant(size)], [y])
    return model.build([x], [y])


def transpose(
    shape: Shape = (1, 4, 5, 3), permutation: Sequence[int] = (0, 2, 1, 3), dtype: str = "int8"
) -> bytes:
    """TRANSPOSE by a constant permutation."""
    model = SeededModel(dtype, 0)
    x, y = model.activation(shape), model.activation([shape[i] for i in permutation])
    model.node("TRANSPOSE", [x, model.constant(permutation)], [y])
    return model.build([x], [y])


def reshape(
    shape: Shape = (1, 4, 5, 3), target: Sequence[int] = (1, -1), dtype: str = "int8"
) -> bytes:
    """RESHAPE to a constant shape in which one size may be -1."""
    model = SeededModel(dtype, 0)
    rest = math.prod(shape) // math.prod(n for n in target if n != -1)
    x, y = model.activation(shape), model.activation([rest if n == -1 else n for n in target])
    model.node("RESHAPE", [x, model.constant(target)], [y], new_shape=tuple(target))
    return model.build([x], [y])


def resize(
    op: str = "RESIZE_BILINEAR",
    shape: Shape = (1, 4, 5, 3),
    size: Pair = (7, 9),
    align_corners: bool = False,
    half_pixel_centers: bool = False,
    dtype: str = "int8",
) -> bytes:
    """RESIZE_BILINEAR or RESIZE_NEAREST_NEIGHBOR."""
    model = SeededModel(dtype, 0)
    x, y = model.activation(shape), model.activation((shape[0], *size, shape[3]))
    model.node(
        op,
        [x, model.constant(size)],
        [y],
        align_corners=align_corners,
        half_pixel_centers=half_pixel_centers,
    )
    return model.build([x], [y])
