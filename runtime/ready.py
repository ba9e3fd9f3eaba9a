"""Models that are ready to run: one file in the cache for each, mapped by a start.

A file holds the outline of a model (`outline.py`) and all that runs it, machine code too, so that a
start imports next to nothing. It is found by a digest of the model, of what was asked, of this
package's sources and of the processor. The folder is the user's own, as that of the compiled
kernels: what is found there is looked at for damage only.

Layout: magic, CRC-32 of all that follows, bytes of the header, bytes of the file; the header, a
dict in Python's `marshal` form; blobs, which the header names by (offset, size) in the file.
"""

from __future__ import annotations

import hashlib
import marshal
import mmap
import os
import struct
import zlib
from importlib import import_module

from .content import digest_of
from .folders import plans_folder
from .surroundings import surroundings
from .tuned import tuned_content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from .backend import Executor

    Shapes = Mapping[int, Sequence[int]]

MAGIC = b"MIDGERDY"
FORMAT = 1  # raise when files would differ in another way
ROOMS = ("runtime", "kernels")  # whose sources say what such a file holds
PACKAGES = ("numba", "ortools")  # the compiler, and the solver of plans
ALIGNMENT = 4096  # of blobs: what code is addressed by on AArch64
LINE = 64  # bytes after a blob that vectors may read
_HEAD = struct.Struct("<8sIIQ")

# Target -> module with `prepared(source, shapes, threads)`, which makes such a file's content, and
# module with `ReadyExecutor(ready)`, which runs it. They aren't imported here.
MAKERS = {"host": ".kernels.prepare"}
EXECUTORS = {"host": ".kernels.ready"}


class Ready:
    """A mapped file: `header`, and the memory that its blobs lie in. Writing changes no file."""

    def __init__(self, memory: mmap.mmap) -> None:
        magic, crc, size, total = _HEAD.unpack_from(memory)
        if magic != MAGIC or total != len(memory):
            raise ValueError("not a whole file of a model that is ready")
        with memoryview(memory) as view, view[_HEAD.size :] as content:
            if zlib.crc32(content) != crc:
                raise ValueError("the checksum is wrong")
        self.memory = memory
        self.header: dict[str, Any] = marshal.loads(memory[_HEAD.size : _HEAD.size + size])


def find(source: str | Path | bytes, threads: int, shapes: Shapes) -> Ready | None:
    """What was made before for this model, these shapes of inputs and so many threads."""
    path = entry(source, threads, shapes)
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            os.utime(path)  # it was of use
            return Ready(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    except (OSError, ValueError, EOFError, TypeError, struct.error):
        return None


def make(target: str, source: str | Path | bytes, threads: int, shapes: Shapes) -> Ready | None:
    """The same, made now, and kept if the cache can be written and the digest says all.

    None for a model that needs more than native code.
    """
    from .plan_cache import has_more_files, write_entry  # with it, all that planning imports

    maker = import_module(MAKERS[target], __package__.rpartition(".")[0])
    content = maker.prepared(source, shapes, threads)
    if content is None:
        return None
    path = entry(source, threads, shapes)
    if path is not None and not has_more_files(source):
        write_entry(path, content)
    memory = mmap.mmap(-1, len(content))
    memory[:] = content
    return Ready(memory)


def executor(target: str, found: Ready) -> Executor:
    """What runs a ready model for arrays."""
    module = import_module(EXECUTORS[target], __package__.rpartition(".")[0])
    ready_executor: Executor = module.ReadyExecutor(found)
    return ready_executor


def pack(header: Mapping[str, Any], blobs: Mapping[str, bytes]) -> bytes:
    """A file's content. Each blob's (offset, size) is put into the header under its name."""
    places = dict.fromkeys(blobs, (0, 0))
    size = len(marshal.dumps({**header, **places}, 2)) + 64 * len(blobs)  # numbers vary in length
    at, room = _up(_HEAD.size + size), bytearray()
    for name, blob in blobs.items():
        places[name] = (at + len(room), len(blob))
        room += blob + bytes(_up(len(blob) + LINE) - len(blob))
    described = marshal.dumps({**header, **places}, 2)
    body = described + bytes(at - _HEAD.size - len(described)) + room
    total = _HEAD.size + len(body)
    return _HEAD.pack(MAGIC, zlib.crc32(body), len(described), total) + body


def entry(source: str | Path | bytes, threads: int, shapes: Shapes) -> str | None:
    """Where the file is, or would be; None for a model that can't be read."""
    digest = digest_of(source)
    if digest is None:
        return None
    asked = sorted((index, tuple(shape)) for index, shape in shapes.items())
    key = repr((FORMAT, digest, threads, asked, surroundings(ROOMS, PACKAGES), tuned_content()))
    return os.path.join(plans_folder(), f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.ready")


def _up(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
