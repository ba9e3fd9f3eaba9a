"""midge: quantized and binarized neural networks on small machines.

`Interpreter` follows `tflite_runtime.interpreter.Interpreter`; `InferenceSession` follows ONNX
Runtime; `compile` and `load` give the `Program` that every backend executes.
"""

from __future__ import annotations

from .runtime.errors import MidgeError
from .runtime.interpreter import Interpreter, OpResolverType
from .runtime.pipeline import Options
from .runtime.plan_cache import compile_cached
from .runtime.program import Program
from .runtime.session import InferenceSession

__version__ = "0.1.0"

compile = compile_cached
load = Program.load

__all__ = [
    "InferenceSession",
    "Interpreter",
    "MidgeError",
    "OpResolverType",
    "Options",
    "Program",
    "compile",
    "load",
]
