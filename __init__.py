"""midge: quantized and binarized neural networks on small machines.

`Interpreter` follows `tflite_runtime.interpreter.Interpreter`; `InferenceSession` follows ONNX
Runtime; `Model` takes and gives bytes; `compile` and `load` give the `Program` that every backend
executes.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # type checkers take it for true; `typing` itself is slow to import
if TYPE_CHECKING:
    from typing import Any

    from .kernels.model import Model
    from .runtime.errors import MidgeError
    from .runtime.interpreter import Interpreter, OpResolverType
    from .runtime.options import Options
    from .runtime.plan_cache import compile_cached as compile
    from .runtime.program import Program
    from .runtime.program_file import load_program as load
    from .runtime.session import InferenceSession

__version__ = "0.1.0"

__all__ = [
    "InferenceSession",
    "Interpreter",
    "MidgeError",
    "Model",
    "OpResolverType",
    "Options",
    "Program",
    "compile",
    "load",
]

# Public name -> module and name in it: imported when first asked for, since a board's driver needs
# but a few modules and a start of the interpreter not all.
_HOMES = {
    "InferenceSession": (".runtime.session", "InferenceSession"),
    "Interpreter": (".runtime.interpreter", "Interpreter"),
    "MidgeError": (".runtime.errors", "MidgeError"),
    "Model": (".kernels.model", "Model"),
    "OpResolverType": (".runtime.interpreter", "OpResolverType"),
    "Options": (".runtime.options", "Options"),
    "Program": (".runtime.program", "Program"),
    "compile": (".runtime.plan_cache", "compile_cached"),
    "load": (".runtime.program_file", "load_program"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, own = _HOMES[name]
    value = getattr(import_module(module, __name__), own)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
