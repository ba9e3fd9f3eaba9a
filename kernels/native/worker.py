"""Compile native functions in a process of its own: `python -m ...worker FOLDER NAME...`.

Writes one object file a function, named by it, and says each name when it is done. Numba and LLVM
are imported here alone, and what they take goes with the process.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from ...runtime.custom import find, import_file
from ..table import APART, custom_file, layouts
from ..vector.table import native_module
from .compiler import compile_object
from .registry import FUNCTIONS


def main(folder: str, *names: str) -> None:
    for name in names:
        file = _import(name)
        if name not in FUNCTIONS:
            raise ValueError(f"{file} has no native function {name}")
        Path(folder, name).write_bytes(compile_object(FUNCTIONS[name], name))
        print(name, flush=True)


def _import(name: str) -> str:
    """Import the file that defines a function; its name."""
    if name not in (APART.keys() | layouts().keys()):
        find(name)  # brings all that users have
    own = custom_file(name)
    if own is not None:
        import_file(own)
        return str(own)
    module = native_module(name)
    import_module(f".{module}", __package__)
    return f"kernels/native/{module}.py"


if __name__ == "__main__":
    main(*sys.argv[1:])
