"""The table of ONNX operators that are read: each reader turns one node into nodes of the graph."""

from __future__ import annotations

from collections.abc import Mapping

from ..attributes import LeakyRelu, Relu
from . import onnx_beforehand as beforehand
from . import onnx_compute as compute
from . import onnx_convolutions as convolutions
from . import onnx_dynamic as dynamic
from . import onnx_dynamic_lstm as dynamic_lstm
from . import onnx_general as general
from . import onnx_movement as movement
from . import onnx_normalizing as normalizing
from . import onnx_placing as placing
from . import onnx_products as products
from . import onnx_quantization as quantization
from . import onnx_recurrent as recurrent
from . import onnx_sampling as sampling
from . import onnx_signs as signs
from . import onnx_spectrum as spectrum
from . import onnx_windows as windows
from .onnx_reading import OnnxReader
from .onnx_resize import resize

READERS: Mapping[str, OnnxReader] = {
    "Add": compute.arithmetic("add"),
    "BatchNormalization": compute.batch_normalization,
    "BipolarQuant": signs.bipolar_quant,
    "Clip": compute.clip,
    "Concat": movement.concat,
    "DequantizeLinear": quantization.dequantize_linear,
    "Dropout": movement.dropout,
    "Flatten": movement.flatten,
    "FusedMatMul": products.fused_matmul,
    "GatherBlockQuantized": products.gather_block_quantized,
    "Gemm": products.gemm,
    "HardSwish": compute.unary("hard_swish"),
    "Identity": movement.identity,
    "LeakyRelu": compute.unary("leaky_relu", lambda node: LeakyRelu(node.attribute("alpha", 0.01))),
    "MatMul": products.matmul,
    "MatMulNBits": products.matmul_n_bits,
    "Mul": compute.arithmetic("mul"),
    "Pad": movement.pad,
    "QuantizeLinear": quantization.quantize_linear,
    "ReduceMean": compute.reduce_mean,
    "Relu": compute.unary("relu", lambda node: Relu()),
    "Reshape": movement.reshape,
    "Resize": resize,
    "Sigmoid": compute.unary("logistic"),
    "Shrink": compute.shrink,
    "Slice": movement.slice_,
    "Softmax": compute.softmax,
    "Split": movement.split,
    "Squeeze": movement.squeeze,
    "Sub": compute.arithmetic("sub"),
    "Tanh": compute.unary("tanh"),
    "Transpose": movement.transpose,
    "Unsqueeze": movement.unsqueeze,
    "Upsample": resize,
    **beforehand.READERS,
    **convolutions.READERS,
    **dynamic.READERS,
    **dynamic_lstm.READERS,
    **general.READERS,
    **normalizing.READERS,
    **placing.READERS,
    **recurrent.READERS,
    **sampling.READERS,
    **spectrum.READERS,
    **windows.READERS,
    "Sign": signs.sign,
}
