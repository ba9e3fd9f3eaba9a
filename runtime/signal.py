"""Operators of TFLM's signal library, an audio front end inside the model: attributes and shapes.

(tensorflow/tflite-micro, signal/micro/kernels.) What they compute, `kernels/signal_*.py` says.
Spectra are complex numbers, the real part before the imaginary one, along the last axis.
"""

from __future__ import annotations

from dataclasses import dataclass

from .attributes import Shape
from .graph import Graph, Node


@dataclass(frozen=True)
class Window:
    """Products are shifted right by `shift` bits."""

    shift: int = 0


@dataclass(frozen=True)
class Fourier:
    """A transform of `length` real numbers."""

    length: int = 2


@dataclass(frozen=True)
class Energy:
    """Bins from `start` up to `end` are computed; the others are 0."""

    start: int = 0
    end: int = 0


@dataclass(frozen=True)
class FilterBank:
    channels: int = 1


@dataclass(frozen=True)
class SpectralSubtraction:
    """Weights have `bits` fractional bits; those of even and odd channels are two pairs."""

    channels: int = 1
    smoothing: tuple[int, int] = (0, 0)
    one_minus_smoothing: tuple[int, int] = (0, 0)
    min_signal_remaining: int = 0
    smoothing_bits: int = 0
    bits: int = 0
    clamping: bool = False


@dataclass(frozen=True)
class Pcan:
    """Per-channel amplitude normalization: the gained signal is shifted right by `snr_shift`."""

    snr_shift: int = 0


@dataclass(frozen=True)
class Log:
    output_scale: int = 1
    input_correction_bits: int = 0


@dataclass(frozen=True)
class Framer:
    """Frames of `size` samples, `step` apart. With `prefill`, zeros came before the first one."""

    size: int = 1
    step: int = 1
    prefill: bool = False

    @property
    def waits(self) -> int:
        """Steps that come before the first frame is valid."""
        return 0 if self.prefill else -(-self.size // self.step) - 1

    @property
    def history(self) -> int:
        """Samples that are kept for the next frame."""
        return self.size - self.step if self.prefill else self.waits * self.step


@dataclass(frozen=True)
class Stacker:
    """Each answer is `left` frames, one, and `right` frames; the next is `step` frames later."""

    channels: int = 1
    left: int = 0
    right: int = 0
    step: int = 1

    @property
    def frames(self) -> int:
        return self.left + 1 + self.right


@dataclass(frozen=True)
class Delay:
    """By `length` samples."""

    length: int = 1


@dataclass(frozen=True)
class OverlapAdd:
    """Frames are added up, each `step` samples after the one before."""

    step: int = 1


def auto_scale_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    return graph.input(node).shape, ()


def rfft_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    *outer, count = graph.input(node).shape
    if count > node.attrs.length:
        raise ValueError(f"{count} samples for a transform of {node.attrs.length}")
    return ((*outer, node.attrs.length + 2),)


def irfft_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    *outer, count = graph.input(node).shape
    if count != node.attrs.length + 2:
        raise ValueError(f"a transform to {node.attrs.length} samples takes no {count} numbers")
    return ((*outer, node.attrs.length),)


def energy_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    (count,) = graph.input(node).shape
    return ((count // 2,),)


def filter_bank_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    return ((node.attrs.channels,),)


def subtraction_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    """outputs: what is left of the signal, the noise"""
    return graph.input(node).shape, graph.input(node).shape


def framer_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    """outputs: frames, whether all of them are valid"""
    *outer, count = graph.input(node).shape
    if count % node.attrs.step:
        raise ValueError(f"{count} samples in steps of {node.attrs.step}")
    return (*outer, count // node.attrs.step, node.attrs.size), ()


def stacker_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    """outputs: the stacked frames, whether they are valid"""
    return (node.attrs.channels * node.attrs.frames,), ()


def overlap_add_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    *outer, frames, _ = graph.input(node).shape
    return ((*outer, frames * node.attrs.step),)
