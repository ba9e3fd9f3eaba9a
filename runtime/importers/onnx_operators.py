"""The table of ONNX operators that are read: each reader turns one node into nodes of the graph."""

from __future__ import annotations

from collections.abc import Mapping

from ..attributes import LeakyRelu, Relu
from . import onnx_compute as compute
from . import onnx_general as general
from . import onnx_movement as movement
from . import onnx_normalizing as normalizing
from . import onnx_placing as placing
from . import onnx_products as products
from . import onnx_quantization as quantization
from . import onnx_recurrent as recurrent
from . import onnx_signs as signs
from . import onnx_windows as windows
from .onnx_reading import OnnxReader
from .onnx_resize import resize

READERS: Mapping[str, OnnxReader] = {
    "Add": compute.arithmetic("add"),
    "AveragePool": windows.pool("average_pool2d"),
    "BatchNormalization": compute.batch_normalization,
    "BipolarQuant": signs.bipolar_quant,
    "Clip": compute.clip,
    "Concat": movement.concat,
    "Conv": compute.conv,
    "ConvInteger": windows.conv_integer,
    "ConvTranspose": compute.conv_transpose,
    "DequantizeLinear": quantization.dequantize_linear,
    "Dropout": movement.dropout,
    "Flatten": movement.flatten,
    "Gemm": products.gemm,
    "GlobalAveragePool": windows.global_average_pool,
    "GlobalMaxPool": windows.global_max_pool,
    "HardSwish": compute.unary("hard_swish"),
    "Identity": movement.identity,
    "LeakyRelu": compute.unary("leaky_relu", lambda node: LeakyRelu(node.attribute("alpha", 0.01))),
    "LpPool": windows.lp_pool,
    "MatMul": products.matmul,
    "MaxPool": windows.pool("max_pool2d"),
    "Mul": compute.arithmetic("mul"),
    "Pad": movement.pad,
    "QuantizeLinear": quantization.quantize_linear,
    "ReduceMean": compute.reduce_mean,
    "Relu": compute.unary("relu", lambda node: Relu()),
    "Reshape": movement.reshape,
    "Resize": resize,
    "Sigmoid": compute.unary("logistic"),
    "Slice": movement.slice_,
    "Softmax": compute.softmax,
    "Split": movement.split,
    "Squeeze": movement.squeeze,
    "Sub": compute.arithmetic("sub"),
    "Tanh": compute.unary("tanh"),
    "Transpose": movement.transpose,
    "Unsqueeze": movement.unsqueeze,
    "Upsample": resize,
    **general.READERS,
    **normalizing.READERS,
    **placing.READERS,
    **recurrent.READERS,
    "Sign": signs.sign,
}
