"""A build as Verilog, and what it takes of a Zynq-7020 by Yosys's `synth_xilinx`.

Synthesis alone: no vendor tool places it, so clocks and routing are not known from it.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from ...hw.machine import Machine
from .open_tools import find_tool, run_tool

TOP = "midge"
ZYNQ_7020 = {"luts": 53_200, "ffs": 106_400, "dsps": 220, "brams": 140}  # Xilinx DS190, table 1

# LUTs that a cell takes, by UG474. An inverter counts as one, though a vendor tool would mostly
# draw it into the LUT behind it.
_LUTS = {
    **{f"LUT{inputs}": 1 for inputs in range(1, 7)}, "INV": 1, "SRL16E": 1, "SRLC32E": 1,
    "RAM32X1S": 1, "RAM64X1S": 1, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1S": 2, "RAM128X1D": 4,
    "RAM256X1S": 4, "RAM32M": 4, "RAM64M": 4,
}  # fmt: skip
_FFS = ("FDRE", "FDSE", "FDCE", "FDPE", "FDRE_1", "FDSE_1", "FDCE_1", "FDPE_1", "LDCE", "LDPE")
_BRAMS = {"RAMB36E1": 1.0, "RAMB18E1": 0.5}  # of 36 Kbit


def build_verilog(machine: Machine) -> str:
    """The accelerator on its bus for 7-series parts, its top module `midge`; needs Amaranth."""
    from ...hw.axi import AxiAccelerator
    from ...hw.verilog import to_verilog

    return to_verilog(AxiAccelerator(machine, technology="xc7"), TOP)


def resources(verilog: str) -> dict[str, Any]:
    """`luts`, `ffs`, `dsps`, `brams` (of 36 Kbit) of a module `midge`, and the `other` cells.

    Takes minutes for a whole build. `MissingTool` without Yosys, `ToolError` if it fails.
    """
    yosys = find_tool("yosys", "a report of resources")
    with tempfile.TemporaryDirectory(prefix="midge-") as folder:
        Path(folder, "design.v").write_text(verilog)
        script = (
            f"read_verilog -sv design.v; synth_xilinx -family xc7 -flatten -noiopad -top {TOP}; "
            "tee -q -o cells.json stat -json -tech xilinx"
        )
        command = [*yosys, "-q", "-p", script]
        run_tool(command, Path(folder), "Yosys could not synthesise the design")
        cells = json.loads(Path(folder, "cells.json").read_text())["design"]["num_cells_by_type"]
    return count(cells)


def count(cells: dict[str, int]) -> dict[str, Any]:
    """Resources of the cells, which are given as how many there are of each type."""
    known = {*_LUTS, *_FFS, *_BRAMS, "DSP48E1"}
    return {
        "luts": sum(_LUTS.get(kind, 0) * number for kind, number in cells.items()),
        "ffs": sum(cells.get(kind, 0) for kind in _FFS),
        "dsps": cells.get("DSP48E1", 0),
        "brams": sum(_BRAMS.get(kind, 0) * number for kind, number in cells.items()),
        "other": {kind: number for kind, number in sorted(cells.items()) if kind not in known},
    }
