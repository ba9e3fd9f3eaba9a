"""Where this package may keep what it can make again."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


def cache_root() -> Path:
    """$MIDGE_CACHE, else midge/ in $XDG_CACHE_HOME, else ~/.cache/midge."""
    from pathlib import Path

    return Path(_root())


def plans_folder() -> str:
    """Where plans are, and models that are ready to run."""
    return os.path.join(_root(), "plans")


def _root() -> str:
    stated = os.environ.get("MIDGE_CACHE")
    if stated:
        return stated
    base = os.environ.get("XDG_CACHE_HOME")
    return os.path.join(base or os.path.join(os.path.expanduser("~"), ".cache"), "midge")
