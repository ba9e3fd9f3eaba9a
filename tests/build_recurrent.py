"""Ready .tflite models of one operator that keeps a state."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from seeded_model import STEPS, SeededModel, Shape


def lstm(
    batch: int = 1,
    steps: int = 5,
    depth: int = 4,
    units: int = 3,
    dtype: str = "int8",
    time_major: bool = False,
    cell_clip: float = 0.0,
    hidden_zero_point: int = 0,
    coupled: bool = False,
    seed: int = 0,
) -> bytes:
    """UNIDIRECTIONAL_SEQUENCE_LSTM without peephole, projection or layer normalization.

    int8: weights int8, cell state int16 of scale 2^-11, the five intermediates of the schema.
    `coupled` gates leave the input gate out.
    """
    # A small input scale, lest every gate is open or shut.
    model, quantized = SeededModel(dtype, seed, input_scale=0.008), dtype != "float32"
    unit = 2.0**-15 if dtype == "int16" else 1 / 128
    hidden = (unit, hidden_zero_point) if quantized else ()
    lead = (steps, batch) if time_major else (batch, steps)
    x = model.activation((*lead, depth))
    inputs: list[int | None] = [x, *[None] * 23]
    for gate in range(coupled, 4):
        weights, scales = model.weights((units, depth), 0, per_channel=False)
        inputs[1 + gate] = weights
        inputs[5 + gate] = model.weights((units, units), 0, per_channel=False)[0]
        inputs[12 + gate] = model.bias(units, scales, depth)
    inputs[18] = _state(model, (batch, units), dtype, *hidden)
    cell = ("int16", 2.0**-11) if quantized else (dtype,)
    inputs[19] = _state(model, (batch, units), *cell)
    middle = [model.tensor((0,), "float32") for _ in range(4)]
    middle.append(model.tensor((0,), dtype, *hidden))
    y = model.activation((*lead, units), *hidden)
    model.node(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        inputs,
        [y],
        fused_activation_function="TANH",
        cell_clip=cell_clip,
        time_major=time_major,
        intermediates=middle if quantized else (),
    )
    return model.build([x], [y])


def svdf(
    batch: int = 1,
    depth: int = 8,
    units: int = 4,
    rank: int = 2,
    memory: int = 5,
    dtype: str = "int8",
    activation: str = "RELU",
    bias: bool = True,
    seed: int = 0,
) -> bytes:
    """SVDF: feature weights [units * rank, depth], time weights [units * rank, memory], a state.

    int8: time weights and state int16.
    """
    model, filters, quantized = SeededModel(dtype, seed), units * rank, dtype != "float32"
    x = model.activation((batch, depth))
    features, scales = model.weights((filters, depth), 0, per_channel=False)
    unscaled = STEPS["int8"] ** 2 * model.input_scale if quantized else 0.5
    spread = unscaled * float(scales[0]) * math.sqrt(depth)
    state_scale, time_scale = 3 * spread / 32768, 1 / 65536
    time_data = model.rng.integers(-32767, 32768, (filters, memory)) / (1 if quantized else 32768)
    time_fields = {"scale": time_scale} if quantized else {}
    times = model.constant(time_data, "int16" if quantized else dtype, **time_fields)
    unit = np.float32(state_scale * time_scale) if quantized else np.float32(1)
    values = model.rng.normal(0, spread, units)
    bias_fields = {"scale": unit} if quantized else {}
    bias_dtype = "int32" if quantized else dtype
    offset = model.constant(values / unit, bias_dtype, **bias_fields) if bias else None
    state_shape = (batch, filters * memory)
    state = _state(model, state_shape, *(("int16", state_scale) if quantized else (dtype,)))
    out_scale = 3 * spread * math.sqrt(rank * memory) / 128
    y = model.activation((batch, units), out_scale)
    model.node(
        "SVDF",
        [x, features, times, offset, state],
        [y],
        rank=rank,
        fused_activation_function=activation,
    )
    return model.build([x], [y])


def _state(model: SeededModel, shape: Shape, dtype: str, *quantization: Any) -> int:
    return model.tensor(shape, dtype, *quantization, variable=True)
