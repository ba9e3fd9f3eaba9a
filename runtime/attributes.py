"""The attributes of operators, one frozen class each: what `runtime/ops.py` names in its table."""

from __future__ import annotations

from dataclasses import dataclass

Shape = tuple[int, ...]
Pair = tuple[int, int]  # (height, width)


@dataclass(frozen=True)
class Padding:
    """Rows and columns of zero point round an image."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


@dataclass(frozen=True)
class NoAttrs:
    """An operator that needs no attributes."""


@dataclass(frozen=True)
class Conv2D:
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = Padding()
    activation: str = "none"  # none, relu, relu6, relu_n1_to_1
    unsigned: bool = False  # was uint8: TFLite rounds the scale by another rule


@dataclass(frozen=True)
class DepthwiseConv2D:
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = Padding()
    activation: str = "none"
    unsigned: bool = False  # was uint8: TFLite rounds the scale by another rule
    multiplier: int = 1  # output channels for each input channel


@dataclass(frozen=True)
class TransposeConv:
    stride: Pair = (1, 1)
    padding: Padding = Padding()
    activation: str = "none"
    unsigned: bool = False  # was uint8: TFLite rounds the scale by another rule
    output_shape: Shape = ()


@dataclass(frozen=True)
class FullyConnected:
    activation: str = "none"
    keep_dims: bool = False
    asymmetric: bool = False  # quantized as it comes: with a zero point (int8 weights only)
    lanes: int = 1  # float sums run in this many, 1 or 4, added up in pairs: another rounding


@dataclass(frozen=True)
class DynamicQuantize:
    """Each of `groups` equal parts of the input gets a scale, and a zero point if not symmetric."""

    groups: int = 1
    symmetric: bool = False


@dataclass(frozen=True)
class Pool2D:
    window: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Padding = Padding()
    activation: str = "none"
    unsigned: bool = False  # averages round as on q + 128, for models that were uint8


@dataclass(frozen=True)
class Arithmetic:
    """add, sub, mul. `pot_scale` is the file's flag for int16 with power-of-two scales.

    `rounded_once` says of each int8 operand of an add that its rescaling rounds once, as TFLite's
    optimized kernels do, and not twice, as the reference does.
    """

    activation: str = "none"
    pot_scale: bool = True
    rounded_once: tuple[bool, bool] = (False, False)


@dataclass(frozen=True)
class Mean:
    axes: tuple[int, ...] = ()
    keep_dims: bool = False


@dataclass(frozen=True)
class Pad:
    """`value` in the tensor's own quantized numbers; None is the zero point."""

    before: Shape = ()
    after: Shape = ()
    value: float | int | None = None


@dataclass(frozen=True)
class L2Normalization:
    unsigned: bool = False  # was uint8: TFLite shifts before it multiplies


@dataclass(frozen=True)
class Softmax:
    beta: float = 1.0


@dataclass(frozen=True)
class Relu:
    """Clamp to real [minimum, maximum]; None is no bound."""

    minimum: float | None = 0.0
    maximum: float | None = None


@dataclass(frozen=True)
class LeakyRelu:
    alpha: float = 0.01


@dataclass(frozen=True)
class Concatenation:
    axis: int = 0
    activation: str = "none"


@dataclass(frozen=True)
class Split:
    axis: int = 0
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True)
class StridedSlice:
    """Resolved to full rank: begin, stride and count along every axis, then axes dropped."""

    begin: Shape = ()
    strides: Shape = ()
    sizes: Shape = ()
    dropped: tuple[int, ...] = ()


@dataclass(frozen=True)
class Transpose:
    permutation: Shape = ()


@dataclass(frozen=True)
class Reshape:
    shape: Shape = ()


@dataclass(frozen=True)
class Resize:
    size: Pair = (1, 1)
    align_corners: bool = False
    half_pixel_centers: bool = False
    unsigned: bool = False  # was uint8: TFLite interpolates in float32


@dataclass(frozen=True)
class Feed:
    """The input's columns from `left` on, as many as the output has."""

    left: int = 0


@dataclass(frozen=True)
class Tile:
    """A part of an image: rows from `top` and columns from `left` on."""

    top: int = 0
    left: int = 0
    size: Pair = (1, 1)


@dataclass(frozen=True)
class Join:
    """Parts that make up an image; where two lie on each other they are equal."""

    corners: tuple[Pair, ...] = ()  # (top, left) of each part
    size: Pair = (1, 1)


@dataclass(frozen=True)
class Slide:
    """Rows of a window over time: so many are kept, each moves up by so many."""

    kept: int = 0
    by: int = 1


@dataclass(frozen=True)
class Lstm:
    """Unidirectional sequence LSTM; input positions are those of the TFLite operator.

    Of an input with four axes, time is the second, and the first and third are batches.

    `intermediates` has (scale, zero point) of the operator's intermediate tensors, None where one
    has no quantization; the fifth is that of the hidden value before it is projected.
    """

    cell_clip: float = 0.0
    projection_clip: float = 0.0
    time_major: bool = False
    activation: str = "tanh"
    intermediates: tuple[tuple[float, int] | None, ...] = ()


@dataclass(frozen=True)
class Svdf:
    rank: int = 1
    activation: str = "none"


@dataclass(frozen=True)
class Binarize:
    """Bit 1 where x is below a threshold, else 0: `levels` thresholds for each channel.

    Channel level * channels + c of the output compares channel c with its threshold `level`.
    """

    levels: int = 1


@dataclass(frozen=True)
class BitPlanes:
    """q - zero point as `bits` planes, plane i holding bit i of two's complement."""

    bits: int = 8


@dataclass(frozen=True)
class Debinarize:
    channels: int = 32  # of the output: the last word of a pixel may not be full


@dataclass(frozen=True)
class BConv2D:
    """A convolution of bits. The number at a place is the sum of its planes' values, each times its
    coefficient; a plane's value is +1 or -1, or if `plain` the bit itself, 0 or 1.
    """

    channels: int = 32  # of the input, those of all groups
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = Padding()
    pad_value: int = 1  # of every plane outside the image: 1, 0 or -1; 0 if `plain`
    activation: str = "none"  # on the sum, before multiplier and bias
    x_planes: tuple[int, ...] = (1,)
    weight_planes: tuple[int, ...] = (1,)
    plain: bool = False


@dataclass(frozen=True)
class BDense:
    channels: int = 32
    activation: str = "none"
    x_planes: tuple[int, ...] = (1,)
    weight_planes: tuple[int, ...] = (1,)
    plain: bool = False
