"""The target `armv7`: a model as a shared library for computers that have no Numba, by its C.

Such are the PYNQ-Z2's processor and Raspberry Pis with a 32-bit system.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from ...runtime.errors import TargetError
from ...runtime.feeding import is_fed
from ...runtime.program import Program
from ...sim.qemu import find_tool, run_tool
from ..cortex_m.backend import CBackend, write_sources
from ..cortex_m.toolchain import C_FLAGS, OPTIMISE, section_sizes
from .backend import LibraryExecutor
from .build import Library
from .entry import LINE, Memory, up

ARMV7 = "armv7"
INSTRUCTIONS = "neon"
COMPILER = "arm-linux-gnueabihf-"
# The Cortex-A9 of a Zynq and the Cortex-A7 of a Raspberry Pi 2 both have NEON.
FLAGS = ("-march=armv7-a", "-mfpu=neon", "-mfloat-abi=hard", "-marm")
TIMEOUT_S = 300.0


class FromCBackend(CBackend):
    """A computer that runs Linux on Armv7-A, emulated to run."""

    says_endless = False

    def build(self, program: Program, out: Path | None = None) -> FromCExecutor:
        """Compile and link; library, header and loader are written to `out` if it is given."""
        return FromCExecutor(program, compiled_library(program, COMPILER, FLAGS, ARMV7), out)


class FromCExecutor(LibraryExecutor):
    """A library whose calls are one function: they can't be run one by one."""

    def trace(self, inputs):  # type: ignore[no-untyped-def]
        """Not from outside; `cortex-m7` runs the same C, and has a trace."""
        raise TargetError("a library for armv7 has no trace; --target cortex-m7 runs the same C")


def compiled_library(
    program: Program, compiler: str, flags: tuple[str, ...], machine: str
) -> Library:
    """The program's C as a shared library that exports the model's own functions alone."""
    if is_fed(program):
        raise TargetError(f"target {program.target} takes its input whole; plan without by row")
    prefix = f"midge_{program.name}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [path for path in write_sources(program, folder) if path.suffix == ".c"]
        entry, exported, library = (folder / n for n in ("entry.c", "exported.map", "library.so"))
        entry.write_text(f"int {prefix}_instructions(void);\n" + _entry(prefix))
        exported.write_text(f"{{ global: {prefix}_*; local: *; }};\n")
        command: tuple[str | Path, ...] = (
            find_tool(f"{compiler}gcc"),
            *flags,
            OPTIMISE,
            *C_FLAGS,
            "-fPIC",
            "-shared",
        )
        link = [f"-Wl,--version-script={exported}", "-Wl,--gc-sections", "-Wl,--build-id=none"]
        run_tool([*command, *link, "-o", library, *files, entry], folder, TIMEOUT_S)
        code, constants = section_sizes(library, compiler, folder)
        content = library.read_bytes()
    memory = Memory(program.arena_bytes, 0, 0, up(program.arena_bytes, LINE), 0)
    names = (INSTRUCTIONS,)
    return Library(content, machine, prefix, memory, names, (), code, constants)


def _entry(prefix: str) -> str:
    return f"int {prefix}_instructions(void) {{ return 0; }}\n"
