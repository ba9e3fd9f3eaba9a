"""Sliding windows over NHWC images in NumPy: what every output pixel sees."""

from __future__ import annotations

import numpy as np

from ..runtime.attributes import Padding, Pair
from ..runtime.shapes import effective


def windows(
    x: np.ndarray,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair = (1, 1),
    fill: float = 0,
) -> np.ndarray:
    """A view [batch, output rows, output columns, kernel height, kernel width, channels].

    Taps outside the image see `fill`.
    """
    edges = ((0, 0), (padding.top, padding.bottom), (padding.left, padding.right), (0, 0))
    padded = np.pad(x, edges, constant_values=fill) if any(map(any, edges)) else x
    batch, height, width, channels = padded.shape
    extent = effective(kernel, dilation)
    rows, columns = (height - extent[0]) // stride[0] + 1, (width - extent[1]) // stride[1] + 1
    image, row, column, channel = padded.strides
    return np.lib.stride_tricks.as_strided(
        padded,
        (batch, rows, columns, *kernel, channels),
        (
            image,
            row * stride[0],
            column * stride[1],
            row * dilation[0],
            column * dilation[1],
            channel,
        ),
        writeable=False,
    )
