"""`midge VERB ...`: parse, run the verb, print its answer; errors become one sentence.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage. With `--json`, stdout carries one JSON
object and nothing else; progress and messages go to stderr.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

from rich.console import Console

from .. import __version__
from ..kernels.native import progress
from ..runtime.backend import missing_package
from ..runtime.custom import name_files
from ..runtime.errors import MidgeError

VERBS = (
    "inspect",
    "check",
    "plan",
    "compile",
    "run",
    "compare",
    "bench",
    "profile",
    "tune",
    "boards",
    "flash",
    "sim",
    "hw",
    "serve",
    "split",
    "doctor",
    "demo",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    parser, modules = _parser()
    args = parser.parse_args(arguments)
    progress.shown = not args.json
    name_files(args.operators)
    notes = Console(stderr=True)
    try:
        verb = modules[args.verb]
        result = verb.run(args)
    except MidgeError as error:
        return _fail(args, str(error), notes)
    except ModuleNotFoundError as error:
        return _fail(args, str(missing_package(error, f"midge {args.verb}")), notes)
    except KeyboardInterrupt:
        return _fail(args, "stopped", notes)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(args, f"{where}{error.strerror or error}", notes)
    if args.json:
        print(json.dumps(result, default=_plain), flush=True)
    else:
        verb.show(result, Console())
    return _hold(verb) or int(result.get("exit_code", 0))


def _hold(verb: ModuleType) -> int:
    """What a verb does after its answer, until it is stopped."""
    if not hasattr(verb, "hold"):
        return 0
    sys.stdout.flush()
    try:
        verb.hold()
    except KeyboardInterrupt:
        pass
    return 0


def parse_and_run(arguments: Sequence[str]) -> dict[str, Any]:
    """The object that a verb's `--json` prints; its errors are raised."""
    parser, modules = _parser()
    args = parser.parse_args([*arguments, "--json"])
    name_files(args.operators)
    return modules[args.verb].run(args)


def _parser() -> tuple[argparse.ArgumentParser, dict[str, ModuleType]]:
    parser = argparse.ArgumentParser(
        prog="midge", description="Quantized neural networks on small machines."
    )
    parser.add_argument("--version", action="version", version=f"midge {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    modules = {}
    for name in VERBS:
        module = modules[name] = import_module(f".verbs.{name}", __package__)
        verb = verbs.add_parser(name, help=module.HELP, description=module.HELP)
        verb.add_argument("--json", action="store_true", help="print one JSON object on stdout")
        verb.add_argument(
            "--operators",
            action="append",
            default=[],
            metavar="FILE",
            help="a Python file of custom operators (docs/custom-operators.md); may be repeated",
        )
        module.add_arguments(verb)
    return parser, modules


def _fail(args: argparse.Namespace, message: str, notes: Console) -> int:
    if args.json:
        print(json.dumps({"error": message}))
    text = f"midge {args.verb}: {message}"
    notes.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
    return 1


def _plain(value: object) -> object:
    """NumPy numbers and arrays as JSON's own."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


if __name__ == "__main__":
    sys.exit(main())
