"""Other runtimes that `midge bench` measures against, each as one call that makes an inference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Any

import numpy as np

from ..runtime.errors import InputError, MidgeError, MissingTool, ToolError

Run = Callable[[], object]


@dataclass(frozen=True)
class Rival:
    run: Run
    version: str


@dataclass(frozen=True)
class _Runtime:
    module: str
    package: str
    prepare: Callable[[Any, str, Sequence[np.ndarray], int], Run]


def rival(name: str, path: str, inputs: Sequence[np.ndarray], threads: int) -> Rival:
    """A runtime by its name in `RIVALS`, ready to run a model file on some inputs."""
    runtime = RIVALS[name]
    try:
        module = import_module(runtime.module)
    except ImportError:
        raise MissingTool(
            f"--vs {name} needs the module {runtime.module}; pip install {runtime.package}"
        ) from None
    try:
        run = runtime.prepare(module, path, inputs, threads)
        run()
    except MidgeError:
        raise
    except Exception as error:  # each has errors of its own
        why = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise ToolError(f"{name} can't run {path}: {why}") from None
    return Rival(run, metadata.version(runtime.package))


def _tflite(module: Any, path: str, inputs: Sequence[np.ndarray], threads: int) -> Run:
    interpreter = module.Interpreter(model_path=path, num_threads=threads)
    interpreter.allocate_tensors()
    places = [detail["index"] for detail in interpreter.get_input_details()]
    answers = [detail["index"] for detail in interpreter.get_output_details()]

    def infer() -> object:
        for place, value in zip(places, inputs, strict=True):
            interpreter.set_tensor(place, value)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in answers]

    return infer


def _onnxruntime(module: Any, path: str, inputs: Sequence[np.ndarray], threads: int) -> Run:
    if not path.endswith(".onnx"):
        raise InputError(
            f"onnxruntime reads .onnx, not {path}; name the same network with --vs-model F.onnx"
        )
    options = module.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = module.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    if len(names) != len(inputs):
        raise InputError(f"{path} takes {len(names)} inputs, the model {len(inputs)}")
    feed = dict(zip(names, inputs, strict=True))
    return lambda: session.run(None, feed)


RIVALS: Mapping[str, _Runtime] = {
    "tflite": _Runtime("tflite_runtime.interpreter", "tflite-runtime", _tflite),
    "litert": _Runtime("ai_edge_litert.interpreter", "ai-edge-litert", _tflite),
    "onnxruntime": _Runtime("onnxruntime", "onnxruntime", _onnxruntime),
}
