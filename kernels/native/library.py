"""Native functions by name: from memory, the cache, what was shipped, or compiled by a child."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

from ...runtime.errors import MissingTool, ToolError
from . import cache, loader, processor
from .linker import Image, link

_addresses: dict[str, int] = {}


def address(name: str) -> int:
    """The address of a kernel, or of the dispatch loop, ready to be called."""
    return addresses([name])[name]


def addresses(names: Iterable[str]) -> Mapping[str, int]:
    """The addresses of some functions; what is in no cache is compiled together."""
    wanted = [name for name in names if name not in _addresses]
    stated = processor.instruction_set() if processor.is_stated() else None
    _addresses.update({name: loader.load(image) for name, image in images(wanted, stated).items()})
    return _addresses


def images(names: Iterable[str], instructions: str | None = None) -> dict[str, Image]:
    """Linked images for any processor with a set, or for this very processor if None.

    Only what is in no cache and wasn't shipped is compiled. This process imports neither Numba nor
    LLVM.
    """
    if instructions is None:
        return _images(names, None)
    found: dict[str, Image] = {}
    sets = processor.made_for(instructions, names)
    for each in dict.fromkeys(sets.values()):
        found |= _images([name for name in sets if sets[name] == each], each)
    return found


def _images(names: Iterable[str], instructions: str | None) -> dict[str, Image]:
    """All made for one set."""
    paths = {name: _path(name, instructions) for name in names}
    found = {name: data for name, path in paths.items() if (data := cache.read(path)) is not None}
    missing = [name for name in paths if name not in found]
    if missing:
        from .shipped import shipped

        found |= shipped(missing, instructions or processor.instruction_set())
        missing = [name for name in missing if name not in found]
    for name, compiled in _compiled(missing, instructions).items():
        found[name] = link(compiled, name).to_bytes()
        cache.write(paths[name], found[name])
    return {name: Image.from_bytes(data) for name, data in found.items()}


def _path(name: str, instructions: str | None) -> Path:
    return cache.entry(name, _source, instructions)


def _source(name: str) -> Path:
    from ..table import custom_file
    from ..vector.table import (
        native_module,  # all layouts, for what the cache's index knows already
    )

    own = custom_file(name)
    if own is not None:
        return own.resolve()
    return Path(__file__).resolve().with_name(f"{native_module(name)}.py")


def _compiled(names: list[str], instructions: str | None) -> dict[str, bytes]:
    """Object files, from a process of its own: it is made for one instruction set."""
    if not names:
        return {}
    import subprocess  # of use to a cold start alone

    from . import progress

    if find_spec("numba") is None:
        raise MissingTool(
            f"the kernels {', '.join(names)} are to be compiled, which needs the package numba: "
            "pip install midge[compile]"
        )

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment["NUMBA_OPT"] = "0"  # as lowered: to optimise for the target is the compiler's work
    environment.pop(processor.VARIABLE, None)
    if instructions is not None:
        environment[processor.VARIABLE] = instructions
    with tempfile.TemporaryDirectory(prefix="midge-") as folder:
        worker = [sys.executable, "-m", f"{__package__}.worker", folder, *names]
        with subprocess.Popen(
            worker, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            progress.follow(process.stdout, names, instructions or "this processor")
            _, errors = process.communicate()
        if process.returncode:
            last = errors.strip().rpartition("\n")[2]
            raise ToolError(f"compiling the kernels {', '.join(names)} failed: {last}")
        return {name: (Path(folder) / name).read_bytes() for name in names}
