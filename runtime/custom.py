"""Operators of a user's own: by entry point, or in files that `$MIDGE_OPERATORS` names.

An entry point of the group `midge.operators` names a `CustomOperator`, or a sequence of them; a
file has them as `OPERATORS`. They are looked for when a model asks for an operator that midge
doesn't have, so that no other model's start is slower.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .attributes import Shape
from .errors import MidgeError
from .graph import Graph, Node
from .ops import OPERATORS, Operator
from .regions import Need

GROUP = "midge.operators"
VARIABLE = "MIDGE_OPERATORS"  # files, as in $PATH
PREFIX = "custom."  # of such an operator's name in a graph


class OperatorError(MidgeError, ValueError):
    """A user's operator can't be taken as it is."""


@dataclass(frozen=True)
class Options:
    """What a model file says of a custom operator: numbers and texts by name."""

    values: tuple[tuple[str, float | int | str], ...] = ()

    def __getitem__(self, name: str) -> Any:
        for known, value in self.values:
            if known == name:
                return value
        raise ValueError(f"it has no option {name!r}")


@dataclass(frozen=True)
class CustomOperator:
    """All that midge needs to run one. `docs/custom-operators.md` shows one, whole.

    `native` is a Python file with its Numba kernels and `c` a C file, both under the names of the
    operation's layouts. Without the first the host runs the reference; without the second
    microcontrollers refuse the operator.
    """

    name: str  # the custom code in a .tflite
    operation: Any  # kernels.operation.Operation: reference, lowering, layouts, constraints
    shapes: Callable[[Graph, Node], tuple[Shape, ...]]
    need: Callable[[Graph, Node, int], Need] | None = None  # None: all of the input
    macs: Callable[[Graph, Node], int] = lambda graph, node: 0
    native: Path | None = None
    c: Path | None = None


_found: dict[str, CustomOperator] = {}
_read: set[str] = set()


def found() -> Mapping[str, CustomOperator]:
    """Those that were looked for so far, by their name in a graph."""
    return _found


def find(name: str) -> CustomOperator | None:
    """The operator with this custom code; `OperatorError` if one that is there can't be taken."""
    for source, operators in _sources():
        for operator in operators:
            _take(operator, source)
    return _found.get(PREFIX + name)


def is_custom(graph: Graph) -> bool:
    """Whether a graph has operators whose code may change from one start to the next."""
    return any(node.op.startswith(PREFIX) for node in graph.nodes)


def name_files(files: list[str]) -> None:
    """Add files of operators, for this process and those that it starts."""
    known = os.environ.get(VARIABLE, "").split(os.pathsep)
    paths = [str(Path(file).resolve()) for file in files]
    if paths:
        os.environ[VARIABLE] = os.pathsep.join(filter(None, dict.fromkeys([*known, *paths])))


def _take(operator: object, source: str) -> None:
    if not isinstance(operator, CustomOperator):
        raise OperatorError(f"{source}: {operator!r} is no midge.kernels.custom.CustomOperator")
    kernels = {layout.kernel for layout in operator.operation.layouts}
    for path in (operator.native, operator.c):
        if path is not None and not Path(path).is_file():
            raise OperatorError(f"{source}: operator {operator.name} names {path}, no such file")
    for other in _found.values():
        if other.name != operator.name and kernels & {
            layout.kernel for layout in other.operation.layouts
        }:
            raise OperatorError(
                f"{source}: operators {operator.name} and {other.name} have kernels of one name"
            )
    _found[PREFIX + operator.name] = operator
    OPERATORS[PREFIX + operator.name] = Operator(  # type: ignore[index]
        Options, operator.shapes, operator.need, operator.macs
    )


def _sources() -> Iterator[tuple[str, tuple[object, ...]]]:
    """(where from, operators) of each that wasn't read before."""
    from importlib.metadata import entry_points  # slow, and of use to such models alone

    for point in entry_points(group=GROUP):
        source = f"entry point {point.name} ({point.value})"
        if _is_new(source):
            yield source, _several(_loaded(point.load, source))
    for file in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        if _is_new(file):
            module = _loaded(lambda file=file: import_file(Path(file)), file)  # type: ignore[misc]
            if not hasattr(module, "OPERATORS"):
                raise OperatorError(f"{file}: it has no list OPERATORS of its operators")
            yield file, _several(module.OPERATORS)


def _is_new(source: str) -> bool:
    new = source not in _read
    _read.add(source)
    return new


def _several(loaded: Any) -> tuple[object, ...]:
    return (loaded,) if isinstance(loaded, CustomOperator) else tuple(loaded)


def _loaded(load: Callable[[], Any], source: str) -> Any:
    try:
        return load()
    except MidgeError:
        raise
    except Exception as error:  # whatever a user's file raises
        raise OperatorError(
            f"{source}: can't be loaded ({type(error).__name__}: {error})"
        ) from error


def import_file(path: Path) -> Any:
    """A Python file as a module, under a name of its own."""
    from importlib.util import module_from_spec, spec_from_file_location

    name = f"midge_operators_{path.resolve().as_posix().encode().hex()}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise OperatorError(f"{path}: no such Python file of operators")
    module = module_from_spec(spec)
    sys.modules[name] = module
    folder = str(path.resolve().parent)
    if folder not in sys.path:  # so that a file finds those beside it
        sys.path.append(folder)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
