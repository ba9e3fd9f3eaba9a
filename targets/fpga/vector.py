"""Jobs of the vector engine: depthwise convolutions, pools and additions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ...hw.commands import Opcode
from ...hw.driver import Piece, TileJob
from ...hw.jobs import VectorJob
from ...hw.machine import TAPS, Machine
from ...kernels.add import LEFT_SHIFT
from ...kernels.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from ...runtime.errors import TargetError
from .lower import (
    Convolution,
    check_parameters,
    fold_zero_point,
    pack_parameters,
    pieces,
    weight_words,
)

SIDE = 3  # of the engine's window
POOL_SHIFT = 12  # as in `hw.vector_lane`: the fraction bits under a pool's sum
IDENTITY = (1 << 30, 1)  # multiplier and shift that leave a sum as it is
MOST_POOLS = 64  # output pixels of an average pool, a job each


@dataclass(frozen=True)
class Pass:
    """Up to 3x3 taps of a kernel: those from `top`, `left` on."""

    top: int
    left: int


def stream_fields(layer: Convolution, part: Pass, top: int, input_h: int) -> dict[str, int]:
    """What is streamed for a pass whose image has `input_h` rows and `top` rows of padding."""
    (stride_h, stride_w), width = layer.stride, layer.input_shape[1]
    top, left = top - part.top, layer.padding[2] - part.left
    first_row = min(max(0, -top), SIDE - 1 - top)
    first_column = min(max(0, -left), SIDE - 1 - left)
    output_w = layer.output_shape[1]
    last = min(width - 1, stride_w * (output_w - 1) - left + SIDE - 1)
    row_pixels = max(stride_w * output_w, last - first_column + 1)
    rows, columns = SIDE - 1 - top - first_row, SIDE - 1 - left - first_column
    return {
        "stride_h": stride_h,
        "stride_w": stride_w,
        "first_row": first_row,
        "first_column": first_column,
        "row_pixels": row_pixels,
        "delay": rows * row_pixels + columns,
        "first_position": -left,
        "input_h": input_h,
        "input_w": width,
    }


def depthwise_job(
    layer: Convolution,
    weights: np.ndarray,
    bias: np.ndarray,
    multipliers: np.ndarray,
    shifts: np.ndarray,
    machine: Machine,
) -> list[TileJob]:
    """The jobs of a depthwise convolution, int8 weights [height, width, channels]."""
    check_parameters(layer, weights, multipliers, shifts)
    folded = fold_zero_point(weights.transpose(2, 0, 1)[..., None], bias, layer.input_zero_point)
    parameters = pack_parameters(folded, multipliers, shifts, machine)
    return _windowed(layer, weights, parameters, Opcode.SUM, machine)


def max_pool_job(layer: Convolution, machine: Machine) -> list[TileJob]:
    """The jobs of a maximum pool, whose window is the layer's kernel."""
    height, width = layer.kernel
    if max(height, width) > SIDE:
        raise TargetError(f"a maximum is taken over at most 3x3 pixels, not {height}x{width}")
    channels = layer.output_shape[2]
    parameters = _same_parameters(IDENTITY, channels, machine)
    return _windowed(
        layer, np.ones((height, width, channels), np.int8), parameters, Opcode.MAX, machine
    )


def average_pool_job(layer: Convolution, machine: Machine) -> list[TileJob]:
    """The jobs of an average pool without padding: one for each output pixel."""
    height, width = layer.kernel
    output_h, output_w, channels = layer.output_shape
    if any(layer.padding) or output_h * output_w > MOST_POOLS:
        raise TargetError("an average is taken without padding and of at most 64 windows")
    rule = mean_rule(height * width)
    parameters = _same_parameters(rule, channels, machine)
    row_bytes = layer.input_shape[1] * layer.input_shape[2]
    output = _aligned(layer.input_shape[0] * row_bytes, machine)
    jobs = []
    for number, (row, column) in enumerate(np.ndindex(output_h, output_w)):
        y, x = row * layer.stride[0], column * layer.stride[1]
        jobs.append(
            VectorJob(
                opcode=Opcode.POOL,
                input_address=y * row_bytes + x * channels,
                output_address=output + number * channels,
                output_h=1,
                output_w=1,
                row_pixels=width,
                delay=height * width - 1,
                input_h=height,
                input_w=layer.input_shape[1],
                **_common(layer, channels),
            )
        )
    for job in jobs:
        job.check(machine)
    whole = Piece(0, 0, (0, layer.input_shape[0]))
    tile = TileJob(
        tuple(jobs), _NO_WEIGHTS, parameters, (whole,), output, layer.output_shape, (0, output_h),
        (0, channels),
    )  # fmt: skip
    return [tile]


def mean_rule(count: int) -> tuple[int, int]:
    """Multiplier and shift that make of a sum of `count` int8, shifted, its rounded mean.

    TFLite rounds half away from zero. All sums are tried: a rule that misses one is refused.
    """
    rule = quantize_multiplier(1.0 / (count << POOL_SHIFT))
    if count > 1 << 31 - 7 - POOL_SHIFT - 1:
        raise TargetError(f"a mean of {count} pixels does not fit 32 bits")
    sums = np.arange(-128 * count, 127 * count + 1, dtype=np.int64)
    wanted = np.where(sums > 0, 1, -1) * ((np.abs(sums) + count // 2) // count)
    made = multiply_by_quantized_multiplier(sums << POOL_SHIFT, *rule)
    if not np.array_equal(wanted, made):
        raise TargetError(f"no multiplier makes the mean of {count} pixels exactly")
    return rule


def add_job(words: Mapping[str, int], elements: int, machine: Machine) -> list[TileJob]:
    """The jobs of an addition, `words` as `kernels.add.rescaling` gives them."""
    fields: dict[str, Any] = {}
    for side in ("a", "b"):
        multiplier, shift = words[f"{side}_multiplier"], words[f"{side}_shift"]
        if words[f"{side}_left"] != LEFT_SHIFT["int8"]:
            raise TargetError("an operand is rounded once, the accelerator rounds twice")
        if not -31 <= shift <= 0:
            raise TargetError(f"an operand's scale must not grow by 2**{shift}")
        fields |= {
            f"{side}_multiplier": multiplier,
            f"{side}_offset": words[f"{side}_offset"],
            f"{side}_right": -shift,
        }
    size = _aligned(elements, machine)
    step, jobs = machine.columns, []
    for first, count, width in _vectors(elements, step):
        job = VectorJob(
            opcode=Opcode.ADD,
            input_address=first,
            second_address=size + first,
            output_address=2 * size + first,
            weight_address=0,
            parameter_address=0,
            input_h=1,
            input_w=count,
            input_c=width,
            output_h=1,
            output_w=count,
            output_c=width,
            output_pitch=width,
            row_pixels=count,
            output_zero_point=words["y_offset"],
            minimum=words["minimum"],
            maximum=words["maximum"],
            **fields,
        )
        job.check(machine)
        jobs.append(job)
    parameters = _same_parameters((words["y_multiplier"], words["y_shift"]), step, machine)
    operands = (Piece(0, 0, (0, 1)), Piece(1, size, (0, 1)))
    tile = TileJob(
        tuple(jobs), _NO_WEIGHTS, parameters, operands, 2 * size, (1, 1, elements), (0, 1),
        (0, elements),
    )  # fmt: skip
    return [tile]


_NO_WEIGHTS = np.zeros(0, np.uint32)


def _vectors(elements: int, step: int) -> Iterator[tuple[int, int, int]]:
    """(first element, vectors, elements of a vector): whole vectors, and the rest."""
    whole = elements // step
    if whole:
        yield 0, whole, step
    if elements % step:
        yield whole * step, 1, elements % step


def _windowed(
    layer: Convolution, weights: np.ndarray, parameters: np.ndarray, opcode: Opcode,
    machine: Machine,
) -> list[TileJob]:  # fmt: skip
    """Tiles of output rows; in each, passes over the kernel for groups of channels."""
    passes = _passes(layer.kernel)
    packed = pack_taps(weights, passes, machine)
    if len(packed) > machine.weight_words * machine.weight_word_bytes // 4:
        raise TargetError(f"{len(packed)} words of depthwise weights don't fit the accelerator")
    for rows in range(layer.output_shape[0], 0, -1):
        try:
            return [
                _window_tile(layer, span, passes, packed, parameters, opcode, machine)
                for span in pieces(layer.output_shape[0], rows)
            ]
        except TargetError:
            if rows == 1:
                raise
    raise AssertionError("an output has a row")


def _passes(kernel: tuple[int, int]) -> list[Pass]:
    return [Pass(*at) for at in product(range(0, kernel[0], SIDE), range(0, kernel[1], SIDE))]


def pack_taps(weights: np.ndarray, passes: list[Pass], machine: Machine) -> np.ndarray:
    """Weights [height, width, channels] as uint32 words: groups, passes, taps, channels."""
    channels = weights.shape[2]
    groups = -(-channels // machine.columns)
    taps = machine.tap_words * machine.chains
    filled = np.zeros((groups, len(passes), taps, machine.columns), np.int8)
    padded = np.pad(weights, ((0, SIDE - 1), (0, SIDE - 1), (0, -channels % machine.columns)))
    for number, part in enumerate(passes):
        window = padded[part.top : part.top + SIDE, part.left : part.left + SIDE]
        by_group = window.reshape(TAPS, groups, machine.columns).transpose(1, 0, 2)
        filled[:, number, :TAPS] = by_group
    return weight_words(filled, machine)


def _window_tile(
    layer: Convolution, rows: tuple[int, int], passes: list[Pass], packed: np.ndarray,
    parameters: np.ndarray, opcode: Opcode, machine: Machine,
) -> TileJob:  # fmt: skip
    span, (_, width, channels) = layer.rows(), layer.input_shape
    first, last, _, _ = span.needs(*rows)
    first = min(first, layer.input_shape[0] - 1)
    last = max(last, first + 1)
    top = first - int(span.low[rows[0]])
    output = _aligned((last - first) * width * channels, machine)
    jobs = []
    for group, number in _order(channels, len(passes), machine):
        offset = group * machine.columns
        count = channels if len(passes) == 1 else min(machine.columns, channels - offset)
        common = _common(layer, count) | {
            "weight_address": (group * len(passes) + number) * machine.tap_words,
            "parameter_address": group,
        }
        job = VectorJob(
            opcode=opcode,
            first=int(number == 0),
            last=int(number == len(passes) - 1),
            input_address=offset,
            output_address=output + offset,
            output_h=rows[1] - rows[0],
            output_w=layer.output_shape[1],
            **common,
            **stream_fields(layer, passes[number], top, last - first),
        )
        job.check(machine)
        jobs.append(job)
    shape = (rows[1] - rows[0], layer.output_shape[1], channels)
    return TileJob(
        tuple(jobs), packed, parameters, (Piece(0, 0, (first, last)),), output, shape, rows,
        (0, channels),
    )  # fmt: skip


def _order(channels: int, passes: int, machine: Machine) -> Iterator[tuple[int, int]]:
    """(group, pass): a job makes all groups if there is one pass, else one pass of one group."""
    groups = -(-channels // machine.columns)
    yield from product(range(groups if passes > 1 else 1), range(passes))


def _common(layer: Convolution, channels: int) -> dict[str, int]:
    return {
        "weight_address": 0,
        "parameter_address": 0,
        "input_c": layer.input_shape[2],
        "output_c": channels,
        "output_pitch": layer.output_shape[2],
        "input_zero_point": layer.input_zero_point,
        "output_zero_point": layer.output_zero_point,
        "minimum": layer.clamp[0],
        "maximum": layer.clamp[1],
    }


def _same_parameters(rule: tuple[int, int], channels: int, machine: Machine) -> np.ndarray:
    """No bias, and one multiplier and shift for all channels."""
    multiplier, shift = rule
    zeros = np.zeros(channels, np.int64)
    return pack_parameters(zeros, zeros + multiplier, zeros + shift, machine)


def _aligned(size: int, machine: Machine) -> int:
    return -(-size // machine.word_bytes) * machine.word_bytes
