"""Kernel calls as the C kernels take them: those of the host, plus room to work in.

A C kernel widens what one output pixel sees before it multiplies; where that is put is planned with
all other memory of the arena.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache

from ...kernels import table
from ...kernels.operation import Layout
from ...runtime import custom
from ...runtime.graph import Graph, Node
from ...runtime.lowering import Lowered, Scratch
from . import helium, helium_bits, linear_add, packed, paired, quads, sliding, wide, winograd
from .instructions import counted
from .one_channel import as_convolution


def _columns(graph: Graph, node: Node) -> Scratch:
    """The input window of one output pixel and one group, as int16.

    Taps that aren't a multiple of four channels are gathered first, as bytes.
    """
    taps = graph.input(node, 1).shape[1:]
    padded = -(-math.prod(taps) // 4) * 4
    return Scratch((2 if taps[2] % 4 == 0 else 3) * padded, alignment=4)


def _taps(graph: Graph, node: Node) -> Scratch:
    """Two words for each tap of a depthwise window: where its x is, and where its weights are."""
    return Scratch(8 * math.prod(graph.input(node, 1).shape[1:3]), alignment=4)


# kernel -> its last field, which only the C kernel has
_SCRATCH: Mapping[str, tuple[str, Callable[[Graph, Node], Scratch]]] = {
    "conv2d_s8": ("columns", _columns),
    "depthwise_conv2d_s8": ("taps", _taps),
}

Attempt = Callable[[Graph, Node, Lowered], Lowered | None]
# plain kernel -> its twin for the DSP extension, where that will do
_DSP: Mapping[str, Attempt] = {
    "conv2d_s8": paired.lower_conv2d,
    "fully_connected_s8": paired.lower_fully_connected,
    "depthwise_conv2d_s8": quads.lower_depthwise_conv2d,
    "add_s8": linear_add.lower_add,
}
# kernel -> its twins that take more flash, each faster than the one before
_LAVISH: Mapping[str, tuple[Attempt, ...]] = {
    "conv2d_s8": (wide.lower_conv2d, winograd.lower_conv2d),
    "fully_connected_s8": (wide.lower_fully_connected,),
}
SPENDING = ("cortex-m4", "cortex-m7")  # the targets that have such twins
# likewise for Helium
_HELIUM: Mapping[str, Attempt] = {
    "conv2d_s8": helium.lower_conv2d,
    "depthwise_conv2d_s8": helium.lower_depthwise_conv2d,
    "fully_connected_s8": helium.lower_fully_connected,
    "add_s8": helium.lower_add,
    "bconv2d_f32": helium_bits.lower,
    "bconv2d_s8": helium_bits.lower,
    "bconv2d_b1": helium_bits.lower,
}
_PLAIN: Mapping[str, Attempt] = {"add_s8": linear_add.lower_add}
# many registers, and no vectors
_PACKED: Mapping[str, Attempt] = {
    "conv2d_s8": packed.lower_conv2d,
    "depthwise_conv2d_s8": sliding.lower_depthwise_conv2d,
    "fully_connected_s8": packed.lower_fully_connected,
    "add_s8": linear_add.lower_add,
}
_FAST: Mapping[str, Mapping[str, Attempt]] = {
    "cortex-m0": _PLAIN,
    "cortex-m4": _DSP,
    "cortex-m7": _DSP,
    "cortex-m55": _HELIUM,
    "armv7": _DSP,
    "rv32imc": _PACKED,
}

_FAST_LAYOUTS = (
    *paired.LAYOUTS,
    *packed.LAYOUTS,
    *wide.LAYOUTS,
    winograd.CONV2D,
    *quads.LAYOUTS,
    sliding.DEPTHWISE_CONV2D,
    linear_add.ADD,
    *helium_bits.LAYOUTS,
)

# kernel -> its twin that takes no scratch, with the words of the host's
_DIRECT: Mapping[str, str] = {
    "conv2d_s8": "conv2d_direct_s8",
    "depthwise_conv2d_s8": "depthwise_conv2d_direct_s8",
}


def layouts() -> Mapping[str, Layout]:
    """The parameter words of every C kernel, by the kernel's name."""
    return _layouts(len(custom.found()))


@lru_cache(maxsize=1)
def _layouts(brought: int) -> Mapping[str, Layout]:
    plain = table.layouts()
    return {
        **{direct: Layout(direct, plain[name].fields) for name, direct in _DIRECT.items()},
        **{
            name: Layout(name, (*words.fields, _SCRATCH[name][0])) if name in _SCRATCH else words
            for name, words in plain.items()
        },
        **{words.kernel: words for words in (*_FAST_LAYOUTS, *helium.LAYOUTS)},
    }


def lower(graph: Graph, node: Node, target: str = "cortex-m4") -> Lowered:
    """The kernel call that makes a node which is not refused."""
    lowered = table.lower(graph, node)
    convolution = as_convolution(graph, node) if "conv2d_s8" in _FAST[target] else None
    if convolution is not None:
        return replace(lower(*convolution, target), by_row=lowered.by_row)
    own = _own(graph, node, target, lowered)
    if target not in SPENDING:
        return own
    twins = [attempt(graph, node, lowered) for attempt in _LAVISH.get(lowered.kernel, ())]
    lavish = None
    for twin in reversed([twin for twin in twins if twin is not None]):
        lavish = replace(counted(graph, node, twin), lavish=lavish)
    return replace(counted(graph, node, own), lavish=lavish) if lavish is not None else own


def _own(graph: Graph, node: Node, target: str, lowered: Lowered) -> Lowered:
    """The call that takes no more flash than the weights do."""
    special = _FAST[target].get(lowered.kernel)
    fast = special(graph, node, lowered) if special else None
    if fast is not None and target not in ("cortex-m4", "cortex-m7", "armv7"):
        # So much slower are the plain kernels that room for these is always made.
        return replace(fast, by_row=lowered.by_row)
    if lowered.kernel not in _SCRATCH:
        plain = lowered
    elif fast is not None or getattr(node.attrs, "multiplier", 1) > 1:  # a list is no faster then
        plain = replace(lowered, kernel=_DIRECT[lowered.kernel])
    else:
        plain = _with_scratch(graph, node, lowered)
    if fast is None:
        return plain
    return replace(paired.with_frugal(*fast.choices, plain), by_row=lowered.by_row)


def _with_scratch(graph: Graph, node: Node, lowered: Lowered) -> Lowered:
    field, size = _SCRATCH[lowered.kernel]
    words = layouts()[lowered.kernel]
    widened = words.lowered(lowered.granularity, **lowered.fields, **{field: size(graph, node)})
    direct = replace(lowered, kernel=_DIRECT[lowered.kernel])
    return replace(widened, by_row=lowered.by_row, frugal=direct)
