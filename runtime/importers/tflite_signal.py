"""Readers of TFLM's signal library: custom operators with their options in a FlexBuffer map.

Their states stand for no tensor of the file; TFLM keeps them within the operator. What sizes and
types may be, `kernels/signal_*.py` says. (tflite-micro, python/tflite_micro/signal/ops.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ..attributes import NoAttrs, Shape
from ..custom import Options
from ..signal import (
    Delay,
    Energy,
    FilterBank,
    Fourier,
    Framer,
    Log,
    OverlapAdd,
    Pcan,
    SpectralSubtraction,
    Stacker,
    Window,
)
from .tflite_custom import options
from .tflite_file import MAX_ELEMENTS, Malformed
from .tflite_reading import Parts, Reader, Reading

VERSION = 1 << 30  # custom operators' versions are their writers' own
_TYPES = {7: "int16", 2: "int32", 0: "float32"}  # the option T, a TensorType of the schema
_WORD = (1 << 31) - 1


def _whole(known: Options, name: str, least: int = 0, most: int = _WORD) -> int:
    try:
        value = known[name]
    except ValueError as error:
        raise Malformed(f"its custom options have no {name}") from error
    if not isinstance(value, int) or not least <= value <= most:
        raise Malformed(f"{name} must be a whole number from {least} to {most}, not {value!r}")
    return value


def _plain(op: str, attrs: Callable[[Options], Any], inputs: int = 1, outputs: int = 1) -> Reader:
    """An operator without a state."""

    def read(node: Reading) -> Parts:
        own = attrs(options(node.operator.custom_options))
        for position in range(inputs):
            _shape(node, position)
        return Parts(op, own, node.operands(*range(inputs)))

    return Reader(read, None, VERSION, (inputs, inputs), outputs)


def _shape(node: Reading, position: int = 0) -> Shape:
    """Of an operand, a vector at least; a scale's bits are a scalar."""
    tensor = node.tensor(position)
    if not tensor.shape and position == 0:
        raise Malformed("its input is a scalar")
    return tensor.shape


def _keeping(
    op: str, read: Callable[[Options, Shape], tuple[Any, int]], outputs: int, dtype: str = ""
) -> Reader:
    """An operator with a state of one axis; `read` gives its attributes and the state's size."""

    def parts(node: Reading) -> Parts:
        attrs, size = read(options(node.operator.custom_options), _shape(node))
        if not 1 <= size <= MAX_ELEMENTS:
            raise Malformed(f"it would keep {size} numbers")
        state = ((size,), dtype or node.tensor(0).dtype)
        return Parts(op, attrs, node.operands(0), states=(state,))

    return Reader(parts, None, VERSION, (1, 1), outputs)


def _fourier(op: str) -> Reader:
    def read(node: Reading) -> Parts:
        known = options(node.operator.custom_options)
        _shape(node)
        _typed(node, known)
        return Parts(op, Fourier(_whole(known, "fft_length", 2)), node.operands(0))

    return Reader(read, None, VERSION)


def _typed(node: Reading, known: Options) -> None:
    """T says again what the tensor's type is."""
    stated, dtype = _TYPES.get(_whole(known, "T")), node.tensor(0).dtype
    if stated != dtype:
        raise Malformed(f"its option T says {stated or 'another type'}, its input is {dtype}")


def _subtraction(known: Options, shape: Shape) -> tuple[SpectralSubtraction, int]:
    channels = _whole(known, "num_channels", 1)
    if shape != (channels,):
        raise Malformed(f"num_channels is {channels}, its input has the shape {list(shape)}")
    attrs = SpectralSubtraction(
        channels,
        (_whole(known, "smoothing"), _whole(known, "alternate_smoothing")),
        (_whole(known, "one_minus_smoothing"), _whole(known, "alternate_one_minus_smoothing")),
        _whole(known, "min_signal_remaining"),
        _whole(known, "smoothing_bits", most=31),
        _whole(known, "spectral_subtraction_bits", most=63),
        bool(_whole(known, "clamping", most=1)),
    )
    return attrs, channels


def _framer(known: Options, shape: Shape) -> tuple[Framer, int]:
    size = _whole(known, "frame_size", 1)
    step, prefill = _whole(known, "frame_step", 1, size), _whole(known, "prefill", most=1)
    attrs = Framer(size, step, bool(prefill))
    return attrs, math.prod(shape[:-1]) * attrs.history + 1


def _stacker(known: Options, shape: Shape) -> tuple[Stacker, int]:
    names = ("stacker_left_context", "stacker_right_context")
    left, right = (_whole(known, name, most=32767) for name in names)
    step = _whole(known, "stacker_step", 1, left + 1 + right)
    attrs = Stacker(_whole(known, "num_channels", 1), left, right, step)
    return attrs, attrs.channels * attrs.frames + 1


def _delay(known: Options, shape: Shape) -> tuple[Delay, int]:
    attrs = Delay(_whole(known, "delay_length", 1))
    return attrs, math.prod(shape[:-1]) * attrs.length


def _overlap_add(known: Options, shape: Shape) -> tuple[OverlapAdd, int]:
    if len(shape) < 2:
        raise Malformed("its input must have frames along its last two axes")
    attrs = OverlapAdd(_whole(known, "frame_step", 1, shape[-1]))
    return attrs, math.prod(shape[:-2]) * shape[-1]


def _log(known: Options) -> Log:
    correction = _whole(known, "input_correction_bits", most=31)
    return Log(_whole(known, "output_scale"), correction)


def _energy(known: Options) -> Energy:
    return Energy(_whole(known, "start_index"), _whole(known, "end_index"))


_WITH_STATE: Mapping[str, Reader] = {
    "SignalDelay": _keeping("signal_delay", _delay, 1),
    "SignalFilterBankSpectralSubtraction": _keeping(
        "signal_filter_bank_spectral_subtraction", _subtraction, 2
    ),
    "SignalFramer": _keeping("signal_framer", _framer, 2),
    "SignalOverlapAdd": _keeping("signal_overlap_add", _overlap_add, 1),
    "SignalStacker": _keeping("signal_stacker", _stacker, 2),
}
KEEPING = frozenset(_WITH_STATE)

READERS: Mapping[str, Reader] = {
    **_WITH_STATE,
    "SignalEnergy": _plain("signal_energy", _energy),
    "SignalFftAutoScale": _plain("signal_fft_auto_scale", lambda known: NoAttrs(), outputs=2),
    "SignalFilterBank": _plain(
        "signal_filter_bank", lambda known: FilterBank(_whole(known, "num_channels", 1)), 6
    ),
    "SignalFilterBankLog": _plain("signal_filter_bank_log", _log),
    "SignalFilterBankSquareRoot": _plain(
        "signal_filter_bank_square_root", lambda known: NoAttrs(), 2
    ),
    "SignalIrfft": _fourier("signal_irfft"),
    "SignalPCAN": _plain("signal_pcan", lambda known: Pcan(_whole(known, "snr_shift", most=63)), 3),
    "SignalRfft": _fourier("signal_rfft"),
    "SignalWindow": _plain(
        "signal_window", lambda known: Window(_whole(known, "shift", most=31)), 2
    ),
}
