"""Models as shared libraries: this machine's loaded, AArch64's emulated, with the same bits."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from oracle import random_inputs
from test_same_bits import assert_same

from cases import model
from midge.kernels.native import processor
from midge.runtime.backend import find_backend
from midge.runtime.errors import InputError, MissingTool, TargetError
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model
from midge.sim.qemu import find_tool
from midge.targets.library.backend import LibraryExecutor
from midge.targets.library.elf import layout, shared_library
from midge.tools.cli import main

KWS = model("kws_ref_model")
OWN = {"x86_64": "x86-64", "aarch64": "aarch64"}[processor.machine()]


def executor(content: bytes | Path, target: str, **options: object) -> LibraryExecutor:
    return find_backend(target).build(compile_model(content, target, Options(**options)))


def emulated(content: bytes | Path, cpu: str, **options: object) -> LibraryExecutor:
    try:
        made = executor(content, "aarch64", **options)
        made.model.processor = cpu
    except MissingTool as error:
        pytest.skip(str(error))
    return made


def reference(content: bytes | Path, inputs: list[np.ndarray]) -> list[np.ndarray]:
    return find_backend("reference").build(compile_model(content, "reference")).run(inputs)


@pytest.mark.parametrize(
    ("cpu", "instructions"),
    [("max", "neon-i8mm"), ("cortex-a76", "neon-dotprod"), ("cortex-a53", "neon")],
)
@pytest.mark.parametrize("strategy", ["layers", "rows"])
def test_aarch64_has_the_bits_of_the_reference(cpu, instructions, strategy):
    content = KWS.model()
    runner = emulated(content, cpu, strategy=strategy)
    inputs = random_inputs(content, 5)
    assert_same(runner.run(inputs), reference(content, inputs))
    assert runner.remarks == (f"kernels: {instructions}",)


def test_dotprod_takes_fewer_instructions():
    content = KWS.model()
    inputs, counts = random_inputs(content), []
    for cpu in ("cortex-a76", "cortex-a53"):
        runner = emulated(content, cpu)
        runner.run(inputs)
        counts.append(runner.measurement.instructions)
        runner.run(inputs)
        assert runner.measurement.instructions == counts[-1]
    assert 100_000 < counts[0] < 0.7 * counts[1]


def test_sdot_and_smmla_are_in_the_library(tmp_path):
    try:
        find_backend("aarch64").build(compile_model(KWS.model(), "aarch64"), tmp_path)
        disassembler = find_tool("aarch64-linux-gnu-objdump")
    except MissingTool as error:
        pytest.skip(str(error))
    text = subprocess.run(
        [disassembler, "-d", tmp_path / "libmodel.so"], capture_output=True, text=True, check=True
    ).stdout
    assert text.count("\tsdot\t") > 50
    assert text.count("\tsmmla\t") > 50
    assert text.count("\tsqrdmulh\t") > 50
    assert text.count("\tsmull") > 50  # where there is no sdot


def test_compiled_files_need_no_numpy(tmp_path, capsys):
    content = KWS.model()
    (tmp_path / "kws.tflite").write_bytes(
        content if isinstance(content, bytes) else content.read_bytes()
    )
    out = tmp_path / "out"
    assert main(["compile", str(tmp_path / "kws.tflite"), "--target", OWN, "-o", str(out)]) == 0
    inputs = random_inputs(content)
    (tmp_path / "x.bin").write_bytes(inputs[0].tobytes())
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import kws\n"
        "model = kws.Model(); x = open(sys.argv[2], 'rb').read()\n"
        "assert model.run(x) == model.run(bytearray(x))\n"
        "assert not {'numpy', 'midge', 'numba', 'llvmlite'} & set(sys.modules)\n"
        "sys.stdout.buffer.write(b''.join(model.run(x)))"
    )
    for command in (
        ["-I", "-c", script, out, tmp_path / "x.bin"],
        [out / "kws.py", tmp_path / "x.bin"],
    ):
        done = subprocess.run([sys.executable, *command], capture_output=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout == reference(content, inputs)[0].tobytes()
    short = subprocess.run(
        [sys.executable, out / "kws.py", out / "kws.h"], capture_output=True, text=True
    )
    assert short.returncode == 1
    assert short.stderr.startswith("input 0 takes 490 bytes, ")


def test_c_programs_link_with_it(tmp_path):
    content = KWS.model()
    find_backend(OWN).build(compile_model(content, OWN), tmp_path)
    inputs = random_inputs(content)
    (tmp_path / "x.bin").write_bytes(inputs[0].tobytes())
    (tmp_path / "main.c").write_text(
        """#include <stdio.h>
        #include <stdlib.h>
        #include "model.h"
        int main(void) {
            char *memory = aligned_alloc(MIDGE_MODEL_MEMORY_ALIGNMENT, MIDGE_MODEL_MEMORY_BYTES);
            if (midge_model_reset(memory + 1) == 0 || midge_model_reset(memory) != 0) return 1;
            char *input = memory + MIDGE_MODEL_INPUT_0_OFFSET;
            if (fread(input, 1, MIDGE_MODEL_INPUT_0_BYTES, stdin) == 0) return 2;
            midge_model_run(memory);
            fwrite(memory + MIDGE_MODEL_OUTPUT_0_OFFSET, 1, MIDGE_MODEL_OUTPUT_0_BYTES, stdout);
            return 0;
        }"""
    )
    words = "gcc -Wall -Wextra -Werror main.c -L. -lmodel -Wl,-rpath,. -o main"
    subprocess.run(words.split(), cwd=tmp_path, check=True)
    given = (tmp_path / "x.bin").read_bytes()
    done = subprocess.run(["./main"], cwd=tmp_path, input=given, capture_output=True, check=True)
    assert done.stdout == reference(content, inputs)[0].tobytes()


def test_the_widest_set_that_the_processor_has_is_taken():
    runner = executor(KWS.model(), OWN)
    widest = next(
        name for name in processor.sets_of(processor.machine()) if processor.runs_here(name)
    )
    assert runner.model.instructions == widest


def test_tracing_ends_with_the_answers():
    content = KWS.model()
    inputs, runner = random_inputs(content), executor(content, OWN)
    traced = list(runner.trace(inputs))
    assert len(traced) > 5
    np.testing.assert_array_equal(traced[-1][2], runner.run(inputs)[0])


def test_what_a_library_cannot_be(tmp_path):
    with pytest.raises(TargetError, match="takes its input as a whole; plan without input by row"):
        executor(KWS.model(), OWN, input_by_row=True)
    with pytest.raises(InputError, match="must be int8 of shape"):
        executor(KWS.model(), OWN).run([np.zeros(3)])


def test_symbols_of_any_number_are_found(tmp_path):
    """A function that gives its number, for 1 to 5 exported functions."""
    code = {"x86_64": b"\xb8%c\0\0\0\xc3", "aarch64": None}[processor.machine()]
    if code is None:
        pytest.skip("the functions are x86-64 code")
    for count in range(1, 6):
        names = [f"function_{i}" for i in range(count)]
        at = layout(names, 3).code
        symbols = {name: at + 16 * i for i, name in enumerate(names)}
        text = b"".join((code % (i + 7)).ljust(16, b"\0") for i in range(count))
        file = tmp_path / f"lib{count}.so"
        file.write_bytes(shared_library(62, symbols, b"abc", text))
        library = ctypes.CDLL(str(file))
        assert [library[name]() for name in names] == list(range(7, 7 + count))
        assert not hasattr(library, "function_9")
