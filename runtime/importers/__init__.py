"""Model files to graphs, one format a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..graph import Graph


def read_model(
    source: str | Path | bytes, input_shapes: Mapping[int, Sequence[int]] | None = None
) -> Graph:
    """Read a model file, or its content, by its own format: TFLite or ONNX."""
    if _is_onnx(source):
        from .onnx import read_onnx  # the package onnx is an extra

        return read_onnx(source, input_shapes)
    from .tflite import read_tflite  # a start from cached plans does without the schema

    return read_tflite(source, input_shapes)


def _is_onnx(source: str | Path | bytes) -> bool:
    """By the name's ending; content by TFLite's file identifier, which only TFLite has."""
    if isinstance(source, bytes):
        return source[4:8] != b"TFL3" and source[:1] == b"\x08"  # field 1, the IR version
    return Path(source).suffix.lower() == ".onnx"
