"""Native functions by name: from memory, else from the disk cache, else compiled by a child."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...runtime.errors import ToolError
from . import cache, loader, processor
from .linker import Image, link

if TYPE_CHECKING:
    import subprocess

_addresses: dict[str, int] = {}
SECONDS_EACH = 2.5  # to compile one function, on a PC


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

    Only what is in no cache is compiled. This process imports neither Numba nor LLVM.
    """
    paths = {name: _path(name, instructions) for name in names}
    found = {name: data for name, path in paths.items() if (data := cache.read(path)) is not None}
    missing = [name for name in paths if name not in found]
    for name, compiled in _compiled(missing, instructions).items():
        found[name] = link(compiled, name).to_bytes()
        cache.write(paths[name], found[name])
    return {name: Image.from_bytes(data) for name, data in found.items()}


def _path(name: str, instructions: str | None) -> Path:
    return cache.entry(name, _source, instructions)


def _source(name: str) -> Path:
    from ..vector.table import (
        native_module,  # all layouts, for what the cache's index knows already
    )

    return Path(__file__).resolve().with_name(f"{native_module(name)}.py")


def _compiled(names: list[str], instructions: str | None) -> dict[str, bytes]:
    """Object files, from a process of its own: it is made for one instruction set."""
    if not names:
        return {}
    import subprocess  # a warm start has no use for it

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
            _follow(process, names, instructions)
            _, errors = process.communicate()
        if process.returncode:
            last = errors.strip().rpartition("\n")[2]
            raise ToolError(f"compiling the kernels {', '.join(names)} failed: {last}")
        return {name: (Path(folder) / name).read_bytes() for name in names}


def _follow(process: subprocess.Popen[str], names: list[str], instructions: str | None) -> None:
    """Show on a terminal what is compiled, and how long it will take."""
    assert process.stdout is not None
    if not sys.stderr.isatty():
        process.stdout.read()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    text = TextColumn("{task.description}")
    with Progress(text, BarColumn(), TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        about = f"about {len(names) * SECONDS_EACH:.0f} s, once"
        for_what = instructions or "this processor"
        task = progress.add_task("", total=len(names))
        for number, name in enumerate([*names, ""]):
            told = f"compiling {name} for {for_what} ({about})" if name else "compiled"
            progress.update(task, description=told, completed=number)
            if name:
                process.stdout.readline()
