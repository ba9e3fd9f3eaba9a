"""From a quantized layer to jobs: tiles that fit the memories, with packed weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...hw.commands import Opcode
from ...hw.driver import Piece, TileJob
from ...hw.jobs import Job
from ...hw.machine import CHAIN, PARAMETER_BYTES, Machine, power_of_two
from ...runtime.errors import TargetError
from ...runtime.regions import Span, window


@dataclass(frozen=True)
class Convolution:
    """The geometry and quantization of a layer, as far as all its tiles share them."""

    input_shape: tuple[int, int, int]  # height, width, channels
    output_shape: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int, int, int]  # top, bottom, left, right
    input_zero_point: int
    output_zero_point: int
    clamp: tuple[int, int]
    opcode: Opcode = Opcode.CONV2D
    passes: int = 1  # over the weights, which add up

    def rows(self) -> Span:
        """The input rows that output rows need."""
        extent = (self.kernel[0] - 1) * self.dilation[0] + 1
        return window(
            self.output_shape[0], self.input_shape[0], extent, self.stride[0], self.padding[0]
        )


def conv2d_job(
    x_shape: Sequence[int],
    weights: np.ndarray,
    bias: np.ndarray | None,
    multipliers: np.ndarray,
    shifts: np.ndarray,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    input_zero_point: int = 0,
    output_zero_point: int = 0,
    clamp: tuple[int, int] = (-128, 127),
    machine: Machine | None = None,
    opcode: Opcode = Opcode.CONV2D,
) -> list[TileJob]:
    """The jobs of one convolution, in the order in which the driver is to run them.

    `x_shape` is (height, width, channels), `weights` int8 [output channels, kernel height, kernel
    width, channels] (OHWI), `bias` int32 or None for zeros, `multipliers` and `shifts` one an
    output channel, as `multiply_by_quantized_multiplier` takes them (positive shifts left),
    `padding` (top, bottom, left, right). Raises `TargetError` if no tiling fits.
    """
    machine = machine or Machine()
    layer = describe(
        x_shape, weights.shape, stride, dilation, padding,
        (input_zero_point, output_zero_point), clamp,
    )  # fmt: skip
    layer = replace(layer, opcode=opcode)
    segments = layer.kernel[1] if layer.dilation[1] > 1 else 1
    check_parameters(layer, weights, multipliers, shifts)
    bias = np.zeros(len(weights), np.int32) if bias is None else bias
    folded = fold_zero_point(weights, bias, input_zero_point)
    if opcode == Opcode.CONV2D and machine.packed and (weights == -128).any():
        layer, weights = in_two_passes(layer, weights)
        segments = layer.passes
    channel_step, row_step = _tile_size(layer, machine)
    tiles = []
    for channels in pieces(layer.output_shape[2], channel_step):
        part = slice(*channels)
        packed = pack_weights(weights[part], segments, machine)
        constants = pack_parameters(folded[part], multipliers[part], shifts[part], machine)
        for rows in pieces(layer.output_shape[0], row_step):
            job, input_rows = _tile(layer, rows, channels[1] - channels[0], machine)
            job.check(machine)
            shape = (rows[1] - rows[0], layer.output_shape[1], job.pixel_bytes)
            piece = Piece(0, job.input_address, input_rows)
            share = job.pixel_bytes / job.output_c
            into = (round(channels[0] * share), round(channels[1] * share))
            tiles.append(
                TileJob((job,), packed, constants, (piece,), job.output_address, shape, rows, into)
            )
    return tiles


def fully_connected_job(
    weights: np.ndarray, bias: np.ndarray | None, multipliers: np.ndarray, shifts: np.ndarray,
    input_zero_point: int = 0, output_zero_point: int = 0, clamp: tuple[int, int] = (-128, 127),
    machine: Machine | None = None,
) -> list[TileJob]:  # fmt: skip
    """The jobs of a fully connected layer, int8 weights [outputs, inputs]: a 1x1 convolution."""
    outputs, inputs = weights.shape
    return conv2d_job(
        (1, 1, inputs), weights.reshape(outputs, 1, 1, inputs), bias, multipliers, shifts,
        input_zero_point=input_zero_point, output_zero_point=output_zero_point, clamp=clamp,
        machine=machine,
    )  # fmt: skip


def in_two_passes(layer: Convolution, weights: np.ndarray) -> tuple[Convolution, np.ndarray]:
    """The layer with each kernel row twice, with weights of -127 to 127 that add up to the given.

    An array with two products in a DSP needs such weights. Horizontal dilation becomes zeros.
    """
    step = layer.dilation[1]
    outputs, kernel_h, kernel_w, channels = weights.shape
    dense = np.zeros((outputs, kernel_h, (kernel_w - 1) * step + 1, channels), np.int8)
    dense[:, :, ::step] = weights
    near = np.maximum(dense, -127)
    both = np.concatenate([near, dense - near], axis=2)
    kernel = (kernel_h, dense.shape[2])
    return replace(layer, kernel=kernel, dilation=(layer.dilation[0], 1), passes=2), both


def fold_zero_point(weights: np.ndarray, bias: np.ndarray, zero_point: int) -> np.ndarray:
    """Bias with which sum(x * w) + bias is sum((x - zero_point) * w) + the old bias, modulo 2**32.

    Padding is the zero point itself, so that it adds nothing.
    """
    sums = weights.astype(np.int64).sum(axis=(1, 2, 3))
    return (bias.astype(np.int64) - zero_point * sums).astype(np.int32)


def pack_weights(weights: np.ndarray, segments: int, machine: Machine) -> np.ndarray:
    """OHWI weights as uint32 words, in the order in which the array is loaded.

    Groups of output channels, kernel rows, `segments` of a kernel row (the row itself, its taps if
    they are dilated, or its passes), `rows` bytes of a segment; of these, rows 0 of all chains,
    then rows 1 and so on, each with `columns` output channels. Zeros fill the last rows of a
    segment, and the last channels.
    """
    outputs, kernel_h, kernel_w, channels = weights.shape
    segment = kernel_w * channels // segments
    depth, groups = -(-segment // machine.rows), -(-outputs // machine.columns)
    filled = np.zeros((groups * machine.columns, kernel_h, segments, depth * machine.rows), np.int8)
    filled[:outputs, ..., :segment] = weights.reshape(outputs, kernel_h, segments, segment)
    tiles = filled.reshape(groups, machine.columns, -1, machine.chains, CHAIN)
    return weight_words(tiles.transpose(0, 2, 4, 3, 1), machine)


def weight_words(values: np.ndarray, machine: Machine) -> np.ndarray:
    """int8 [..., weights of a word] as the uint32 words of the address map."""
    values = values.reshape(-1, machine.weight_word_values)
    words = np.zeros((len(values), machine.weight_word_bytes), np.int8)
    words[:, : machine.weight_word_values] = values
    return words.reshape(-1).view("<u4").astype(np.uint32)


def pack_parameters(
    bias: np.ndarray, multipliers: np.ndarray, shifts: np.ndarray, machine: Machine
) -> np.ndarray:
    """Bias, multiplier and shift of each output channel as uint32 words, zeros for absent ones."""
    groups = -(-len(bias) // machine.columns)
    fields = np.zeros((groups * machine.columns, PARAMETER_BYTES // 4), np.int64)
    fields[: len(bias), :3] = np.stack([bias, multipliers, shifts], axis=1)
    tiles = np.zeros((groups, power_of_two(machine.columns), PARAMETER_BYTES // 4), np.int64)
    tiles[:, : machine.columns] = fields.reshape(groups, machine.columns, -1)
    return (tiles.reshape(-1) & 0xFFFF_FFFF).astype(np.uint32)


def describe(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: tuple[int, int, int, int],
    zero_points: tuple[int, int],
    clamp: tuple[int, int],
) -> Convolution:
    height, width, channels = x_shape
    outputs, kernel_h, kernel_w, depth = w_shape
    if depth != channels:
        raise TargetError(f"weights must have the input's {channels} channels, not {depth}")
    output_h = _output_size(height + padding[0] + padding[1], kernel_h, stride[0], dilation[0])
    output_w = _output_size(width + padding[2] + padding[3], kernel_w, stride[1], dilation[1])
    if output_h < 1 or output_w < 1:
        raise TargetError(
            f"the kernel must fit the padded input; {kernel_h}x{kernel_w} does not fit "
            f"{height}x{width} with padding {padding}"
        )
    return Convolution(
        input_shape=(height, width, channels),
        output_shape=(output_h, output_w, outputs),
        kernel=(kernel_h, kernel_w),
        stride=stride,
        dilation=dilation,
        padding=padding,
        input_zero_point=zero_points[0],
        output_zero_point=zero_points[1],
        clamp=clamp,
    )


def _output_size(size: int, kernel: int, stride: int, dilation: int) -> int:
    return (size - (kernel - 1) * dilation - 1) // stride + 1


def check_parameters(
    layer: Convolution, weights: np.ndarray, multipliers: np.ndarray, shifts: np.ndarray
) -> None:
    outputs = layer.output_shape[2]
    if weights.dtype != np.int8:
        raise TargetError(f"weights must be int8, not {weights.dtype}")
    if len(multipliers) != outputs or len(shifts) != outputs:
        raise TargetError(
            f"{outputs} output channels need as many multipliers and shifts, "
            f"not {len(multipliers)} and {len(shifts)}"
        )
    wide = np.asarray(multipliers, np.int64)
    if not ((wide == 0) | ((wide >= 1 << 30) & (wide < 1 << 31))).all():
        raise TargetError("multipliers must be 0 or 2**30 to 2**31 - 1")
    if not ((np.asarray(shifts) >= -31) & (np.asarray(shifts) <= 3)).all():
        raise TargetError("shifts must be -31 to 3")


def pieces(size: int, step: int) -> Iterator[tuple[int, int]]:
    for start in range(0, size, step):
        yield start, min(start + step, size)


def _tile_size(layer: Convolution, machine: Machine) -> tuple[int, int]:
    """(channels, rows) of the largest tiles that fit: all channels first, then all rows."""
    for groups in range(_groups_that_fit(layer, machine), 0, -1):
        channels = groups * machine.columns
        if rows := _rows_that_fit(layer, channels, machine):
            return channels, rows
    for row in pieces(layer.output_shape[0], 1):
        job, _ = _tile(layer, row, min(machine.columns, layer.output_shape[2]), machine)
        job.check(machine)  # says what does not fit, for one row at least
    raise AssertionError("single rows fit, so a tile of one row must have been found")


def _groups_that_fit(layer: Convolution, machine: Machine) -> int:
    """As many groups of output channels as the weight and parameter memories hold."""
    job, _ = _tile(layer, (0, 1), min(machine.columns, layer.output_shape[2]), machine)
    words = job.depth_tiles(machine) * CHAIN
    groups = min(machine.weight_words // words, machine.parameter_tiles)
    if groups == 0:
        raise TargetError(
            f"{machine.columns} output channels need {words} weight words; "
            f"the accelerator has {machine.weight_words}"
        )
    return min(groups, -(-layer.output_shape[2] // machine.columns))


def _rows_that_fit(layer: Convolution, channels: int, machine: Machine) -> int:
    """As many output rows as the accumulators and the activation memory hold; 0 if not one."""
    channels = min(channels, layer.output_shape[2])
    output_h, output_w, _ = layer.output_shape
    for rows in range(min(output_h, machine.accumulators // output_w), 0, -1):
        parts = pieces(output_h, rows)
        if all(_fits(_tile(layer, piece, channels, machine)[0], machine) for piece in parts):
            return rows
    return 0


def _fits(job: Job, machine: Machine) -> bool:
    try:
        job.check(machine)
    except TargetError:
        return False
    return True


def _tile(
    layer: Convolution, rows: tuple[int, int], channels: int, machine: Machine
) -> tuple[Job, tuple[int, int]]:
    """(job, input rows) for some output rows: input at the scratchpad's start, output after it."""
    span, height = layer.rows(), layer.input_shape[0]
    first, last, _, _ = span.needs(*rows)
    first = min(first, height - 1)  # one row at least, even if the window sees padding alone
    last = max(last, first + 1)
    input_bytes = (last - first) * layer.input_shape[1] * layer.input_shape[2]
    job = Job(
        input_address=0,
        output_address=-(-input_bytes // machine.word_bytes) * machine.word_bytes,
        weight_address=0,
        parameter_address=0,
        input_h=last - first,
        input_w=layer.input_shape[1],
        input_c=layer.input_shape[2],
        output_h=rows[1] - rows[0],
        output_w=layer.output_shape[1],
        output_c=channels,
        output_pitch=-(-channels // 8) if layer.opcode == Opcode.BCONV2D_BITS else channels,
        opcode=layer.opcode,
        kernel_h=layer.kernel[0],
        kernel_w=layer.kernel[1],
        stride_h=layer.stride[0],
        stride_w=layer.stride[1],
        dilation_h=layer.dilation[0],
        dilation_w=layer.dilation[1],
        passes=layer.passes,
        padding_top=first - int(span.low[rows[0]]),
        padding_left=layer.padding[2],
        input_zero_point=layer.input_zero_point,
        output_zero_point=layer.output_zero_point,
        minimum=layer.clamp[0],
        maximum=layer.clamp[1],
    )
    return job, (first, last)
