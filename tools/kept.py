"""What a long measurement has found so far, in a file, so that another run of it goes on there."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..runtime.errors import InputError


def add_keep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="F.json",
        help="keep there what is measured, and take what an earlier run has kept there",
    )


class Kept:
    """Answers by name, numbers and lists of them as JSON has; with no file, of this run alone."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.found = path, _read(path)

    def answer(self, name: str, measure: Callable[[], Any]) -> Any:
        """What is kept under a name; else it is measured now, and kept."""
        if name not in self.found:
            self.found[name] = measure()
            if self.path is not None:
                self.path.write_text(json.dumps(self.found))
        return self.found[name]


def _read(path: Path | None) -> dict[str, Any]:
    if path is None or not path.exists():
        return {}
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a file that --keep wrote ({error}); name another") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: not a file that --keep wrote; name another")
    return found
