"""Writes .tflite files with the custom operators of Larq Compute Engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from flatbuffers import flexbuffers

from ..runtime import bits
from ..runtime.attributes import Pair
from ..runtime.shapes import words_of
from .tflite_writer import ModelBuilder

ACTIVATIONS = ("none", "relu", "relu_n1_to_1", "relu6")


class LarqBuilder(ModelBuilder):
    """A `ModelBuilder` that also knows Larq's four operators. Each answers with its output."""

    def custom(self, code: str, inputs: Sequence[int | None], output: int, **options: int) -> int:
        content = bytes(flexbuffers.Dumps(options)) if options else b""
        self.node("CUSTOM", inputs, [output], custom_code=code, custom_options=content)
        return output

    def shape(self, tensor: int) -> tuple[int, ...]:
        return self.tensors[tensor].shape

    def packed(self, shape: Sequence[int]) -> int:
        """A tensor of bits: [..., channels] in words."""
        return self.tensor((*shape[:-1], words_of(shape[-1])), "int32")

    def lce_quantize(self, x: int) -> int:
        return self.custom("LceQuantize", [x], self.packed(self.shape(x)))

    def lce_dequantize(self, x: int, output: int) -> int:
        return self.custom("LceDequantize", [x], output)

    def lce_bconv2d(
        self,
        x: int,
        negative: np.ndarray,
        output: int,
        channels: int,
        multiplier: np.ndarray | None = None,
        bias: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
        stride: Pair = (1, 1),
        dilation: Pair = (1, 1),
        padding: str = "SAME",
        pad_value: int = 1,
        activation: str = "none",
    ) -> int:
        """`negative` says which weights [filters, height, width, depth] are -1."""
        operands = [
            None if multiplier is None else self.constant(multiplier, "float32"),
            None if bias is None else self.constant(bias, "float32"),
            None if thresholds is None else self.constant(thresholds, "int32"),
        ]
        return self.custom(
            "LceBconv2d",
            [x, self.constant(bits.pack(negative), "int32"), *operands],
            output,
            channels_in=channels,
            dilation_height_factor=dilation[0],
            dilation_width_factor=dilation[1],
            fused_activation_function=ACTIVATIONS.index(activation),
            pad_values=pad_value,
            padding=0 if padding == "SAME" else 1,
            stride_height=stride[0],
            stride_width=stride[1],
        )

    def lce_bmax_pool2d(
        self, x: int, output: int, window: Pair, stride: Pair, padding: str = "SAME"
    ) -> int:
        return self.custom(
            "LceBMaxPool2d",
            [x],
            output,
            filter_height=window[0],
            filter_width=window[1],
            stride_height=stride[0],
            stride_width=stride[1],
            padding=0 if padding == "SAME" else 1,
        )
