"""The C twins of the kernels: which file defines which, and the header of their parameters."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path

from ...kernels.operation import Layout
from ...runtime import custom
from .lowering import layouts

CSRC = Path(__file__).parent / "csrc"
KERNELS_HEADER = "midge_kernels.h"
_C_KEYWORDS = {
    "unsigned",
    "signed",
    "int",
    "short",
    "long",
    "float",
    "double",
    "default",
    "register",
}
_DEFINITION = re.compile(r"^void midge_(\w+)\(\s*int8_t \*arena", re.MULTILINE)
_INCLUDE = re.compile(r'^#include "(\w+\.h)"', re.MULTILINE)


def c_kernels() -> dict[str, str]:
    """Kernel name -> the name of the C file that defines it."""
    brought = {
        kernel: path.name
        for path in _brought().values()
        for kernel in _DEFINITION.findall(path.read_text())
    }
    return _own_kernels() | brought if brought else _own_kernels()


@lru_cache(maxsize=1)
def _own_kernels() -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(CSRC.glob("*.c")):
        for kernel in _DEFINITION.findall(path.read_text()):
            found[kernel] = path.name
    return found


def _brought() -> dict[str, Path]:
    """C files of users' operators, by name."""
    files = (own.c for own in custom.found().values())
    return {Path(file).name: Path(file) for file in files if file is not None}


def sources(kernels: Collection[str], printed: Collection[str] = ()) -> dict[str, str]:
    """File name -> text of all that these kernels and these `printed` texts need."""
    files = sorted({c_kernels()[kernel] for kernel in kernels})
    brought = _brought()
    texts = {name: brought.get(name, CSRC / name).read_text() for name in files}
    # It has every kernel, so that it is the same file for two models in one firmware.
    texts[KERNELS_HEADER] = kernels_header([layouts()[kernel] for kernel in sorted(c_kernels())])
    pending = [*texts.values(), *printed]
    while pending:
        for header in _INCLUDE.findall(pending.pop()):
            # A header may have a C file of its name beside it.
            for name in (header, f"{Path(header).stem}.c"):
                if name not in texts and (CSRC / name).is_file():
                    texts[name] = (CSRC / name).read_text()
                    pending.append(texts[name])
    return texts


def kernels_header(described: Collection[Layout]) -> str:
    """The C structs of these kernels' parameters, and their prototypes."""
    return "\n".join(_header_lines(described)) + "\n"


def _header_lines(described: Collection[Layout]) -> Iterator[str]:
    yield "/* Printed by midge: the parameters of each kernel, as its layout in kernels/ states them."
    yield " *"
    yield " * Every pointer is an offset in bytes: into the arena, or into the model's constants."
    yield " */"
    yield "#ifndef MIDGE_KERNELS_H"
    yield "#define MIDGE_KERNELS_H"
    yield ""
    yield "#include <stdint.h>"
    kernels = {words.kernel: words for words in described}
    for words in described:
        if _plain(words.kernel) in kernels:
            continue
        yield ""
        yield "typedef struct {"
        yield from (f"    int32_t {c_field(name)};" for name in words.fields)
        yield f"}} {params_type(words.kernel)};"
        yield f"{prototype(words.kernel)};"
    for words in described:
        plain = _plain(words.kernel)
        if plain in kernels:
            assert words.fields == kernels[plain].fields
            yield ""
            yield f"typedef {params_type(plain)} {params_type(words.kernel)};"
            yield f"{prototype(words.kernel)};"
    yield ""
    yield "#endif"


def _plain(kernel: str) -> str | None:
    """The kernel whose parameters one for a rectified layer shares."""
    plain = kernel.replace("_relu", "")
    return plain if plain != kernel else None


def is_c_name(name: str) -> bool:
    """True for a C identifier; what begins with one is one too, so keywords don't matter."""
    return name.isascii() and name.isidentifier()


def c_name(text: str) -> str:
    """A C identifier that reads like `text`, such as the name of a model file."""
    plain = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return f"m{plain}" if not plain or plain[0].isdigit() else plain


def c_field(name: str) -> str:
    """The struct member of a layout's field: its name, unless C has that for itself."""
    return f"{name}_" if name in _C_KEYWORDS else name


def params_type(kernel: str) -> str:
    return f"midge_{kernel}_params"


def prototype(kernel: str) -> str:
    return (
        f"void midge_{kernel}(\n"
        f"    int8_t *arena, const int8_t *constants, const {params_type(kernel)} *p)"
    )
