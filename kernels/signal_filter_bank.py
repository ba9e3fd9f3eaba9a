"""signal_filter_bank and what follows it: square root, spectral subtraction, PCAN, logarithm.

All in fixed point; what doesn't fit a register's bits is lost, as in C. (tflite-micro,
signal/src/filter_bank*.cc, square_root_*.cc, pcan_argc_fixed.cc, log.cc; the ideas: Wang et al.,
"Trainable Frontend For Robust and Far-Field Keyword Spotting", ICASSP 2017.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import Address, Constant, Lowered
from .operation import Operation, layout

FILTER_BANK = layout(
    "signal_filter_bank_u32", "x y channels weights unweights frequencies starts widths"
)
SQUARE_ROOT = layout("signal_filter_bank_square_root_u64", "x y bits count")
# `even` and `odd`: the weight of the signal in the noise of these channels, `_noise` the old one's
SUBTRACTION = layout(
    "signal_filter_bank_spectral_subtraction_u32",
    "x y noise state channels even even_noise odd odd_noise floor smoothing_bits bits clamping",
)
PCAN = layout("signal_pcan_u32", "x noise y gains count snr_shift")
LOG = layout("signal_filter_bank_log_u32", "x y corrections count scale shift")

GAINS = 4 * 32 - 3  # numbers of a gain table: 2, then 4 for each magnitude of the noise
SNR_BITS, OUTPUT_BITS = 12, 6  # fractional bits inside PCAN and of its answer
SEGMENTS = 128  # of the logarithm's table
LN_2 = 45426  # with 16 fractional bits
STATE = 1  # operand position

Arrays = Sequence[np.ndarray | None]


def _data(graph: Graph, node: Node, position: int) -> np.ndarray:
    data = graph.input(node, position).data
    assert data is not None
    return data


# ---- filter bank --------------------------------------------------------------------------------


def filter_bank_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """A bin's energy goes by its weight into one channel, by its unweight into the next."""
    x, weights, unweights, frequencies, starts, widths = (
        np.asarray(array).astype(np.uint64) for array in arrays
    )
    sums = []
    for frequency, start, width in zip(frequencies, starts, widths, strict=True):
        energy = x[frequency : frequency + width]
        own = slice(start, start + width)
        sums.append([(energy * part[own]).sum(dtype=np.uint64) for part in (weights, unweights)])
    # The first channel has no neighbour below, and is none itself.
    return [np.array([a[1] + b[0] for a, b in pairwise(sums)], np.uint64)]


def lower_filter_bank(graph: Graph, node: Node) -> Lowered:
    names = ("weights", "unweights", "frequencies", "starts", "widths")
    tables = {name: Constant(_data(graph, node, i + 1)) for i, name in enumerate(names)}
    return FILTER_BANK.lowered(
        x=Address(node.operands[0]),
        y=Address(node.outputs[0]),
        channels=node.attrs.channels,
        **tables,
    )


def bank_types(graph: Graph, node: Node) -> bool:
    """The input must be uint32, the output uint64, and the five tables constant int16 vectors."""
    tables = [graph.input(node, i) for i in range(1, 6)]
    known = all(t.constant and t.dtype == "int16" and len(t.shape) == 1 for t in tables)
    return known and (graph.input(node).dtype, graph.output(node).dtype) == ("uint32", "uint64")


def bank_in_range(graph: Graph, node: Node) -> bool:
    """Each channel's bins must lie in the spectrum and its weights in their tables, and the tables
    have an entry for each channel and one more."""
    weights, unweights, *rows = (_data(graph, node, i).astype(np.int64) for i in range(1, 6))
    if any(len(row) != node.attrs.channels + 1 for row in rows) or (np.stack(rows) < 0).any():
        return False
    frequencies, starts, widths = rows
    bins, known = graph.input(node).elements, min(len(weights), len(unweights))
    return bool((frequencies + widths <= bins).all() and (starts + widths <= known).all())


# ---- square root --------------------------------------------------------------------------------


def square_root_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """Rounded to the nearest, then shifted right by the scale's bits (modulo 32)."""
    x, bits = arrays
    assert x is not None and bits is not None
    roots = np.array([_root(int(value)) for value in x], np.uint32)
    return [roots >> np.uint32(int(bits) & 31)]


def _root(x: int) -> int:
    """The nearest whole root; the greatest of 16 bits, or of 32, isn't rounded up."""
    root = math.isqrt(x)
    most = 0xFFFF if x < 1 << 32 else 0xFFFFFFFF
    return root + (x - root * root > root and root != most)


def lower_square_root(graph: Graph, node: Node) -> Lowered:
    x, bits = node.operands
    return SQUARE_ROOT.lowered(
        x=Address(x),
        y=Address(node.outputs[0]),
        bits=Address(bits),
        count=graph.input(node).elements,
    )


def root_types(graph: Graph, node: Node) -> bool:
    """The input must be uint64, the output uint32, and the scale's bits one int32 that is
    computed."""
    x, bits = graph.input(node), graph.input(node, 1)
    scalar = bits.dtype == "int32" and bits.elements == 1 and not bits.constant
    return scalar and (x.dtype, graph.output(node).dtype) == ("uint64", "uint32")


# ---- spectral subtraction -----------------------------------------------------------------------


def subtraction_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """What of each channel is above its noise, a smoothed signal; the noise."""
    x, state = arrays
    assert x is not None and state is not None
    attrs, wide, word = node.attrs, np.uint64, np.uint32
    odd = np.arange(len(x)) & 1
    smoothing, kept = (np.array(pair, wide)[odd] for pair in
                       (attrs.smoothing, attrs.one_minus_smoothing))  # fmt: skip
    signal = x << word(attrs.smoothing_bits)
    noise = (signal * smoothing + state * kept >> wide(attrs.bits)).astype(word)
    below = np.minimum(noise, signal)
    state[...] = below if attrs.clamping else noise
    floor = (x.astype(wide) * wide(attrs.min_signal_remaining) >> wide(attrs.bits)).astype(word)
    left = signal - below >> word(attrs.smoothing_bits)
    return [np.maximum(left, floor), state.copy()]


def lower_subtraction(graph: Graph, node: Node) -> Lowered:
    """The state is updated in place."""
    attrs, (y, noise), (x, state) = node.attrs, node.outputs, node.operands
    return SUBTRACTION.lowered(
        x=Address(x),
        y=Address(y),
        noise=Address(noise),
        state=Address(state),
        channels=attrs.channels,
        even=attrs.smoothing[0],
        even_noise=attrs.one_minus_smoothing[0],
        odd=attrs.smoothing[1],
        odd_noise=attrs.one_minus_smoothing[1],
        floor=attrs.min_signal_remaining,
        smoothing_bits=attrs.smoothing_bits,
        bits=attrs.bits,
        clamping=int(attrs.clamping),
    )


def energies(graph: Graph, node: Node) -> bool:
    """Inputs and outputs must be uint32 (a gain table: int16)."""
    tensors = [graph.tensors[t] for t in (*node.operands, *node.outputs)]
    return all(t.dtype == "uint32" for t in tensors if not t.constant)


# ---- per-channel amplitude normalization --------------------------------------------------------


def pcan_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """The signal times a gain that a piecewise parabola gives for its noise, then shrunk."""
    x, noise, gains = arrays
    assert x is not None and noise is not None and gains is not None
    gain = np.array([_gain(int(value), gains) for value in noise], np.int64).astype(np.uint32)
    product = x.astype(np.uint64) * gain
    ratio = (product >> np.uint64(node.attrs.snr_shift)).astype(np.uint32)
    squared = ratio * ratio >> np.uint32(2 + 2 * SNR_BITS - OUTPUT_BITS)
    linear = (ratio >> np.uint32(SNR_BITS - OUTPUT_BITS)) - np.uint32(1 << OUTPUT_BITS)
    return [np.where(ratio < 2 << SNR_BITS, squared, linear)]


def _gain(noise: int, gains: np.ndarray) -> int:
    """An int16, of int32 arithmetic that wraps."""
    if noise <= 2:
        return int(gains[noise])
    bits = noise.bit_length()
    base, slope, curve = gains[4 * bits - 6 :][:3].tolist()
    fraction = (noise << 11 - bits if bits < 11 else noise >> bits - 11) & 0x3FF
    rise = _signed((curve * fraction >> 5) + (slope << 5), 32)
    return _signed((_signed(rise * fraction + (1 << 14), 32) >> 15) + base, 16)


def _signed(value: int, bits: int) -> int:
    half = 1 << bits - 1
    return (value + half) % (2 * half) - half


def lower_pcan(graph: Graph, node: Node) -> Lowered:
    x, noise, _ = node.operands
    return PCAN.lowered(
        x=Address(x),
        noise=Address(noise),
        y=Address(node.outputs[0]),
        gains=Constant(_data(graph, node, 2)),
        count=graph.input(node).elements,
        snr_shift=node.attrs.snr_shift,
    )


def gain_table(graph: Graph, node: Node) -> bool:
    """Signal and noise must be computed and of one size, and the gains a constant int16 vector of
    at least 125 numbers; snr_shift is 0 to 63."""
    x, noise, gains = (graph.input(node, i) for i in range(3))
    known = gains.constant and gains.dtype == "int16" and gains.elements >= GAINS
    fits = known and x.shape == noise.shape and not (x.constant or noise.constant)
    return fits and 0 <= node.attrs.snr_shift <= 63


# ---- logarithm ----------------------------------------------------------------------------------


def corrections() -> np.ndarray:
    """How far log2(1 + i / 128) lies above the line i / 128, with 16 fractional bits; two zeros
    behind."""
    curve = (math.log2(1 + i / SEGMENTS) - i / SEGMENTS for i in range(SEGMENTS))
    return np.array([*(round(65536 * c) for c in curve), 0, 0], np.int16)


def log_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """The natural logarithm of the signal times a power of two, times a scale; 0 up to 1."""
    (x,), attrs = arrays, node.attrs
    assert x is not None
    scaled = x << np.uint32(attrs.input_correction_bits)
    table = corrections().tolist()
    found = [
        _log(value, attrs.output_scale, table) if value > 1 else 0 for value in scaled.tolist()
    ]
    return [np.array(found, np.int16)]


def _log(x: int, scale: int, table: Sequence[int]) -> int:
    whole = x.bit_length() - 1
    fraction = (x - (1 << whole) << 16) >> whole
    segment, rest = divmod(fraction, 65536 // SEGMENTS)
    line = (table[segment + 1] - table[segment]) * rest >> 16
    log2 = (whole << 16) + fraction + table[segment] + line
    natural = LN_2 * log2 + 32768 >> 16
    return min((scale * natural + 32768 & 0xFFFFFFFF) >> 16, 32767)


def lower_log(graph: Graph, node: Node) -> Lowered:
    return LOG.lowered(
        x=Address(node.operands[0]),
        y=Address(node.outputs[0]),
        corrections=Constant(corrections()),
        count=graph.input(node).elements,
        scale=node.attrs.output_scale,
        shift=node.attrs.input_correction_bits,
    )


def log_types(graph: Graph, node: Node) -> bool:
    """The input must be uint32 and the output int16."""
    return (graph.input(node).dtype, graph.output(node).dtype) == ("uint32", "int16")


OPERATIONS: Mapping[str, Operation] = {
    "signal_filter_bank": Operation(
        filter_bank_reference, lower_filter_bank, (FILTER_BANK,), (bank_types, bank_in_range)
    ),
    "signal_filter_bank_square_root": Operation(
        square_root_reference, lower_square_root, (SQUARE_ROOT,), (root_types,)
    ),
    "signal_filter_bank_spectral_subtraction": Operation(
        subtraction_reference, lower_subtraction, (SUBTRACTION,), (energies,)
    ),
    "signal_pcan": Operation(pcan_reference, lower_pcan, (PCAN,), (energies, gain_table)),
    "signal_filter_bank_log": Operation(log_reference, lower_log, (LOG,), (log_types,)),
}
