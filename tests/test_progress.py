"""A cold cache says what it compiles, and how long it will take."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys

import pytest

from midge.kernels.native import progress

NAMES = ("dispatch", "conv2d_vector_s8", "softmax_s8")


def test_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.6, 8.6, 9.2])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    told = list(progress.steps(io.StringIO("a\nb\nc\n"), NAMES))
    assert [text for text, _ in told] == [
        "about 5 s left, 1 of 3: dispatch",
        "about 7 s left, 2 of 3: conv2d_vector_s8",  # half as fast as a PC
        "about 1 s left, 3 of 3: softmax_s8",
        "done",
    ]
    assert [done for _, done in told] == pytest.approx([0, 1.3, 4.3, 4.6])


@pytest.mark.parametrize("quiet", [False, True])
def test_a_terminal_shows_a_bar_on_stderr(quiet: bool) -> None:
    code = (
        "import io; from midge.kernels.native import progress as p\n"
        f"p.shown = {not quiet}\n"
        f"p.follow(io.StringIO('a\\nb\\nc\\n'), {NAMES!r}, 'avx2')"
    )
    reader, writer = pty.openpty()
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=writer, timeout=60)
    os.close(writer)
    shown = b""
    try:
        while piece := os.read(reader, 65536):
            shown += piece
    except OSError:  # Linux's way to say that all was read
        pass
    os.close(reader)
    assert (done.returncode, done.stdout) == (0, b"")
    assert (b"compiling 3 kernels for avx2, once" in shown) != quiet
    assert quiet or "━".encode() in shown
