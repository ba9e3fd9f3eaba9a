"""Addresses of native functions by name: from memory, else from the disk cache, else compiled."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from ..vector.table import native_module
from . import cache, loader
from .linker import Image, link

_addresses: dict[str, int] = {}


def address(name: str) -> int:
    """The address of a kernel, or of the dispatch loop, ready to be called.

    Only a function that is in no cache is compiled, and only then are its module and Numba
    imported.
    """
    if name not in _addresses:
        _addresses[name] = loader.load(_image(name))
    return _addresses[name]


def _image(name: str) -> Image:
    module = native_module(name)
    path = cache.entry(name, Path(__file__).with_name(f"{module}.py"))
    data = cache.read(path)
    if data is not None:
        return Image.from_bytes(data)
    image = link(_compile(name, module), name)
    cache.write(path, image.to_bytes())
    return image


def _compile(name: str, module: str) -> bytes:
    """An object file of one native function."""
    from .compiler import compile_object
    from .registry import FUNCTIONS

    import_module(f".{module}", __package__)
    if name not in FUNCTIONS:
        raise ValueError(f"kernels/native/{module}.py has no native function {name}")
    return compile_object(FUNCTIONS[name], name)
