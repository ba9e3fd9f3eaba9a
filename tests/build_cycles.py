"""Models with circular buffers that end inferences."""

from __future__ import annotations

import numpy as np
from build_general import Q
from flatbuffers import flexbuffers
from tflite_writer import ModelBuilder

ROW = (1, 1, 4, 3)


def buffered(model: ModelBuilder, x: int, rows: int, cycles: int, scale: float = Q[1]) -> int:
    kept = model.tensor((1, rows, 4, 3), Q[0], scale, Q[2], variable=True)
    model.node(
        "CUSTOM", [x], [kept], custom_code="CIRCULAR_BUFFER",
        custom_options=flexbuffers.Dumps({"cycles_max": cycles}),
    )  # fmt: skip
    return kept


def pooled(model: ModelBuilder, x: int, rows: int) -> int:
    y = model.tensor(ROW, *Q)
    window = {"filter_height": rows, "filter_width": 1, "stride_w": 1, "stride_h": 1}
    options = "Pool2DOptions"
    model.node("AVERAGE_POOL_2D", [x], [y], padding="VALID", options_type=options, **window)
    return y


def ending(first: int = 2, second: int = 2) -> bytes:
    """One inference of `first` goes on behind a buffer of 4 rows, of those one of `second` behind
    one of 3, and what is behind one of a single row always; outputs are made before, by and behind
    each."""
    model, rng = ModelBuilder(), np.random.default_rng(15)
    x, twice = model.tensor(ROW, *Q), model.tensor(ROW, *Q)
    model.node("ADD", [x, x], [twice])
    rows = buffered(model, x, 4, first)
    w = model.constant(rng.integers(-127, 128, (3, 2, 1, 3)), "int8", scale=[0.01] * 3, axis=0)
    bias = model.constant(rng.integers(-99, 99, 3), "int32", scale=[0.0005] * 3, axis=0)
    made = model.tensor((1, 3, 4, 3), *Q)
    model.node("CONV_2D", [rows, w, bias], [made], padding="VALID", stride_h=1, stride_w=1)
    late = model.tensor((1, 3, 4, 3), *Q)
    model.node("ADD", [made, twice], [late])
    later = buffered(model, pooled(model, late, 3), 3, second)
    last = model.tensor((1, 3, 4, 3), *Q)
    model.node("ADD", [later, x], [last])
    one = buffered(model, pooled(model, last, 3), 1, 1)
    return model.build([x], [twice, rows, late, later, last, one])


def keeping() -> bytes:
    """An SVDF behind a buffer that ends inferences."""
    model, rng = ModelBuilder(), np.random.default_rng(16)
    x, y = model.tensor(ROW, *Q), model.tensor((1, 2), *Q)
    flat = model.tensor((1, 12), *Q)
    shape = model.constant(np.array([1, 12]), "int32")
    model.node("RESHAPE", [pooled(model, buffered(model, x, 4, 2), 4), shape], [flat])
    w = model.constant(rng.integers(-127, 128, (2, 12)), "int8", scale=0.01)
    time = model.constant(rng.integers(-127, 128, (2, 3)), "int16", scale=0.01)
    state = model.tensor((1, 6), "int16", 0.01, 0, variable=True)
    model.node("SVDF", [flat, w, time, None, state], [y], rank=1)
    return model.build([x], [y])
