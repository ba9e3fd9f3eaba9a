"""The C kernels as Thumb-2 with the DSP extension, assembly included, under `qemu-arm`.

One emulated process answers all calls: its standard input gives a kernel's number, its parameter
words, the arena and the constants; its standard output returns the arena.
"""

from __future__ import annotations

import atexit
import struct
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from c_call import CTwin

from midge.sim.qemu import find_tool, run_tool
from midge.targets.cortex_m.sources import KERNELS_HEADER, c_kernels, params_type, sources

# -O3 and gcc as on the boards; Armv7-A has all instructions of Armv7E-M's DSP extension.
FLAGS = (
    "-std=gnu99", "-O3", "-march=armv7-a", "-mthumb", "-mfpu=vfpv3-d16", "-static",
    "-Wall", "-Wextra", "-Wconversion", "-Werror", "-ffp-contract=off",
)  # fmt: skip

_MAIN = """
#include <stdint.h>
#include <stdio.h>
#include "{header}"

static int8_t arena[1 << 20] __attribute__((aligned(16)));
static int8_t constants[1 << 20] __attribute__((aligned(16)));
static int32_t words[256];

int main(void)
{{
    uint32_t request[4];
    while (fread(request, sizeof request, 1, stdin) == 1) {{
        if (request[1] > sizeof words || request[2] > sizeof arena
            || request[3] > sizeof constants || fread(words, 1, request[1], stdin) != request[1]
            || fread(arena, 1, request[2], stdin) != request[2]
            || fread(constants, 1, request[3], stdin) != request[3])
            return 1;
        switch (request[0]) {{
{cases}
        default:
            return 1;
        }}
        fwrite(arena, 1, request[2], stdout);
        fflush(stdout);
    }}
    return 0;
}}
"""


@lru_cache(maxsize=1)
def _process() -> subprocess.Popen[bytes]:
    texts = sources(c_kernels().keys())
    cases = "\n".join(
        f"        case {number}: midge_{name}(arena, constants, (const {params_type(name)} *)"
        "(const void *)words); break;"
        for number, name in enumerate(sorted(c_kernels()))
    )
    texts["thumb_main.c"] = _MAIN.format(header=KERNELS_HEADER, cases=cases)
    folder = tempfile.TemporaryDirectory()
    for name, text in texts.items():
        (Path(folder.name) / name).write_text(text)
    files = sorted(name for name in texts if name.endswith(".c"))
    command = [find_tool("arm-linux-gnueabihf-gcc"), *FLAGS, *files, "-lm", "-o", "kernels"]
    run_tool(command, Path(folder.name), timeout_s=300)
    emulator = [find_tool("qemu-arm"), Path(folder.name) / "kernels"]
    process = subprocess.Popen(emulator, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    atexit.register(folder.cleanup)
    atexit.register(process.kill)
    return process


class ThumbTwin(CTwin):
    """Runs a program's calls by the emulated kernels."""

    def _call(self, kernel: str, args: dict[str, int]) -> None:
        process = _process()
        assert process.stdin is not None and process.stdout is not None
        words = struct.pack(f"<{len(args)}i", *args.values())
        number = sorted(c_kernels()).index(kernel)
        sizes = (len(words), self.arena.nbytes, self.constants.nbytes)
        process.stdin.write(struct.pack("<4I", number, *sizes) + words)
        process.stdin.write(self.arena.tobytes() + self.constants.tobytes())
        process.stdin.flush()
        self.arena[:] = memoryview(process.stdout.read(self.arena.nbytes)).cast("b")
