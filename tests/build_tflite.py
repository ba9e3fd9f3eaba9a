"""Ready .tflite models of one operator: geometry and dtype in, the file's bytes out.

Every function draws its weights from `seed` and chooses an output scale for which few answers
saturate. `dtype` is that of the activations: "int8", "uint8", "int16" (weights int8) or "float32".
Shapes are NHWC; pairs are (height, width). Write anything else with `ModelBuilder`.
"""

from build_compute import (
    arithmetic,
    conv2d,
    convert,
    depthwise_conv2d,
    fully_connected,
    pool2d,
    softmax,
    transpose_conv,
    unary,
)
from build_movement import (
    concatenation,
    mean,
    pad,
    reshape,
    resize,
    slice_,
    split,
    strided_slice,
    transpose,
)
from build_recurrent import lstm, svdf
from tflite_writer import ModelBuilder

__all__ = [
    "ModelBuilder",
    "arithmetic",
    "concatenation",
    "conv2d",
    "convert",
    "depthwise_conv2d",
    "fully_connected",
    "lstm",
    "mean",
    "pad",
    "pool2d",
    "reshape",
    "resize",
    "slice_",
    "softmax",
    "split",
    "strided_slice",
    "svdf",
    "transpose",
    "transpose_conv",
    "unary",
]
