"""Build a wheel that brings its kernels along as machine code, so that users need no compiler.

    python -m midge.tools.wheel [-o dist] [--sets SET ...]

Every kernel is compiled for every instruction set (minutes, once; the cache of kernels keeps them),
and put into a copy of the sources, of which `pip wheel` makes the wheel.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ..kernels.native.library import images
from ..kernels.native.processor import SETS
from ..kernels.native.shipped import file_name, sources_digest, to_bytes
from ..kernels.vector.table import native_names
from ..runtime.errors import MidgeError, ToolError
from ..runtime.lowering import NUMPY_CALL

ROOT = Path(__file__).resolve().parent.parent
LEFT = ("__pycache__", ".*", "build", "dist", "*.egg-info", "tests", "docs")


def write_objects(folder: Path, sets: Sequence[str]) -> None:
    """One file for each set into `folder`."""
    names = [name for name in native_names() if name != NUMPY_CALL]
    for instructions in sets:
        Console(stderr=True).print(f"{instructions}: {len(names)} kernels", highlight=False)
        found = {name: image.to_bytes() for name, image in images(names, instructions).items()}
        (folder / file_name(instructions)).write_bytes(to_bytes(found))


def build_wheel(out: Path, sets: Sequence[str]) -> Path:
    """The wheel, in the folder `out`."""
    with tempfile.TemporaryDirectory(prefix="midge-") as temporary:
        source = Path(temporary, "source")
        shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*LEFT))
        write_objects(source / "kernels" / "native", sets)
        if sources_digest() != sources_digest(source / "kernels"):
            raise ToolError("the sources were changed while kernels were compiled; build again")
        options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", temporary)
        words = [sys.executable, "-m", "pip", "wheel", "--quiet", *options, str(source)]
        built = subprocess.run(words, capture_output=True, text=True)
        if built.returncode:
            raise ToolError(f"pip wheel failed: {built.stderr.strip().rpartition(chr(10))[2]}")
        (wheel,) = Path(temporary).glob("midge-*.whl")
        out.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(wheel, out / wheel.name))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=Path("dist"))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    args = parser.parse_args()
    try:
        wheel = build_wheel(args.out, args.sets)
    except MidgeError as error:
        Console(stderr=True).print(str(error), style="red", markup=False)
        return 1
    print(f"{wheel}: {wheel.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
