"""Compiled kernels on disk: one linked image each, in the user's cache folder.

A file's name holds a digest of all that its contents depend on: the sources that the kernel is made
from, the compiler's version and the processor. A stale file is thus never found, only left behind.
Names are kept too, in an index that holds as long as no source was touched: to read the sources
takes longer than all else in a start.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ...runtime.folders import cache_root
from ...runtime.surroundings import processor

FORMAT = 3  # raise when images of the same source would differ in another way
KERNELS = Path(__file__).resolve().parent.parent


def cache_folder() -> Path:
    """Where compiled kernels are kept."""
    return cache_root() / "kernels"


def entry(symbol: str, source: Callable[[str], Path], instructions: str | None = None) -> Path:
    """Where the image of `symbol`, defined in the file `source(symbol)`, is or would be.

    It is made for any processor with the set `instructions`, or for this very processor if None.
    """
    index, key = _index(), f"{symbol} {instructions}"
    if key not in index:
        path = source(symbol)
        name = _name(symbol, path, instructions)
        if KERNELS not in path.parents:  # a user's file, whose changes the index doesn't see
            return cache_folder() / name
        index[key] = name
        write(_index_path(), json.dumps(index).encode())
    return cache_folder() / index[key]


def _name(symbol: str, source: Path, instructions: str | None) -> str:
    digest = hashlib.sha256(_surroundings(instructions).encode())
    digest.update(symbol.encode())
    for path in sorted(sources(source)):
        digest.update(path.name.encode() + _digest(path, path.stat().st_mtime_ns))
    return f"{symbol}-{digest.hexdigest()[:24]}.bin"


def _index() -> dict[str, str]:
    """Names that are known already."""
    path = _index_path()
    if path not in _indices:
        try:
            _indices[path] = dict(json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError):
            _indices[path] = {}
    return _indices[path]


_indices: dict[Path, dict[str, str]] = {}


def _index_path() -> Path:
    return cache_folder() / f"index-{_touched()}.json"


@cache
def _touched() -> str:
    """A digest of when the sources and the compiler were last touched, and of the processor."""
    folders = (KERNELS, KERNELS / "native", KERNELS / "vector")
    files = [each.path for folder in folders for each in os.scandir(folder)]
    own = sorted(path for path in files if path.endswith(".py"))
    tools = [spec.origin for name in ("numba", "llvmlite") if (spec := find_spec(name))]
    stats = [(path, os.stat(path)) for path in (*own, *filter(None, tools))]
    touched = [(path, stat.st_mtime_ns, stat.st_size) for path, stat in stats]
    text = repr((FORMAT, sys.version_info[:2], touched, processor()))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def read(path: Path) -> bytes | None:
    """The image at `path`, or None."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def write(path: Path, data: bytes) -> None:
    """Store an image in one step; a cache that can't be written is done without."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except OSError:
        return


def sources(path: Path) -> set[Path]:
    """`path` and every file of the kernels' folder that it imports, however indirectly."""
    found, waiting = {path}, [path]
    while waiting:
        for imported in _imports(waiting.pop()):
            if imported not in found:
                found.add(imported)
                waiting.append(imported)
    return found


_parsing = threading.Lock()  # Python 3.11 counts the depth of all threads' trees in one place


def _imports(path: Path) -> Iterator[Path]:
    import ast  # for what the index knows already

    with _parsing:
        tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            candidates = [folder.with_suffix(".py"), *(folder / f"{a.name}.py" for a in node.names)]
            yield from (file for file in candidates if file.is_file() and KERNELS in file.parents)


@cache
def _digest(path: Path, modified_ns: int) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


@cache
def _surroundings(instructions: str | None) -> str:
    from importlib.metadata import PackageNotFoundError, version  # for what the index knows already

    try:
        tools: tuple[object, ...] = (version("numba"), version("llvmlite"), sys.version_info[:2])
    except PackageNotFoundError:  # all kernels were shipped
        tools = ()
    made_for = instructions or (sys.platform, processor())
    return repr((FORMAT, tools, made_for))
