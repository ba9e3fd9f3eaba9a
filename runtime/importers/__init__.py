"""Model files to graphs, one format a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..graph import Graph
from .tflite import read_tflite


def read_model(
    source: str | Path | bytes, input_shapes: Mapping[int, Sequence[int]] | None = None
) -> Graph:
    """Read a model file, or its content, by its own format; today that is TFLite."""
    return read_tflite(source, input_shapes)
