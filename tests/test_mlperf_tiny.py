"""MLPerf Tiny's serial protocol: the firmware's side as C on this machine, and over a real line."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import random_inputs

from cases import model as model_case
from midge.kernels.reference import ReferenceBackend
from midge.runtime.errors import ExecutionError, ToolError
from midge.runtime.pipeline import compile_model
from midge.sim.qemu import find_tool
from midge.sim.serial_line import SerialLine
from midge.targets.boards import find_board
from midge.targets.cortex_m.backend import write_sources
from midge.targets.cortex_m.image import DEVICE, device_config
from midge.targets.cortex_m.mlperf import Device, performance
from midge.targets.cortex_m.printer import model_under_test
from midge.tools import models as tools_models
from midge.tools.cli import main
from midge.tools.mlperf_tiny import host_results

DIGITS = model_case("digits")
MAIN = r"""
#include <stdio.h>
#include "clock.h"
#include "device_config.h"
#include "mlperf.h"
#include "model_io.h"
#include "serial.h"
static uint8_t sent[MIDGE_SENT_BYTES];
static uint32_t now;
void serial_put(char c) { putchar(c); }
uint32_t clock_us(void) { return now += 1000; }
int main(void)
{
    if (model_start() != 0)
        return 1;
    mlperf_start(sent, sizeof sent);
    for (int c; (c = getchar()) != EOF; fflush(stdout))
        mlperf_take((char)c);
    return 0;
}
"""


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The protocol and the digits model for this machine; memory errors end it."""
    folder = tmp_path_factory.mktemp("firmware")
    program = compile_model(DIGITS.model(), "cortex-m4")
    files = [path for path in write_sources(program, folder) if path.suffix == ".c"]
    (folder / "model_under_test.h").write_text(model_under_test(program))
    config = device_config(program, find_board("mps2-an386"), "digits")
    (folder / "device_config.h").write_text(config)
    (folder / "main.c").write_text(MAIN)
    files += [folder / "main.c", DEVICE / "mlperf.c", DEVICE / "model_io.c"]
    try:
        gcc = find_tool("gcc")
    except ToolError as error:
        pytest.skip(str(error))
    flags = ["-std=c99", "-O1", "-g", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror"]
    flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command = [gcc, *flags, "-I", folder, "-I", DEVICE, *files, "-o", folder / "firmware"]
    subprocess.run(command, check=True, timeout=120)
    return folder / "firmware"


def talk(firmware: Path, said: bytes) -> list[str]:
    """What the firmware answers to all that was said."""
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run([firmware], input=said, capture_output=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("ascii").split("\r\n")


BOOT = ["m-timestamp-mode-performance", "m-lap-us-1000", "m-init-done", "m-ready"]


def test_words_of_the_protocol(firmware: Path) -> None:
    lines = talk(firmware, b"name%profile%timestamp%db load 3%db 01fF%db 07aa%db print%bad x%")
    assert lines == [
        *BOOT,
        *("m-name-dut-[midge mps2-an386]", "m-ready"),
        *("m-profile-[ULPMark for tinyML Firmware V0.0.1]", "m-model-[digits]", "m-ready"),
        *("m-lap-us-2000", "m-ready"),
        *("m-[Expecting 3 bytes]", "m-ready"),
        "m-ready",
        *("m-load-done", "m-ready"),
        *("m-buffer-01-ff-07", "m-ready"),
        *("e-[Unknown command: bad]", "m-ready"),
        "",
    ]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"%", "e-[Unknown command: ]"),
        (b"db%", "e-[Command 'db' requires a subcommand]"),
        (b"db load%", "e-[Command 'db load' requires the # of bytes]"),
        (b"db load -1%", "e-[Command 'db load' requires the # of bytes]"),
        (b"db load 99999999999%", "e-[Command 'db load' requires the # of bytes]"),
        (b"db load 785%", "e-[Supplied buffer size exceeds maximum of 784]"),
        (b"db 00%", "e-[Command 'db load' must come first]"),
        (b"db load 2%db 0%", "e-[Insufficent number of hex digits]"),
        (b"db load 2%db 0g%", "e-[Invalid hex digit]"),
        (b"infer%", "e-[The model takes 784 bytes of input]"),
        (b"infer 0%", "e-[Inference iterations must be >0]"),
        (b"infer 1 -1%", "e-[Inference warmup must be >=0]"),
        (b"results%", "e-[There is no inference to report]"),
        (b"x" * 100 + b"%", "e-[Command is longer than its buffer]"),
    ],
)
def test_wrong_commands(firmware: Path, said: bytes, error: str) -> None:
    lines = talk(firmware, said + b"name%")
    assert lines[-6:-3] == [error, "m-ready", "m-name-dut-[midge mps2-an386]"][:3] or (
        lines[-5:] == [error, "m-ready", "m-name-dut-[midge mps2-an386]", "m-ready", ""]
    )


pieces = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [b"%", b" ", b"db ", b"db load ", b"infer ", b"results%", b"db print%", b"784%"]
    ),
    st.binary(max_size=31).map(lambda data: b"db " + data.hex().encode() + b"%"),
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(pieces, max_size=60))
def test_noise_is_survived(firmware: Path, noise: list[bytes]) -> None:
    """After any bytes at all the next command is understood, and no memory is hurt."""
    lines = talk(firmware, b"".join(noise).replace(b"infer", b"inf") + b"%name%")
    assert lines[-4:-1] == ["m-ready", "m-name-dut-[midge mps2-an386]", "m-ready"][:3] or (
        lines[-3:] == ["m-name-dut-[midge mps2-an386]", "m-ready", ""]
    )


@pytest.fixture
def line(firmware: Path):  # type: ignore[no-untyped-def]
    """The firmware at the other end of a pseudo-terminal."""
    ours, theirs = pty.openpty()
    name = os.ttyname(theirs)
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    with SerialLine(name) as opened:
        process = subprocess.Popen([firmware], stdin=ours, stdout=ours, env=environment)
        try:
            yield opened
        finally:
            process.kill()
            process.wait()
            os.close(ours)
            os.close(theirs)


def test_the_hosts_side(line: SerialLine) -> None:
    device = Device(line)
    assert (device.name, device.model) == ("midge mps2-an386", "digits")
    program = compile_model(DIGITS.model(), "cortex-m4")
    for seed in range(3):
        (value,) = random_inputs(DIGITS.model(), seed)
        device.load(value.tobytes())
        lap = device.infer(2, 1)
        assert list(lap.results) == host_results(program, value)
        assert lap.us == 1000  # the clock steps once between the two
    laps = performance(device, [value.tobytes()], windows=2, window_s=0.001)
    assert [lap.iterations for lap in laps] == [1, 1]
    with pytest.raises(ExecutionError, match=r"the device refused 'infer': e-.The model takes 784"):
        device.command("db load 5")
        device.infer(1)


def test_a_silent_port_is_not_waited_for() -> None:
    ours, theirs = pty.openpty()
    with SerialLine(os.ttyname(theirs)) as silent:
        os.write(ours, b"\x00\xffgarbage")
        with pytest.raises(ExecutionError, match=r"no line for 0.2 s; heard .*garbage"):
            silent.read_line(0.2)
    os.close(ours)
    os.close(theirs)


def test_ports_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="there is no such port; is the board plugged in"):
        SerialLine(str(tmp_path / "ttyACM0"))
    (tmp_path / "file").touch()
    with pytest.raises(ToolError, match="not a serial port"):
        SerialLine(str(tmp_path / "file"))


def test_twelve_scores_over_the_emulated_boards_line(shared: Path, tmp_path: Path) -> None:
    """A plain script, without midge, speaks to `midge sim --serial`."""
    model = tmp_path / "kws_ref_model.tflite"
    model.write_bytes(model_case("kws_ref_model").model())
    recording = np.load(shared / "inputs" / "kws_ref_model.npy")
    command = [sys.executable, "-m", "midge.tools.cli", "sim", str(model), "--serial", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        answer = json.loads(process.stdout.readline())
        if "is needed and is not installed" in answer.get("error", ""):
            pytest.skip(answer["error"])
        scores = script(answer["port"], recording.tobytes())
    finally:
        process.terminate()
        process.wait(20)
    program = compile_model(model, "reference")
    (wanted,) = ReferenceBackend().build(program).run([recording])
    tensor = program.outputs[0]
    real = (wanted.reshape(-1).astype(np.float32) - tensor.zero_point) * np.float32(tensor.scale)
    assert scores == [f"{value:.3f}" for value in real]
    assert len(scores) == 12 and int(np.argmax(real)) == 5


def script(port: str, content: bytes) -> list[str]:
    import tty

    file = os.open(port, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(file)

    def ask(command: str) -> str:
        os.write(file, f"{command}%".encode())
        heard, end = b"", time.monotonic() + 30
        while not heard.endswith(b"m-ready\r\n"):
            assert select.select([file], [], [], end - time.monotonic())[0], heard
            heard += os.read(file, 4096)
        return heard.decode()

    assert "m-model-[kws01]" in ask("profile")
    assert f"m-[Expecting {len(content)} bytes]" in ask(f"db load {len(content)}")
    for at in range(0, len(content), 31):
        loaded = ask(f"db {content[at : at + 31].hex()}")
    assert "m-load-done" in loaded
    reply = ask("infer 1 0")
    os.close(file)
    return reply.partition("m-results-[")[2].partition("]")[0].split(",")


def test_accuracy_mode(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Three real digits on the emulated board, one of them with a wrong label."""
    model = tmp_path / "digits.tflite"
    model.write_bytes(DIGITS.model())
    folder = Path(tools_models.__file__).parent
    images = np.load(folder / "digits_inputs.npy")[:3]
    labels = np.load(folder / "digits_labels.npy")[:3].astype(np.int64)
    labels[0] = (labels[0] + 1) % 10
    np.save(tmp_path / "x.npy", images.reshape(3, *images.shape[1:]))
    np.save(tmp_path / "y.npy", labels)
    files = ["--input", str(tmp_path / "x.npy"), "--labels", str(tmp_path / "y.npy")]
    code = main(["bench", str(model), "--mlperf-tiny", *files, "--json"])
    result = json.loads(capsys.readouterr().out)
    if code and "is needed and is not installed" in result["error"]:
        pytest.skip(result["error"])
    assert code == 0 and result["mode"] == "accuracy"
    assert (result["inputs"], result["top1"]) == (3, pytest.approx(2 / 3))


def test_a_port_that_is_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = tmp_path / "digits.tflite"
    model.write_bytes(DIGITS.model())
    port = str(tmp_path / "ttyACM0")
    assert main(["bench", str(model), "--mlperf-tiny", "--port", port, "--json"]) == 1
    assert "there is no such port" in json.loads(capsys.readouterr().out)["error"]
