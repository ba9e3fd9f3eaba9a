"""Where this package may keep what it can make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """$MIDGE_CACHE, else midge/ in $XDG_CACHE_HOME, else ~/.cache/midge."""
    stated = os.environ.get("MIDGE_CACHE")
    if stated:
        return Path(stated)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "midge"
