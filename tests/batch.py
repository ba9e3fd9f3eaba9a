"""Many models in one program: compiled once, started once, on an emulated board or on Linux.

Each core so runs the whole table of cases in seconds.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from midge.runtime.feeding import FEED
from midge.runtime.graph import DTYPES
from midge.runtime.program import Program
from midge.targets.cortex_m.printer import print_model
from midge.targets.cortex_m.sources import sources

HERE = Path(__file__).parent
MAIN = HERE / "batch.c"
Inferences = Sequence[Sequence[np.ndarray]]  # the inputs of one after the other


@dataclass(frozen=True)
class Batch:
    """Programs and their inputs, as C files in `folder` with `main` in batch.c."""

    folder: Path
    programs: Sequence[Program]
    inferences: Sequence[Inferences]

    @property
    def models(self) -> list[Path]:
        """The C files of the models and their kernels, which `main` is not among."""
        return sorted(set(self.folder.glob("*.c")) - {self.folder / MAIN.name})

    def run(self, start: Callable[[Path], object]) -> list[list[list[np.ndarray]]]:
        """By program, by inference, the outputs; `start` runs what was built, in the folder."""
        content = b"".join(
            value.tobytes() for given in self.inferences for inputs in given for value in inputs
        )
        (self.folder / "input.bin").write_bytes(content)
        start(self.folder)
        written, at = (self.folder / "output.bin").read_bytes(), 0
        answers = []
        for program, given in zip(self.programs, self.inferences, strict=True):
            outputs = []
            for _ in given:
                values, at = _outputs(program, written, at)
                outputs.append(values)
            answers.append(outputs)
        assert at == len(written)
        return answers


def write_batch(
    programs: Sequence[Program],
    inferences: Sequence[Inferences],
    folder: Path,
    names: Sequence[str],
) -> Batch:
    """Print all programs; `names` are said before each runs."""
    texts: dict[str, str] = {}
    kernels: set[str] = set()
    for number, program in enumerate(programs):
        texts |= print_model(replace(program, name=f"case_{number}"))
        kernels |= program.kernels - {FEED}
    texts |= sources(kernels, texts.values())
    texts["batch_models.h"] = _table(programs, inferences, names)
    for name, text in texts.items():
        (folder / name).write_text(text)
    for name in ("batch.c", "batch.h"):
        shutil.copy(HERE / name, folder)
    return Batch(folder, programs, inferences)


def _table(
    programs: Sequence[Program], inferences: Sequence[Inferences], names: Sequence[str]
) -> str:
    functions = ("init", "run", "input", "output", "input_bytes", "output_bytes")
    lines = [f'#include "case_{number}.h"' for number in range(len(programs))]
    lines += [f"#define ARENA_BYTES {max(p.arena_bytes for p in programs) + 1}"]
    lines += ["static const struct model models[] = {"]
    for number, (program, given, name) in enumerate(zip(programs, inferences, names, strict=True)):
        sizes = f"{len(program.inputs)}, {len(program.outputs)}, {len(given)}"
        own = ", ".join(f"midge_case_{number}_{function}" for function in functions)
        lines += [f'    {{"{name}", {sizes}, MIDGE_CASE_{number}_ARENA_BYTES, {own}}},']
    return "\n".join([*lines, "};", ""])


def _outputs(program: Program, written: bytes, at: int) -> tuple[list[np.ndarray], int]:
    values = []
    for tensor in program.outputs:
        content = written[at : at + tensor.bytes]
        values.append(np.frombuffer(content, DTYPES[tensor.dtype]).reshape(tensor.shape))
        at += tensor.bytes
    return values, at
