"""Vector kernels are exact with every instruction set, not only this machine's own.

A process is made for one set, so each runs in its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from midge.kernels.native import processor

ROOT = Path(__file__).resolve().parent.parent
TESTS = sorted(str(path) for path in (ROOT / "tests").glob("test_vector_*.py"))


@pytest.mark.parametrize("name", [processor.AVX_VNNI, processor.AVX2, processor.PORTABLE])
def test_same_bits_with_instruction_set(name):
    if processor.instruction_set() == name and not processor.is_stated():
        pytest.skip("this machine's own set: the vector tests ran with it")
    if not processor.runs_here(name):
        pytest.skip(f"this processor has no {name}")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *_tests(name)],
        cwd=ROOT,
        env={**os.environ, processor.VARIABLE: name},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def _tests(name: str) -> list[str]:
    """Those of all kernels; of a set that is like another one, those of its own kernels."""
    own = processor.SETS[name].own
    return [
        path
        for path in TESTS
        if not own or f"{Path(path).stem[len('test_vector_') :]}_vector_s8" in own
    ]


def test_an_unknown_set_is_refused(monkeypatch):
    monkeypatch.setenv(processor.VARIABLE, "mmx")
    processor.instruction_set.cache_clear()
    why = "MIDGE_INSTRUCTIONS is 'mmx'; it must be one of: avx512-vnni, avx-vnni, avx2, portable"
    with pytest.raises(ValueError, match=why):
        processor.instruction_set()
    monkeypatch.undo()
    processor.instruction_set.cache_clear()


def test_bits_are_counted_by_adders_too():
    """A processor that counts bits by itself never runs the adders, unless it is told to."""
    name = processor.AVX512_VNNI
    if processor.is_stated() or not processor.runs_here(name):
        pytest.skip("this processor has no AVX-512 VNNI, or another set was stated")
    tests = [path for path in TESTS if path.endswith("test_vector_bconv2d.py")]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        env={**os.environ, processor.VARIABLE: name},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
