"""Kernels that a wheel brings along are taken instead of compiled, if they are of these sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from midge.kernels.native import cache, library, processor, shipped
from midge.kernels.vector.table import native_module, native_names
from midge.runtime.errors import MissingTool
from midge.runtime.lowering import NUMPY_CALL

NAMES = ("dispatch", "softmax_s8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two functions shipped for this machine's set, and an empty cache."""
    instructions = processor.instruction_set()
    images = library.images(NAMES, instructions)
    content = shipped.to_bytes({name: image.to_bytes() for name, image in images.items()})
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    shipped._read.cache_clear()
    (tmp_path / shipped.file_name(instructions)).write_bytes(content)
    monkeypatch.setattr(cache, "cache_root", lambda: tmp_path / "cache")
    return tmp_path


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "find_spec", lambda name: None)


@pytest.mark.parametrize("instructions", [None, processor.instruction_set()])
def test_shipped_kernels_need_no_compiler(folder, no_compiler, instructions) -> None:  # type: ignore[no-untyped-def]
    found = library.images(NAMES, instructions)
    assert set(found) == set(NAMES)
    assert all(image.code for image in found.values())


def test_what_was_not_shipped_needs_one(folder, no_compiler) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(MissingTool, match=r"needs the package numba: pip install midge\[compile\]"):
        library.images(("mean_s8",))


def test_kernels_of_other_sources_are_not_taken(folder, no_compiler, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(shipped, "sources_digest", lambda: "others")
    with pytest.raises(MissingTool, match="dispatch, softmax_s8"):
        library.images(NAMES)


def test_every_native_function_has_its_module() -> None:
    names = [name for name in native_names() if name != NUMPY_CALL]
    assert len(names) > 100
    for name in names:
        assert (cache.KERNELS / "native" / f"{native_module(name)}.py").is_file()
