"""Operators that carry samples on: signal_framer, _stacker, _delay and _overlap_add.

Their states are the samples themselves, oldest first; those of a framer and a stacker end with a
count of what came. Where an answer isn't valid yet, samples that never came are 0. (tflite-micro,
signal/micro/kernels/framer.cc, stacker.cc, delay.cc, overlap_add.cc; there such answers are
whatever was in memory.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..runtime.attributes import Shape
from ..runtime.graph import Graph, Node
from ..runtime.lowering import Address, Field, Lowered
from ..runtime.signal import Framer
from .operation import Layout, Operation, layout

# `outer` lines of samples; each keeps `history` samples in the state, then `waits` is counted to.
FRAMER = layout("signal_framer_s16", "x y state valid outer frames size step history waits")
STACKER = layout("signal_stacker_s16", "x y state valid channels left frames step")
DELAY = layout("signal_delay_s16", "x y state outer size length")
OVERLAP_ADD: Mapping[str, Layout] = {
    dtype: layout(f"signal_overlap_add_{suffix}", "x y state outer frames size step")
    for dtype, suffix in (("int16", "s16"), ("float32", "f32"))
}

Arrays = Sequence[np.ndarray | None]


def framer_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """Every `step` samples one frame of `size`; whether enough samples came for all of them."""
    x, state = arrays
    assert x is not None and state is not None
    attrs: Framer = node.attrs
    count, frames = x.shape[-1], x.shape[-1] // attrs.step
    new = x.reshape(-1, count)
    lines = np.hstack([state[:-1].reshape(len(new), attrs.history), new])
    starts = attrs.step * np.arange(frames)[:, None] + np.arange(attrs.size)
    y = lines[:, starts].reshape(graph.output(node).shape)
    valid = np.array(state[-1] >= attrs.waits)
    state[:-1] = lines[:, count:].reshape(-1)
    state[-1] = min(state[-1] + frames, attrs.waits)
    return [y, valid]


def stacker_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """Frames side by side, the first repeated for those before it; whether they are valid."""
    x, state = arrays
    assert x is not None and state is not None
    attrs, known = node.attrs, int(state[-1]) - 1  # frames; before the first -1
    rows = state[:-1].reshape(attrs.frames, -1)
    new = 1 if known >= 0 else 1 + attrs.left
    known = max(known, 0)
    rows[known : known + new] = x
    known += new
    valid = known == attrs.frames
    y = rows.reshape(-1).copy() if valid else np.zeros(rows.size, np.int16)
    if valid:
        rows[: known - attrs.step] = rows[attrs.step :].copy()
        known -= attrs.step
    state[-1] = known + 1
    return [y, np.array(valid)]


def delay_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """What came `length` samples ago, along the last axis."""
    x, state = arrays
    assert x is not None and state is not None
    new = x.reshape(-1, x.shape[-1])
    lines = np.hstack([state.reshape(len(new), -1), new])
    state[...] = lines[:, x.shape[-1] :].reshape(-1)
    return [lines[:, : x.shape[-1]].reshape(x.shape)]


def overlap_add_reference(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """Sums of overlapping frames, those of int16 clamped."""
    x, state = arrays
    assert x is not None and state is not None
    (*outer, frames, size), step = x.shape, node.attrs.step
    lines, y = state.reshape(-1, size), np.empty((math.prod(outer), frames, step), x.dtype)
    for frame, part in enumerate(np.moveaxis(x.reshape(-1, frames, size), 1, 0)):
        if x.dtype == np.int16:
            lines[...] = (lines.astype(np.int32) + part).clip(-32768, 32767)
        else:
            lines += part
        y[:, frame] = lines[:, :step]
        lines[...] = np.pad(lines[:, step:], ((0, 0), (0, step)))
    return [y.reshape(graph.output(node).shape)]


# ---- lowering: the states are updated in place --------------------------------------------------


def _addresses(node: Node, *outputs: str) -> dict[str, Field]:
    names = ("x", "state", *outputs)
    return {
        name: Address(t) for name, t in zip(names, (*node.operands, *node.outputs), strict=True)
    }


def lower_framer(graph: Graph, node: Node) -> Lowered:
    *outer, count = graph.input(node).shape
    attrs: Framer = node.attrs
    return FRAMER.lowered(
        **_addresses(node, "y", "valid"),
        outer=math.prod(outer),
        frames=count // attrs.step,
        size=attrs.size,
        step=attrs.step,
        history=attrs.history,
        waits=attrs.waits,
    )


def lower_stacker(graph: Graph, node: Node) -> Lowered:
    attrs = node.attrs
    return STACKER.lowered(
        **_addresses(node, "y", "valid"),
        channels=attrs.channels,
        left=attrs.left,
        frames=attrs.frames,
        step=attrs.step,
    )


def lower_delay(graph: Graph, node: Node) -> Lowered:
    *outer, size = graph.input(node).shape
    return DELAY.lowered(
        **_addresses(node, "y"), outer=math.prod(outer), size=size, length=node.attrs.length
    )


def lower_overlap_add(graph: Graph, node: Node) -> Lowered:
    *outer, frames, size = graph.input(node).shape
    return OVERLAP_ADD[graph.input(node).dtype].lowered(
        **_addresses(node, "y"),
        outer=math.prod(outer),
        frames=frames,
        size=size,
        step=node.attrs.step,
    )


# ---- constraints --------------------------------------------------------------------------------


def _has_state(graph: Graph, node: Node, shape: Shape) -> bool:
    state = graph.operand(node, 1)
    return state is not None and state.variable and state.shape == shape


def framed(graph: Graph, node: Node) -> bool:
    """Input and frames must be int16 and the second output bool; the step, at most a frame's size,
    must divide the input's last axis, and at most 32766 steps fit a frame."""
    x, y, valid = graph.input(node), graph.output(node), graph.output(node, 1)
    attrs: Framer = node.attrs
    if (x.dtype, y.dtype, valid.dtype) != ("int16", "int16", "bool"):
        return False
    *outer, count = x.shape
    fits = 1 <= attrs.step <= attrs.size and count % attrs.step == 0 and attrs.waits < 32767
    return fits and _has_state(graph, node, (math.prod(outer) * attrs.history + 1,))


def stacked(graph: Graph, node: Node) -> bool:
    """Input and output must be int16 and the second output bool; the input has one axis of
    num_channels, and the step is at least 1 and at most the frames of an answer."""
    x, y, valid = graph.input(node), graph.output(node), graph.output(node, 1)
    attrs = node.attrs
    if (x.dtype, y.dtype, valid.dtype) != ("int16", "int16", "bool"):
        return False
    fits = x.shape == (attrs.channels,) and min(attrs.left, attrs.right) >= 0
    steps = 1 <= attrs.step <= attrs.frames < 32767
    return fits and steps and _has_state(graph, node, (attrs.channels * attrs.frames + 1,))


def delayed(graph: Graph, node: Node) -> bool:
    """Input and output must be int16, and the delay at least one sample."""
    x, length = graph.input(node), node.attrs.length
    typed = x.dtype == graph.output(node).dtype == "int16" and length >= 1
    return typed and _has_state(graph, node, (math.prod(x.shape[:-1]) * length,))


def overlapping(graph: Graph, node: Node) -> bool:
    """Input and output must be int16 or float32, both of one dtype, with frames along the last two
    axes of the input; the step is at least 1 and at most a frame's size."""
    x, y = graph.input(node), graph.output(node)
    if x.dtype not in OVERLAP_ADD or x.dtype != y.dtype or len(x.shape) < 2:
        return False
    *outer, _, size = x.shape
    return 1 <= node.attrs.step <= size and _has_state(graph, node, (math.prod(outer) * size,))


OPERATIONS: Mapping[str, Operation] = {
    "signal_framer": Operation(framer_reference, lower_framer, (FRAMER,), (framed,)),
    "signal_stacker": Operation(stacker_reference, lower_stacker, (STACKER,), (stacked,)),
    "signal_delay": Operation(delay_reference, lower_delay, (DELAY,), (delayed,)),
    "signal_overlap_add": Operation(
        overlap_add_reference, lower_overlap_add, tuple(OVERLAP_ADD.values()), (overlapping,)
    ),
}
