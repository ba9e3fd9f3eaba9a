"""Programs are saved and loaded whole, and damaged files are refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import build_tflite as b
import numpy as np
import pytest

import midge
from midge.runtime.backend import find_backend
from midge.runtime.errors import ProgramError
from midge.runtime.pipeline import compile_model
from midge.runtime.program_file import from_bytes, to_bytes


@pytest.mark.parametrize("make", [b.conv2d, b.lstm, b.strided_slice, b.pad])
def test_a_loaded_program_gives_the_same_bits(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    program = compile_model(make(), "host")
    program.save(tmp_path / "m.midge")
    loaded = midge.load(tmp_path / "m.midge")
    shape = program.inputs[0].shape
    inputs = [np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)]
    backend = find_backend("host")
    for a, e in zip(backend.build(loaded).run(inputs), backend.build(program).run(inputs)):
        np.testing.assert_array_equal(a, e)


def test_saving_is_reproducible() -> None:
    content = to_bytes(compile_model(b.conv2d(), "host"))
    assert content == to_bytes(compile_model(b.conv2d(), "host"))
    assert to_bytes(from_bytes(content)) == content


def test_every_damaged_byte_is_noticed() -> None:
    content = to_bytes(compile_model(b.reshape(), "host"))
    for position in range(0, len(content), 37):
        damaged = bytearray(content)
        damaged[position] ^= 0x40
        with pytest.raises(ProgramError):
            from_bytes(bytes(damaged))
    for length in range(0, len(content), 101):
        with pytest.raises(ProgramError):
            from_bytes(content[:length])


def test_foreign_file_and_other_version() -> None:
    with pytest.raises(ProgramError, match=r"^program: not a midge program; make one with"):
        from_bytes(b"hello")
    content = bytearray(to_bytes(compile_model(b.reshape(), "host")))
    content[8] = 9
    with pytest.raises(ProgramError, match=r"program version 9, this midge reads 6"):
        from_bytes(bytes(content))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"can't be read"):
        midge.load(tmp_path / "none.midge")
