"""Machine code that a wheel brings along: kernels of an instruction set in one file.

`tools/wheel.py` writes such files; in a tree of sources there are none. A file says which sources
it was made from, and is not used with others. Layout: magic, a little-endian uint32 header length,
a JSON header with a digest of the sources and (offset, size) of each image, the images.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from .cache import KERNELS

FOLDER = Path(__file__).resolve().parent
MAGIC = b"MIDGEOBJ"
_HEAD = struct.Struct("<8sI")


def shipped(names: Iterable[str], instructions: str) -> dict[str, bytes]:
    """Images of those of `names` that were shipped for a set, as the cache has them."""
    found = _read(FOLDER / file_name(instructions))
    if found is None:
        return {}
    images, begin, content = found
    return {
        name: content[begin + images[name][0] :][: images[name][1]]
        for name in names
        if name in images
    }


def file_name(instructions: str) -> str:
    return f"{instructions}.objects"


def to_bytes(images: Mapping[str, bytes]) -> bytes:
    """A file's content."""
    places, body = {}, bytearray()
    for name, image in images.items():
        places[name] = (len(body), len(image))
        body += image
    head = json.dumps({"sources": sources_digest(), "images": places}).encode()
    return _HEAD.pack(MAGIC, len(head)) + head + bytes(body)


@lru_cache(maxsize=2)
def _read(path: Path) -> tuple[dict[str, Any], int, bytes] | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    magic, size = _HEAD.unpack_from(content)
    header = json.loads(content[_HEAD.size : _HEAD.size + size])
    if magic != MAGIC or header["sources"] != sources_digest():
        return None
    return header["images"], _HEAD.size + size, content


@lru_cache(maxsize=2)
def sources_digest(folder: Path = KERNELS) -> str:
    """Of all that kernels and their parameter words are made from."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
