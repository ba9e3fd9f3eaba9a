"""The texts beside a library: its C header, and the loader for Python."""

from __future__ import annotations

import pprint
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ... import __version__
from ...runtime.errors import TargetError
from ...runtime.graph import Tensor
from ...runtime.program import Program
from .build import Library

_LOADER = Path(__file__).with_name("loader.py")
_PLACE = "LAYOUT: dict = {}  # what `midge compile` writes here\n"


def layout_of(program: Program, library: Library) -> dict[str, Any]:
    """What the loader must know of a model, as plain data."""
    return {
        "library": library_name(program),
        "prefix": library.prefix,
        "sha256": program.graph.sha256,
        "instructions": list(library.sets),
        "memory_bytes": library.memory.size,
        "inputs": [_operand(program, tensor) for tensor in program.inputs],
        "outputs": [_operand(program, tensor) for tensor in program.outputs],
    }


def library_name(program: Program) -> str:
    return f"lib{program.name}.so"


def _operand(program: Program, tensor: Tensor) -> dict[str, Any]:
    if tensor.index not in program.addresses:
        raise TargetError(f"{tensor.name!r} is a constant: a library has no such output")
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": tuple(tensor.shape),
        "offset": program.addresses[tensor.index],
        "bytes": tensor.bytes,
    }


def python_loader(program: Program, library: Library) -> str:
    """A module of its own: the loader with this model's layout."""
    text = _LOADER.read_text()
    head, _, _ = text.partition(_PLACE)
    layout = pprint.pformat(layout_of(program, library), width=100, sort_dicts=False)
    return f'{head}LAYOUT = {layout}\n\nif __name__ == "__main__":\n    main()\n'


def c_header(program: Program, library: Library) -> str:
    return "\n".join(_header(program, library)) + "\n"


def _header(program: Program, library: Library) -> Iterator[str]:
    macro, prefix = f"MIDGE_{program.name.upper()}", library.prefix
    yield f"/* {program.name}, compiled by midge {__version__}. Link with -l{program.name}."
    yield " * Inputs are read from a memory of the caller's, and outputs are left there."
    yield " * The library has no data of its own: each thread may use a memory of its own. */"
    yield f"#ifndef {macro}_H"
    yield f"#define {macro}_H"
    yield ""
    yield f"#define {macro}_MEMORY_BYTES {library.memory.size}"
    yield f"#define {macro}_MEMORY_ALIGNMENT 64"
    yield f'#define {macro}_SHA256 "{program.graph.sha256}" /* of the model file */'
    for kind, tensors in (("INPUT", program.inputs), ("OUTPUT", program.outputs)):
        yield f"#define {macro}_{kind}S {len(tensors)}"
        for i, tensor in enumerate(tensors):
            operand = _operand(program, tensor)
            shape = "x".join(map(str, tensor.shape)) or "scalar"
            yield f"/* {tensor.dtype} {shape} */"
            yield f"#define {macro}_{kind}_{i}_OFFSET {operand['offset']}"
            yield f"#define {macro}_{kind}_{i}_BYTES {operand['bytes']}"
    yield ""
    yield "#ifdef __cplusplus"
    yield 'extern "C" {'
    yield "#endif"
    yield "/* Makes a memory ready, with the model's state at its initial values. 0 if done. */"
    yield f"int {prefix}_reset(void *memory);"
    yield "/* One inference. */"
    yield f"void {prefix}_run(void *memory);"
    names = ", ".join(f"{i} {name}" for i, name in enumerate(library.sets))
    yield f"/* What this processor's kernels are made of: {names}. */"
    yield f"int {prefix}_instructions(void);"
    yield "#ifdef __cplusplus"
    yield "}"
    yield "#endif"
    yield "#endif"
