"""DynamicQuantizeLSTM, what ONNX Runtime's dynamic quantizer makes of an LSTM: weights of bytes.

The input is quantized as a whole, the state anew at each step; gates are computed in floats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from .onnx_building import Value
from .onnx_dynamic import quantized, scaled_product
from .onnx_general import as_type, pair
from .onnx_reading import Made, NodeReading
from .onnx_recurrent import Direction, recurrent


@dataclass(frozen=True)
class OfBytes(Direction):
    """Weights in int32 less their zero points; the input is in whole numbers too.

    `scale` is that of the input times that of its weights, `recurrent_scale` that of the weights of
    the state.
    """

    scale: int
    recurrent_scale: int

    def gated(self, x: int) -> int:
        whole = as_type(self.node, x, "int32")
        return scaled_product(self.node, whole, self.weights, self.scale, self.bias)

    def returned(self, hidden: int) -> int:
        state = quantized(self.node, hidden)
        scale = pair(self.node, "mul", state.scale, self.recurrent_scale)
        whole = as_type(self.node, state.steps, "int32")
        return scaled_product(self.node, whole, self.recurrent, scale, self.recurrent_bias)


def dynamic_quantize_lstm(node: NodeReading) -> Made:
    """Weights [directions, input, gates * units], a scale for each direction or column."""
    build = node.build
    x = quantized(node, build.plain(node.inputs[0]))
    steps = f"{' '.join(node.outputs)}.steps"
    build.values[steps] = Value(x.steps)
    inner = replace(node, op="LSTM", inputs=[steps, *node.inputs[1:]])

    def direct(place: int) -> Direction:
        def part(operand: int, what: str) -> np.ndarray:
            return np.asarray(node.constant(operand, what)[place])

        weights, back = (
            part(operand, "weights").astype(np.int32) - part(zero, "zero point").astype(np.int32)
            for operand, zero in ((1, 9), (2, 11))
        )
        scales = [build.constant(part(operand, "scale")) for operand in (8, 10)]
        halves = np.split(part(3, "bias"), 2) if node.has(3) else ()
        bias, recurrent_bias = map(build.constant, halves) if node.has(3) else (None, None)
        return OfBytes(
            inner, build.constant(weights), build.constant(back), bias, recurrent_bias,
            units=len(back), gates=4, scale=pair(node, "mul", x.scale, scales[0]),
            recurrent_scale=scales[1],
        )  # fmt: skip

    return recurrent(inner, direct)


READERS: Mapping[str, Callable[[NodeReading], Made]] = {
    "DynamicQuantizeLSTM": dynamic_quantize_lstm,
}
