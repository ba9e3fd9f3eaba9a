"""What a user sees while kernels are compiled: which, and how long it will take."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import IO

# What compiling takes on a PC. Another machine's speed shows as soon as one is done.
START_S, PLAIN_S, VECTOR_S = 1.0, 0.3, 3.0

shown = True  # `--json` sets it to false


def follow(lines: IO[str], names: Sequence[str], for_what: str) -> None:
    """Read the names that the compiler says when each is done; show them on a terminal."""
    if not (shown and sys.stderr.isatty()):
        lines.read()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    text, console = TextColumn("{task.description}"), Console(stderr=True)
    console.print(f"compiling {len(names)} kernels for {for_what}, once", highlight=False)
    bar = BarColumn(bar_width=20)
    with Progress(bar, TimeElapsedColumn(), text, console=console) as progress:
        task = progress.add_task("", total=seconds_of(names))
        for told, done in steps(lines, names):
            progress.update(task, description=told, completed=done)


def seconds_of(names: Sequence[str]) -> float:
    """How long compiling takes on a PC."""
    return START_S + sum(VECTOR_S if "_vector_" in name else PLAIN_S for name in names)


def steps(lines: IO[str], names: Sequence[str]) -> Iterator[tuple[str, float]]:
    """What is told before each name, and how much of `seconds_of` is done by then."""
    started, total = time.monotonic(), seconds_of(names)
    slower = 1.0  # than a PC, as far as one can tell
    for number, name in enumerate(names):
        done = 0.0 if number == 0 else seconds_of(names[:number])
        left = max((total - done) * slower, 1.0)
        yield f"about {left:.0f} s left, {number + 1} of {len(names)}: {name}", done
        lines.readline()
        slower = (time.monotonic() - started) / seconds_of(names[: number + 1])
    yield "done", total
