"""Firmware on a board that QEMU emulates: one process a run, with a time limit."""

from __future__ import annotations

import ctypes
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..runtime.errors import ExecutionError, MissingTool, ToolError

_PR_SET_PDEATHSIG = 1  # linux/prctl.h

# tool -> the Debian package that has it
PACKAGES = {
    "arm-none-eabi-": "gcc-arm-none-eabi",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-arm": "qemu-user",
    "arm-linux-gnueabihf-": "gcc-arm-linux-gnueabihf",
    "qemu-aarch64": "qemu-user",
    "qemu-x86_64": "qemu-user",
    "aarch64-linux-gnu-objdump": "binutils-aarch64-linux-gnu",
    "aarch64-linux-gnu-": "gcc-aarch64-linux-gnu",
    "x86_64-linux-gnu-": "gcc-x86-64-linux-gnu",
    "qemu-system-riscv": "qemu-system-misc",
    "riscv64-unknown-elf-": "gcc-riscv64-unknown-elf",
    "gcc": "gcc",
}


def find_tool(name: str) -> Path:
    """The path of a tool on this machine, or a `ToolError` that says how to install it."""
    found = shutil.which(name)
    if found is None:
        package = next((p for prefix, p in PACKAGES.items() if name.startswith(prefix)), name)
        raise MissingTool(f"{name} is needed and is not installed; `apt install {package}` has it")
    return Path(found)


def run_tool(command: Sequence[str | Path], folder: Path, timeout_s: float) -> str:
    """Run a tool of `find_tool` in `folder`; its output, or a `ToolError` with its words."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"{name} did not end within {timeout_s:g} s") from None
    if done.returncode:
        raise ToolError(f"{name} failed:\n{done.stderr.strip()}")
    return done.stdout


def run_firmware(
    elf: Path,
    program: str,
    machine: str,
    folder: Path,
    icount_shift: int | None = None,
    timeout_s: float = 300.0,
    arguments: Sequence[str] = (),
    meanings: Mapping[int, str] | None = None,
) -> str:
    """Run `elf` to its end and return what it said by semihosting.

    Files that the firmware opens are relative to `folder`. With `icount_shift` an instruction takes
    exactly 2**icount_shift ns of the emulated time. Raises `ExecutionError` if the firmware reports
    failure, by the sentence that `meanings` has for its code, or does not end in time.
    """
    icount = [] if icount_shift is None else ["-icount", f"shift={icount_shift}"]
    command = [
        str(find_tool(program)),
        *("-M", machine, *arguments),
        *("-display", "none", "-monitor", "none", "-serial", "none"),
        *("-semihosting-config", "enable=on,target=native"),
        *icount,
        *("-kernel", str(elf.resolve())),
    ]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        raise ExecutionError(
            f"the firmware did not end within {timeout_s:g} s on the emulated {machine}; "
            "raise the time limit if the model is that large"
        ) from None
    if meanings and done.returncode in meanings:
        raise ExecutionError(meanings[done.returncode])
    if done.returncode:
        said = " ".join(done.stderr.split()) or "nothing"
        raise ExecutionError(
            f"the firmware failed on the emulated {machine} (code {done.returncode}): {said}"
        )
    return done.stderr


def _die_with_parent() -> None:
    """In a child: end when the parent does, however that ends. An emulator would run for ever."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def serial_board(
    elf: Path, program: str, machine: str, arguments: Sequence[str] = ()
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """An emulated board that runs `elf`, its serial port as a pseudo-terminal: (path, process).

    It ends with the context.
    """
    command = [
        str(find_tool(program)),
        *("-M", machine, *arguments),
        *("-display", "none", "-monitor", "none", "-serial", "pty"),
        *("-kernel", str(elf.resolve())),
    ]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=_die_with_parent,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        port = re.search(r"/dev/\S+", said)
        if port is None:
            raise ExecutionError(
                f"the emulated {machine} has opened no pseudo-terminal; it said: {said.strip()}"
            )
        yield port[0], process
    finally:
        process.kill()
        process.communicate()
