"""The kernel cache: found again, found stale, done without; and what the linker refuses."""

from __future__ import annotations

import ctypes
import math
import os

import numba
import pytest

from midge.kernels.native import cache, loader
from midge.kernels.native.compiler import compile_object
from midge.kernels.native.linker import Image, link
from midge.kernels.native.registry import NativeFunction

NATIVE = cache.KERNELS / "native"


def test_folder_is_stated_or_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("MIDGE_CACHE", str(tmp_path / "stated"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_folder() == tmp_path / "stated" / "kernels"
    monkeypatch.delenv("MIDGE_CACHE")
    assert cache.cache_folder() == tmp_path / "xdg" / "midge" / "kernels"


def test_an_entry_depends_on_all_that_it_is_made_from():
    files = {
        path.relative_to(cache.KERNELS).as_posix() for path in cache.sources(NATIVE / "conv2d.py")
    }
    assert {
        "native/conv2d.py",
        "native/fixedpoint.py",
        "native/memory.py",
        "conv2d.py",
        "operation.py",
    } <= files
    assert "native/pool2d.py" not in files
    assert "table.py" not in files


def test_an_edited_source_has_another_entry(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "KERNELS", tmp_path)
    for folder in ("native", "vector"):
        (tmp_path / folder).mkdir()
    cache._touched.cache_clear()
    helper, source = tmp_path / "helper.py", tmp_path / "kernel.py"
    helper.write_text("x = 1\n")
    source.write_text("from .helper import x\n")
    before = cache.entry("k", lambda _: source)
    helper.write_text("x = 2\n")
    os.utime(helper, ns=(1, 1))
    cache._touched.cache_clear()
    assert cache.entry("k", lambda _: source) != before
    assert cache.entry("other", lambda _: source) != cache.entry("k", lambda _: source)
    cache._touched.cache_clear()


def test_written_entries_are_read_and_missing_ones_are_none(tmp_path):
    path = tmp_path / "new" / "entry.bin"
    assert cache.read(path) is None
    cache.write(path, b"code")
    assert cache.read(path) == b"code"
    assert [p.name for p in path.parent.iterdir()] == ["entry.bin"]


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    cache.write(tmp_path / "file" / "entry.bin", b"code")
    assert cache.read(tmp_path / "file" / "entry.bin") is None


def _doubled(x):  # type: ignore[no-untyped-def]
    x[0] = x[0] * 2 + 1


def _libm(x):  # type: ignore[no-untyped-def]
    x[0] = math.exp(x[0])


def _image(function, kind) -> Image:
    """Compiled, linked, and through bytes as the cache keeps it."""
    native = NativeFunction(function, (numba.types.CPointer(kind),))
    return Image.from_bytes(link(compile_object(native, "tried"), "tried").to_bytes())


def _applied(image: Image, cell):  # type: ignore[no-untyped-def]
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(loader.load(image))(ctypes.addressof(cell))
    return cell.value


def test_compiled_linked_and_loaded():
    image = _image(_doubled, numba.types.int64)
    assert not image.imports
    assert _applied(image, ctypes.c_int64(20)) == 41


def test_outside_functions_are_those_of_libm():
    image = _image(_libm, numba.types.float64)
    assert set(image.imports) == {"exp"}
    libm = ctypes.CDLL("libm.so.6")
    libm.exp.restype, libm.exp.argtypes = ctypes.c_double, [ctypes.c_double]
    for value in (0.1, -3.7, 88.5):
        assert _applied(image, ctypes.c_double(value)) == libm.exp(value)


def test_the_linker_refuses_what_is_no_elf_object():
    with pytest.raises(ValueError, match="not a little-endian 64-bit ELF object"):
        link(b"\x7fELF\x01\x01 32-bit", "kernel")


def test_an_unknown_outside_function_is_named():
    image = Image(bytes(16), 0, {"no_such_function": 8})
    with pytest.raises(ValueError, match="needs no_such_function, which neither libc nor libm"):
        loader.load(image)
