"""Map machine code into this process. Needs neither Numba nor LLVM."""

from __future__ import annotations

import ctypes
import mmap
import struct
from functools import lru_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .linker import Image

_mapped: list[mmap.mmap] = []  # code stays as long as the process lives


def load(image: Image) -> int:
    """The address of the image's function, mapped to be read and executed but not written."""
    return load_code(image.code, {slot: name for name, slot in image.imports.items()}) + image.entry


def load_code(code: bytes | memoryview, slots: Mapping[int, str]) -> int:
    """The address of `code`; `slots` names the outside functions whose addresses go into it."""
    memory = mmap.mmap(-1, len(code))
    memory[:] = code
    for slot, name in slots.items():
        struct.pack_into("<Q", memory, slot, _outside(name))
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    _protect(base, len(code))
    _mapped.append(memory)
    return base


def _protect(base: int, size: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    flags = mmap.PROT_READ | mmap.PROT_EXEC
    if libc.mprotect(ctypes.c_void_p(base), ctypes.c_size_t(size), flags):
        raise OSError(ctypes.get_errno(), "the system does not let a kernel's code be executed")
    clear = getattr(libc, "__clear_cache", None)  # Arm: code was written as data
    if clear is not None:
        clear(ctypes.c_void_p(base), ctypes.c_void_p(base + size))


def _outside(name: str) -> int:
    """The address of a function of libc or libm."""
    for library in _libraries():
        function = getattr(library, name, None)
        if function is not None:
            address = ctypes.cast(function, ctypes.c_void_p).value
            assert address is not None
            return address
    raise ValueError(f"a compiled kernel needs {name}, which neither libc nor libm has")


@lru_cache(maxsize=1)
def _libraries() -> tuple[ctypes.CDLL, ...]:
    return ctypes.CDLL(None), ctypes.CDLL("libm.so.6")
