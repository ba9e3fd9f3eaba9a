"""Rewrites of the graph, one a file. A pass takes a graph and returns a graph of equal meaning."""

from __future__ import annotations

from collections.abc import Callable

from ..graph import Graph
from .fold_pad import fold_pad
from .fuse_activation import fuse_activation
from .legacy_uint8 import legacy_uint8
from .lstm_in_steps import lstm_in_steps
from .pad_blocks import pad_blocks
from .recognise_bits import recognise_bits
from .remove_dead import remove_dead
from .split_hybrid import split_hybrid
from .time_as_rows import time_as_rows

Pass = Callable[[Graph], Graph]

# In this order; folding constants comes before them, since it needs a backend's arithmetic.
PASSES: tuple[Pass, ...] = (
    remove_dead,
    legacy_uint8,
    lstm_in_steps,
    pad_blocks,
    fold_pad,
    fuse_activation,
    split_hybrid,
    recognise_bits,
    time_as_rows,
)
