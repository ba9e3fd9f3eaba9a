"""Compile native functions in a process of its own: `python -m ...worker FOLDER NAME...`.

Writes one object file a function, named by it, and says each name when it is done. Numba and LLVM
are imported here alone, and what they take goes with the process.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from ..vector.table import native_module
from .compiler import compile_object
from .registry import FUNCTIONS


def main(folder: str, *names: str) -> None:
    for name in names:
        module = native_module(name)
        import_module(f".{module}", __package__)
        if name not in FUNCTIONS:
            raise ValueError(f"kernels/native/{module}.py has no native function {name}")
        Path(folder, name).write_bytes(compile_object(FUNCTIONS[name], name))
        print(name, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
