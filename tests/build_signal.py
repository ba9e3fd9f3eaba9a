"""Ready .tflite models of TFLM's signal library: one operator each, and a whole audio front end.

Options are the FlexBuffer maps that TFLM's own Python writes (python/tflite_micro/signal/ops).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from flatbuffers import flexbuffers
from tflite_writer import ModelBuilder

TYPES = {"int16": 7, "int32": 2, "float32": 0}
Tensor = tuple[Sequence[int], str]  # shape, dtype


def flexbuffer(**options: Any) -> bytes:
    """A map of whole numbers, truth values and texts."""
    builder = flexbuffers.Builder()
    with builder.Map():
        for name, value in sorted(options.items()):
            builder.Key(name)
            kinds = {bool: builder.Bool, int: builder.Int, str: builder.String}
            kinds.get(type(value), builder.Float)(value)
    return bytes(builder.Finish())


def signal(
    code: str,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    constants: Sequence[np.ndarray] = (),
    content: bytes | None = None,
    **options: Any,
) -> bytes:
    """A model of one operator; `content` is its options as they shall stand in the file."""
    model = ModelBuilder()
    given = [model.tensor(shape, dtype) for shape, dtype in inputs]
    tables = [model.constant(values, values.dtype.name) for values in constants]
    made = [model.tensor(shape, dtype) for shape, dtype in outputs]
    packed = flexbuffer(**options) if content is None else content
    model.node("CUSTOM", [*given, *tables], made, custom_code=code, custom_options=packed)
    return model.build(given, made)


def window(count: int = 12, rows: int = 1, shift: int = 12) -> bytes:
    weights = np.random.default_rng(0).integers(-(2**15), 2**15, count).astype(np.int16)
    x = (rows, count), "int16"
    return signal("SignalWindow", [x], [x], [weights], shift=shift)


def auto_scale(count: int = 16) -> bytes:
    x = (count,), "int16"
    return signal("SignalFftAutoScale", [x], [x, ((), "int32")])


def rfft(length: int = 32, count: int | None = None, dtype: str = "int16", rows: int = 1) -> bytes:
    x = (rows, length if count is None else count), dtype
    y = (rows, length + 2), dtype
    return signal("SignalRfft", [x], [y], T=TYPES[dtype], fft_length=length)


def irfft(length: int = 32, dtype: str = "int16", rows: int = 1) -> bytes:
    x, y = ((rows, length + 2), dtype), ((rows, length), dtype)
    return signal("SignalIrfft", [x], [y], T=TYPES[dtype], fft_length=length)


def energy(bins: int = 9, start: int = 0, end: int | None = None) -> bytes:
    return signal(
        "SignalEnergy", [((2 * bins,), "int16")], [((bins,), "uint32")],
        start_index=start, end_index=bins if end is None else end,
    )  # fmt: skip


def bank_tables(bins: int, channels: int, first: int = 0) -> list[np.ndarray]:
    """Triangles over `bins`, wider and wider: weights, unweights, first bins, first weights,
    widths."""
    edges = first + np.linspace(0, (bins - first) ** 0.5, channels + 2) ** 2
    edges = edges.astype(int)
    widths = np.diff(edges)
    rise = [np.arange(width, 0, -1) / max(width, 1) for width in widths]
    weights = np.round(np.concatenate(rise) * 4096).astype(np.int16)
    starts = np.cumsum([0, *widths[:-1]])
    tables = (weights, 4096 - weights, edges[:-1], starts, widths)
    return [np.asarray(table, np.int16) for table in tables]


def filter_bank(bins: int = 33, channels: int = 7) -> bytes:
    return signal(
        "SignalFilterBank", [((bins,), "uint32")], [((channels,), "uint64")],
        bank_tables(bins, channels), num_channels=channels,
    )  # fmt: skip


def square_root(count: int = 9) -> bytes:
    inputs = [((count,), "uint64"), ((), "int32")]
    return signal("SignalFilterBankSquareRoot", inputs, [((count,), "uint32")])


SMOOTHING: dict[str, int | bool] = {
    "smoothing": 409,
    "one_minus_smoothing": 15975,
    "alternate_smoothing": 983,
    "alternate_one_minus_smoothing": 15401,
    "min_signal_remaining": 819,
    "smoothing_bits": 10,
    "spectral_subtraction_bits": 14,
    "clamping": False,
}


def subtraction(channels: int = 7, **changes: int | bool) -> bytes:
    x = (channels,), "uint32"
    options = SMOOTHING | changes
    code = "SignalFilterBankSpectralSubtraction"
    return signal(code, [x], [x, x], num_channels=channels, **options)


def gains(offset: float = 80.0, strength: float = 0.95) -> np.ndarray:
    """A gain table: 2**21 * (noise / 2**7 + offset) ** -strength, by parabolas (int16 [125])."""

    def gain(noise: float) -> int:
        return int(min(2**21 * (noise / 2**7 + offset) ** -strength + 0.5, 32767))

    table = [gain(0), gain(1)]
    for bits in range(2, 33):
        low, middle, high = (gain(x) for x in (2 ** (bits - 1), 1.5 * 2 ** (bits - 1), 2**bits))
        table += [low, 4 * (middle - low) - (high - low), (high - low) * 2 - 4 * (middle - low), 0]
    return np.array(table, np.int64).clip(-32768, 32767).astype(np.int16)


def pcan(channels: int = 7, snr_shift: int = 6, wild: bool = False) -> bytes:
    x, table = ((channels,), "uint32"), gains()
    if wild:  # whatever overflows
        table = np.random.default_rng(0).integers(-(2**15), 2**15, len(table)).astype(np.int16)
    return signal("SignalPCAN", [x, x], [x], [table], snr_shift=snr_shift)


def log(channels: int = 7, output_scale: int = 1600, input_correction_bits: int = 3) -> bytes:
    return signal(
        "SignalFilterBankLog", [((channels,), "uint32")], [((channels,), "int16")],
        output_scale=output_scale, input_correction_bits=input_correction_bits,
    )  # fmt: skip


def framer(
    count: int = 8, size: int = 10, step: int = 4, prefill: bool = False, outer: Sequence[int] = ()
) -> bytes:
    x, y = (*outer, count), (*outer, count // step, size)
    return signal(
        "SignalFramer", [(x, "int16")], [(y, "int16"), ((), "bool")],
        frame_size=size, frame_step=step, prefill=prefill,
    )  # fmt: skip


def stacker(channels: int = 5, left: int = 2, right: int = 1, step: int = 2) -> bytes:
    outputs = [((channels * (left + 1 + right),), "int16"), ((), "bool")]
    return signal(
        "SignalStacker", [((channels,), "int16")], outputs, num_channels=channels,
        stacker_left_context=left, stacker_right_context=right, stacker_step=step,
    )  # fmt: skip


def delay(shape: Sequence[int] = (2, 6), length: int = 4) -> bytes:
    x = shape, "int16"
    return signal("SignalDelay", [x], [x], delay_length=length)


def overlap_add(
    frames: int = 2, size: int = 7, step: int = 3, dtype: str = "int16", outer: Sequence[int] = ()
) -> bytes:
    x, y = (*outer, frames, size), (*outer, frames * step)
    return signal("SignalOverlapAdd", [(x, dtype)], [(y, dtype)], T=TYPES[dtype], frame_step=step)


OPERATORS = (
    *(window, auto_scale, rfft, irfft, energy, filter_bank, square_root, subtraction, pcan, log),
    *(framer, stacker, delay, overlap_add),
)


def front_end(
    size: int = 480, step: int = 320, length: int = 512, channels: int = 40, stacked: int = 0
) -> bytes:
    """Samples of one step in, logarithmic mel energies out: micro_speech's chain, one frame.

    With `stacked` the last few frames come out side by side.
    """
    model, bins = ModelBuilder(), length // 2 + 1

    def add(code: str, inputs: Sequence[int], outputs: Sequence[Tensor], **options: Any) -> list:
        made = [model.tensor(shape, dtype) for shape, dtype in outputs]
        packed = flexbuffer(**options)
        model.node("CUSTOM", inputs, made, custom_code=code, custom_options=packed)
        return made

    x = model.tensor((step,), "int16")
    hann = 0.5 - 0.5 * np.cos(2 * math.pi * (np.arange(size) + 0.5) / size)
    weights = model.constant(np.round(hann * 4096), "int16")
    tables = [model.constant(table, "int16") for table in bank_tables(bins, channels, 3)]
    samples, ready = add(
        "SignalFramer", [x], [((1, size), "int16"), ((), "bool")],
        frame_size=size, frame_step=step, prefill=True,
    )  # fmt: skip
    (framed,) = add("SignalWindow", [samples, weights], [((1, size), "int16")], shift=12)
    flat = model.tensor((size,), "int16")
    model.node("RESHAPE", [framed, model.constant([size])], [flat], new_shape=[size])
    scaled, bits = add("SignalFftAutoScale", [flat], [((size,), "int16"), ((), "int32")])
    (spectrum,) = add("SignalRfft", [scaled], [((2 * bins,), "int16")], T=7, fft_length=length)
    (squares,) = add(
        "SignalEnergy", [spectrum], [((bins,), "uint32")], start_index=3, end_index=bins
    )
    (sums,) = add(
        "SignalFilterBank", [squares, *tables], [((channels,), "uint64")], num_channels=channels
    )
    one = (channels,), "uint32"
    (roots,) = add("SignalFilterBankSquareRoot", [sums, bits], [one])
    left, noise = add(
        "SignalFilterBankSpectralSubtraction", [roots], [one, one],
        num_channels=channels, **SMOOTHING,
    )  # fmt: skip
    table = gains()
    (even,) = add("SignalPCAN", [left, noise, model.constant(table, "int16")], [one], snr_shift=6)
    (y,) = add(
        "SignalFilterBankLog", [even], [((channels,), "int16")],
        output_scale=1600, input_correction_bits=3,
    )  # fmt: skip
    outputs = [y, ready]
    if stacked:
        outputs = add(
            "SignalStacker", [y], [((channels * stacked,), "int16"), ((), "bool")],
            num_channels=channels, stacker_left_context=stacked - 1, stacker_right_context=0,
            stacker_step=1,
        )  # fmt: skip
    return model.build([x], outputs)


def in_a_part(code: str) -> bytes:
    """A delay inside both branches of an IF, or inside the body of a WHILE that runs twice."""
    model, ends = ModelBuilder(), [((1,), "int32"), ((8,), "int16")]
    part = ModelBuilder()
    i, x = given = [part.tensor(*end) for end in ends]
    later, y = made = [part.tensor(*end) for end in ends]
    part.node("ADD", [i, part.constant([1])], [later])
    delay = flexbuffer(delay_length=3)
    part.node("CUSTOM", [x], [y], custom_code="SignalDelay", custom_options=delay)
    body = model.part(part, given, made)
    part = ModelBuilder()
    given, goes_on = [part.tensor(*end) for end in ends], part.tensor((1,), "bool")
    part.node("LESS", [given[0], part.constant([2])], [goes_on])
    numbers = {"cond_subgraph_index": model.part(part, given, [goes_on])}
    x, made = model.tensor(*ends[1]), [model.tensor(*end) for end in ends]
    state, choose = [model.constant([0]), x], [x]
    if code == "IF":
        choose = [model.tensor((1,), "bool"), x]
        state = [choose[0], *state]
        numbers = {"then_subgraph_index": body, "else_subgraph_index": body}
    else:
        numbers["body_subgraph_index"] = body
    model.node(code, state, made, options_type=f"{code.capitalize()}Options", **numbers)
    return model.build(choose, made[1:])
