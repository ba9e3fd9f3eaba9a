"""Model files as bytes, and which of them are the same."""

from __future__ import annotations

import hashlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 2**31 - 1  # flatbuffers' offsets are signed 32-bit numbers
_PIECE = 1 << 18  # bytes: a digest needs no more of a file at once


def read_content(path: Path) -> bytes:
    """The bytes of a regular file, or a `ModelError` that says why not."""
    from .errors import ModelError  # a start from the cache raises nothing

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


def digest_of(source: str | Path | bytes) -> bytes | None:
    """SHA-256 of a model file or of its content; None if `read_content` would refuse the file."""
    digest = hashlib.sha256()
    if isinstance(source, bytes):
        digest.update(source)
        return digest.digest()
    try:
        if not os.path.isfile(source) or os.path.getsize(source) > MAX_BYTES:
            return None
        with open(source, "rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    except OSError:
        return None
    return digest.digest()
