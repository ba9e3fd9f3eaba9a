"""A bitstream for an ULX3S-85F by open tools: Yosys, nextpnr and ecppack."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from ...hw.machine import Machine
from ...runtime.errors import ToolError
from .open_tools import find_tool, run_tool

TOP, BITSTREAM, BUILD = "midge_ulx3s", "midge.bit", "build.json"
PINS = {"clk_25mhz": "G2", "ftdi_rxd": "L4", "ftdi_txd": "M1"}  # ulx3s_v20.lpf of the board
FLASH = ("openFPGALoader", "-b", "ulx3s")
MACHINE = Machine()
SEEDS = 3  # places are tried, until one reaches the clock

# No value is used that was read while it was written (`hw.scratchpad`, `hw.lane`); unless Yosys is
# told, it surrounds each block RAM with logic that returns the old one. The last two commands are
# those of `synth_ecp5` but for its naming of cells, which takes a fifth of the time.
_SYNTHESIS = "; ".join(
    (
        f"read_rtlil {TOP}.il",
        "setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2 r:CLK_ENABLE=1 %i",
        f"synth_ecp5 -top {TOP} -run begin:check",
        "tee -q -o cells.json stat -json",
        "blackbox =A:whitebox",
        f"write_json {TOP}.json",
    )
)


def constraints() -> str:
    """The pins and the oscillator, in Lattice's preference language."""
    pins = "".join(
        f'LOCATE COMP "{name}" SITE "{site}";\nIOBUF PORT "{name}" IO_TYPE=LVCMOS33;\n'
        for name, site in PINS.items()
    )
    return pins + 'FREQUENCY PORT "clk_25mhz" 25 MHZ;\n'


def build(folder: Path) -> dict[str, Any]:
    """Synthesis, place and route, bitstream; takes minutes, and more with each seed that misses.

    `files`, `fmax_mhz` of the accelerator's clock as placed and routed, what was `used` of each
    kind of cell, the `seed` and `seconds`; the same is written to `build.json`. `MissingTool`
    without the tools, `ToolError` if one fails or the clock is missed.
    """
    from ...hw.ulx3s import CLOCK_HZ, Ulx3s
    from ...hw.verilog import to_rtlil

    tools = {
        tool: find_tool(tool, "a bitstream for an ECP5")
        for tool in ("yosys", "nextpnr-ecp5", "ecppack")
    }
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    # Not Verilog: there each word of a memory is set by a statement of its own, which Yosys would
    # gather again for longer than all the rest takes.
    (folder / f"{TOP}.il").write_text(to_rtlil(Ulx3s(MACHINE), TOP))
    (folder / f"{TOP}.lpf").write_text(constraints())
    mhz = CLOCK_HZ / 1e6

    def run(tool: str, *arguments: str) -> None:
        run_tool([*tools[tool], *arguments], folder, f"{tool} could not build the bitstream")

    run("yosys", "-q", "-p", _SYNTHESIS)
    for seed in range(1, SEEDS + 1):
        run(
            "nextpnr-ecp5", "--85k", "--package", "CABGA381", "--speed", "6", "--json",
            f"{TOP}.json", "--lpf", f"{TOP}.lpf", "--textcfg", f"{TOP}.config", "--report",
            "report.json", "--freq", f"{mhz:g}", "--timing-allow-fail", "--router", "router2",
            "--seed", f"{seed}", "--log", "nextpnr.log", "--quiet",
        )  # fmt: skip
        report = read_report(json.loads((folder / "report.json").read_text()))
        if report["fmax_mhz"] >= mhz:
            break
    else:
        slowest = report["fmax_mhz"]
        raise ToolError(
            f"the placed design runs at {slowest:.1f} MHz, and {mhz:g} are needed; {SEEDS} seeds "
            "were tried, and another version of Yosys or nextpnr may do better"
        )
    report |= {"clock_mhz": mhz, "seed": seed}
    run("ecppack", "--compress", f"{TOP}.config", BITSTREAM)
    cells = json.loads((folder / "cells.json").read_text())["design"]["num_cells_by_type"]
    report["used"]["LUT4"] = {"used": cells["LUT4"], "available": None}
    report["seconds"] = round(time.monotonic() - started, 1)
    (folder / BUILD).write_text(json.dumps(report, indent=1) + "\n")
    return {"files": [str(folder / name) for name in (BITSTREAM, BUILD, "report.json")]} | report


def read_report(report: dict[str, Any]) -> dict[str, Any]:
    """`fmax_mhz` of the slowest clock and what was `used`, of nextpnr's report."""
    slowest = min(clock["achieved"] for clock in report["fmax"].values())
    used = {
        kind: {"used": cell["used"], "available": cell["available"]}
        for kind, cell in report["utilization"].items()
        if re.fullmatch("TRELLIS_COMB|TRELLIS_FF|MULT18X18D|DP16KD|EHXPLLL", kind)
    }
    return {"fmax_mhz": slowest, "used": used}
