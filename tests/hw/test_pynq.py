"""The PYNQ driver, unmodified, through the real `pynq` on a simulated board."""

import subprocess
import sys

import numpy as np
import pytest

from midge.hw.commands import Transfer
from midge.hw.machine import Machine, Register
from midge.runtime.errors import ExecutionError, InputError


@pytest.fixture
def overlay(accelerators, tmp_path):
    """`Overlay("midge.bit")` with the .hwh that midge writes."""
    pynq = pytest.importorskip("pynq")

    from midge.sim.pynq_device import SimulatedDevice
    from midge.targets.fpga import pynq_driver  # noqa: F401  (binds the driver)
    from midge.targets.fpga.hwh import handoff

    board = accelerators(Machine()).board
    board.disturb(24, 0)
    (tmp_path / "midge.bit").write_bytes(b"")
    (tmp_path / "midge.hwh").write_text(handoff())
    return pynq.Overlay(str(tmp_path / "midge.bit"), device=SimulatedDevice(board))


@pytest.fixture
def network(overlay, stretch, tmp_path):
    """(the network opened on the board, its input, its answer)"""
    from midge.targets.fpga.pynq_driver import save_stretch

    made, x, expected = stretch
    save_stretch(made, tmp_path / "model.npz")
    return overlay.midge.open(tmp_path / "model.npz"), x, expected.reshape(-1)


def test_overlay_binds_the_driver(overlay):
    assert type(overlay.midge).__name__ == "AcceleratorIp"
    assert overlay.midge.queue.machine == Machine()


def test_same_bits_again_and_again(network):
    opened, x, expected = network
    for _ in range(3):
        np.testing.assert_array_equal(opened.run([x])[0], expected)
    other = np.flip(x)
    assert not np.array_equal(opened.run([other])[0], expected)
    np.testing.assert_array_equal(opened.run([x])[0], expected)


def test_forgotten_flush_is_seen(network, monkeypatch):
    """So that the model of the cache is one: the run reads the input of the run before."""
    from midge.targets.fpga.pynq_driver import PynqBuffer

    opened, x, expected = network
    opened.run([np.flip(x)])
    monkeypatch.setattr(PynqBuffer, "flush", lambda self: None)
    assert not np.array_equal(opened.run([x])[0], expected)


def test_forgotten_invalidate_is_seen(network, monkeypatch):
    from midge.targets.fpga.pynq_driver import PynqBuffer

    opened, x, expected = network
    monkeypatch.setattr(PynqBuffer, "invalidate", lambda self: None)
    assert not np.array_equal(opened.run([x])[0], expected)


def test_hung_engine_ends_in_time(network):
    opened, x, _ = network
    opened.run([x])
    prepared = opened._queue._prepare(opened.stretch)
    prepared.commands.array[-1] = Transfer.WAIT  # so that no interrupt ever comes
    prepared.commands.flush()
    with pytest.raises(ExecutionError, match=r"did not finish in \d+ cycles: status .* words fet"):
        opened.run([x])


def test_dead_memory_ends_in_time(network, accelerators, monkeypatch):
    """The engine hangs for want of data: told; when memory answers again, runs are right."""
    opened, x, expected = network
    opened.run([x])
    board = accelerators(Machine()).board
    monkeypatch.setattr("midge.hw.queue._RESET_READS", 100)
    board.disturb(24, 256)
    try:
        with pytest.raises(ExecutionError, match=r"did not finish in \d+ cycles: .* for memory"):
            opened.run([x])
        with pytest.raises(ExecutionError, match="can't start: memory still owes it answers"):
            opened.run([x])
    finally:
        board.disturb(24, 0)
    np.testing.assert_array_equal(opened.run([x])[0], expected)


def test_foreign_design_is_refused(overlay, monkeypatch):
    from midge.targets.fpga.pynq_driver import PynqBus

    read = PynqBus.read
    monkeypatch.setattr(
        PynqBus, "read", lambda self, at: 7 if at == Register.IDENTITY else read(self, at)
    )
    with pytest.raises(ExecutionError, match="answers with 0x6567646d; this device with 0x0000"):
        _ = overlay.midge.queue


def test_bad_file_is_refused(overlay, tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"no network")
    with pytest.raises(InputError, match="must be a network for the accelerator"):
        overlay.midge.open(tmp_path / "bad.npz")


def test_driver_needs_numpy_and_pynq_alone():
    """The board has no Numba, nor what midge reads models with; pynq may import what it likes."""
    pytest.importorskip("pynq")
    code = (
        "import sys, pynq\n"
        "for name in 'numba llvmlite tflite flatbuffers rich amaranth cocotb grpc'.split():\n"
        "    sys.modules[name] = None\n"
        "import midge.targets.fpga.pynq_driver\n"
        "print(*(name for name in sys.modules if name.startswith('midge.')))\n"
    )
    run = [sys.executable, "-c", code]
    loaded = subprocess.run(run, check=True, timeout=120, capture_output=True, text=True).stdout
    rooms = {name.split(".")[1] for name in loaded.split()}
    assert rooms == {"hw", "runtime", "targets"}, "it imports midge's kernels or tools"
    assert "midge.runtime.graph" not in loaded.split()
