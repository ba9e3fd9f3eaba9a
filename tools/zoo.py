"""Models by name: `models.toml` lists other people's, `tools/models/` holds our own."""

from __future__ import annotations

import hashlib
import os
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..runtime.errors import ModelError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TOOLS = Path(__file__).resolve().parent
OWN = TOOLS / "models"
TIMEOUT_S = 30.0


def catalogue() -> dict[str, dict[str, Any]]:
    """Name -> address, licence and SHA-256."""
    with open(TOOLS / "models.toml", "rb") as file:
        return tomllib.load(file)


def find_model(name: str | Path) -> Path:
    """A model's path, from a path or a name; downloaded if it must be.

    Raises `ModelError` if there is no such file or name, or it can't be had.
    """
    path = Path(name)
    if path.exists():
        return path
    stem = path.stem if path.suffix == ".tflite" else path.name
    entry = catalogue().get(stem)
    for folder in _folders():
        found = folder / f"{stem}.tflite"
        if found.is_file() and (entry is None or _sha256(found) == entry["sha256"]):
            return found
    if entry is None or len(path.parts) > 1:
        raise ModelError(name, "no such file", "give a model file or a name of tools/models.toml")
    return _download(stem, entry)


def _folders() -> Iterator[Path]:
    if "MIDGE_MODELS" in os.environ:
        yield Path(os.environ["MIDGE_MODELS"])
    yield OWN
    yield TOOLS.parent.parent / "shared" / "models"
    yield _cache()


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("MIDGE_CACHE") or Path(home) / "midge") / "models"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _download(name: str, entry: dict[str, Any]) -> Path:
    try:
        with urllib.request.urlopen(entry["address"], timeout=TIMEOUT_S) as answer:
            content = answer.read()
    except OSError as error:
        raise ModelError(
            name,
            f"can't be downloaded from {entry['address']} ({error})",
            "put the file into the folder that $MIDGE_MODELS names",
        ) from None
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise ModelError(name, f"{entry['address']} gave a file with another SHA-256")
    folder = _cache()
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{name}.{os.getpid()}.partial"
    partial.write_bytes(content)
    return partial.replace(folder / f"{name}.tflite")
