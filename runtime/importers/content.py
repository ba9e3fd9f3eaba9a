"""Model files as bytes."""

from __future__ import annotations

from pathlib import Path

from ..errors import ModelError

MAX_BYTES = 2**31 - 1  # flatbuffers' offsets are signed 32-bit numbers


def read_content(path: Path) -> bytes:
    """The bytes of a regular file, or a `ModelError` that says why not."""
    try:
        if path.is_dir():
            raise ModelError(path, "this is a directory, not a model file")
        if not path.exists():
            raise ModelError(path, "there is no such file")
        if not path.is_file():
            raise ModelError(path, "this is not a regular file")
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(path, "the file is over 2 GB, which no flatbuffer can be")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(path, f"the file can't be read: {error.strerror}") from error
