"""Programs that were planned before, on disk: a second plan of the same model is read, not made.

A file's name holds a digest of all that a program depends on: the model's bytes, the options, this
package's sources and the machine. A stale file is thus never found; those that nobody has read for
longest go when there are too many bytes of them. The folder is the user's own, as that of the
compiled kernels, so what is read there is not checked as a foreign program is.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from .content import read_content
from .custom import is_custom
from .errors import ProgramError
from .folders import plans_folder
from .graph import Graph
from .importers import read_model
from .options import Options
from .program import Program
from .program_file import graph_from_bytes, graph_to_bytes, own_from_bytes, to_bytes
from .surroundings import surroundings
from .tuned import tuned_content

ROOMS = ("runtime", "kernels", "targets", "hw")  # whose sources say what a program is made of
MOST_BYTES = 256 << 20
EXTERNAL = b"\x0a\x08location"  # the key of TensorProto.external_data, as protobuf writes it
Built = TypeVar("Built")


def compile_cached(
    source: str | Path | bytes,
    target: str = "host",
    options: Options | None = None,
    input_shapes: Mapping[int, Sequence[int]] | None = None,
) -> Program:
    """As `compile_model`, but what was compiled before is read; `Program.cached` says so."""
    options = options or Options()
    content = source if isinstance(source, bytes) else read_content(Path(source))
    path = entry(content, target, options, input_shapes or {})
    found = None if has_more_files(content) else _read(path, own_from_bytes)
    if found is not None:
        return replace(found, cached=True)
    from .pipeline import compile_model  # passes and planner, which a cached plan does without

    program = compile_model(source, target, options, input_shapes)
    if not has_more_files(content) and not is_custom(program.graph):
        write_entry(path, to_bytes(program))
    return program


def read_cached(
    source: str | Path | bytes, input_shapes: Mapping[int, Sequence[int]] | None = None
) -> Graph:
    """As `read_model`, but what was read before needs no importer."""
    content = source if isinstance(source, bytes) else read_content(Path(source))
    path = entry(content, "graph", Options(), input_shapes or {})
    found = None if has_more_files(content) else _read(path, graph_from_bytes)
    if found is not None:
        return found
    graph = read_model(source, input_shapes)
    if not has_more_files(content) and not is_custom(graph):
        write_entry(path, graph_to_bytes(graph))
    return graph


def entry(
    content: bytes, target: str, options: Options, input_shapes: Mapping[int, Sequence[int]]
) -> Path:
    """Where the program of a model file of this content is, or would be."""
    shapes = sorted((index, tuple(shape)) for index, shape in input_shapes.items())
    tuned = tuned_content() if target == "host" else b""
    key = repr((target, options, shapes, surroundings(ROOMS, ("ortools",)), tuned))
    digest = hashlib.sha256(key.encode())
    digest.update(hashlib.sha256(content).digest())
    return Path(plans_folder()) / f"{digest.hexdigest()[:32]}.midge"


def _read(path: Path, build: Callable[[bytes], Built]) -> Built | None:
    """What is at `path`; None if there is nothing, or it is damaged."""
    try:
        content = path.read_bytes()
        os.utime(path)  # it was of use
        return build(content)
    except (OSError, ProgramError):
        return None


def write_entry(path: str | Path, content: bytes) -> None:
    """Store a file in one step; a cache that can't be written is done without."""
    path = Path(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
        _prune(path.parent)
    except OSError:
        return


def has_more_files(source: str | Path | bytes) -> bool:
    """True for an ONNX model with weights in other files, whose bytes the digest doesn't have."""
    content = source if isinstance(source, bytes) else read_content(Path(source))
    return content[4:8] != b"TFL3" and EXTERNAL in content


def _prune(folder: Path) -> None:
    found = sorted(((s.st_mtime_ns, s.st_size, p) for p, s in _files(folder)), reverse=True)
    total = 0
    for _, size, path in found:
        total += size
        if total > MOST_BYTES:
            path.unlink(missing_ok=True)


def _files(folder: Path) -> list[tuple[Path, os.stat_result]]:
    return [(path, path.stat()) for path in folder.iterdir() if path.is_file()]
