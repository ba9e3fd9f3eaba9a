"""A model's C as a shared library with its loader; every case of it is in test_same_bits.py."""

from __future__ import annotations

import subprocess
import sys

import build_tflite as build
import pytest
from oracle import random_inputs
from test_same_bits import assert_same

from cases import model
from midge.kernels.native import processor
from midge.runtime.backend import find_backend
from midge.runtime.errors import MissingTool, TargetError
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model
from midge.sim.qemu import find_tool, run_tool
from midge.targets.library.backend import LibraryExecutor
from midge.targets.library.from_c import compiled_library

DIGITS = model("digits")
TARGET = "armv7"


def reference(content, runs):
    executor = find_backend("reference").build(compile_model(content, "reference"))
    return [executor.run(inputs) for inputs in runs]


@pytest.fixture
def armv7():
    try:
        find_tool("arm-linux-gnueabihf-gcc")
        find_tool("qemu-arm")
    except MissingTool as error:
        pytest.skip(str(error))


def own_library(content, folder):
    """The same library for this machine, which needs no emulator."""
    program = compile_model(content, TARGET)
    try:
        library = compiled_library(program, "", ("-g0",), processor.machine())
    except MissingTool as error:
        pytest.skip(str(error))
    return LibraryExecutor(program, library, folder)


@pytest.mark.parametrize("content", [DIGITS.model(), build.svdf()], ids=["digits", "state"])
def test_armv7_has_the_bits_of_the_reference(content, armv7):
    runs = [random_inputs(content, seed) for seed in range(3)]
    executor = find_backend(TARGET).build(compile_model(content, TARGET))
    for inputs, wanted in zip(runs, reference(content, runs), strict=True):
        assert_same(executor.run(inputs), wanted)
    assert executor.measurement.instructions > 1000
    executor.close()


@pytest.mark.parametrize("content", [DIGITS.model(), build.svdf()], ids=["digits", "state"])
def test_library_of_this_machine(content, tmp_path):
    executor = own_library(content, tmp_path)
    runs = [random_inputs(content, seed) for seed in range(3)]
    for inputs, wanted in zip(runs, reference(content, runs), strict=True):
        assert_same(executor.run(inputs), wanted)
    executor.close()


def test_loader_needs_python_alone(tmp_path):
    """As on a PYNQ: no midge, no Numba."""
    content = DIGITS.model()
    own_library(content, tmp_path).close()
    inputs = random_inputs(content, 1)
    (tmp_path / "input.bin").write_bytes(inputs[0].tobytes())
    command = [sys.executable, "-I", "-S", "model.py", "input.bin"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    assert answer == reference(content, [inputs])[0][0].tobytes()


def test_library_exports_its_model_alone(tmp_path):
    own_library(DIGITS.model(), tmp_path).close()
    listed = run_tool([find_tool("nm"), "-D", "--defined-only", "libmodel.so"], tmp_path, 60)
    assert {line.split()[2].split("_")[1] for line in listed.splitlines()} == {"model"}


def test_what_a_library_can_not_do(armv7):
    with pytest.raises(TargetError, match="target armv7 takes its input whole"):
        program = compile_model(build.conv2d(), TARGET, Options(input_by_row=True))
        find_backend(TARGET).build(program)
    executor = find_backend(TARGET).build(compile_model(DIGITS.model(), TARGET))
    with pytest.raises(TargetError, match="--target cortex-m7 runs the same C"):
        executor.trace([])
    executor.close()
