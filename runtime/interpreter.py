"""A drop-in for `tflite_runtime.interpreter.Interpreter`: the user changes one import."""

from __future__ import annotations

import enum
import sys

import numpy as np

from . import ready
from .dtypes import DTYPES
from .outline import details_of, outline_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any

    from .backend import Executor, Measurement
    from .graph import Graph
    from .outline import Outline, TensorOutline
    from .program import Program
    from .signatures import SignatureRunner


class OpResolverType(enum.Enum):
    """As TFLite's: BUILTIN_REF runs the NumPy reference, all others the native kernels."""

    AUTO = 0
    BUILTIN = 1
    BUILTIN_REF = 2
    BUILTIN_WITHOUT_DEFAULT_DELEGATES = 3


class Interpreter:
    """Runs one model. Method names, detail dictionaries and error types are TFLite's.

    Tensor indices are the model file's. Values of tensors that are neither input, output nor
    constant can be read only with `experimental_preserve_all_tensors`. Beyond TFLite, `target`
    names any backend of midge, `measurement` tells what the last invoke cost, and with
    `input_by_row` the input image can be handed over row by row (`push_rows`); with
    `max_extra_macs` it may run in strips, and takes the image once for each (`Options`). With
    `frames` the input's rows are frames in time: an inference takes so many new ones (the input's
    shape says so once tensors are allocated), and answers for the whole window; `push_rows` takes
    them too, with `input_by_row`. At first, and after a reset, the zero point had come for ever.
    With `winograd` 3x3 convolutions of float32 take a quarter of the products, and round otherwise
    than TFLite's do.
    """

    def __init__(
        self,
        model_path: str | Path | None = None,
        model_content: bytes | None = None,
        experimental_delegates: Sequence[Any] | None = None,
        num_threads: int | None = None,
        experimental_op_resolver_type: OpResolverType = OpResolverType.AUTO,
        experimental_preserve_all_tensors: bool = False,
        target: str | None = None,
        input_by_row: bool = False,
        max_extra_macs: float | None = None,
        frames: int | None = None,
        winograd: bool = False,
    ) -> None:
        if model_path is None and model_content is None:
            raise ValueError("`model_path` or `model_content` must be specified.")
        if model_path is not None and model_content is not None:
            raise ValueError("Can't both provide `model_path` and `model_content`")
        if experimental_delegates:
            raise ValueError("midge takes no TFLite delegates; choose a backend with `target`")
        if num_threads is not None and (not isinstance(num_threads, int) or num_threads < -1):
            raise ValueError("num_threads should be an integer of at least -1")
        reference = experimental_op_resolver_type is OpResolverType.BUILTIN_REF
        self._target = target or ("reference" if reference else "host")
        self._preserve = experimental_preserve_all_tensors
        self._by_row, self._extra, self._frames = input_by_row, max_extra_macs, frames
        self._winograd = winograd
        self._threads = max(num_threads or 1, 1) if self._target == "host" else 1
        self._source: str | Path | bytes = model_content if model_path is None else model_path  # type: ignore[assignment]
        self._sizes: dict[int, tuple[int, ...]] = {}
        self._ready: ready.Ready | None = None
        self._program: Program | None = None
        self._executor: Executor | None = None
        self._values: dict[int, np.ndarray] = {}
        self._inner: dict[int, np.ndarray] = {}
        self._outline = self._find_outline()

    # ---- preparation ----

    def allocate_tensors(self) -> None:
        """Compile the model for its input shapes and reserve the arena."""
        self._ensure_safe()
        if self._executor is not None:
            return
        if self._can_be_ready():
            self._ready = self._ready or ready.make(
                self._target, self._source, self._threads, self._sizes
            )
        if self._ready is not None:
            self._executor = ready.executor(self._target, self._ready)
        else:
            self._executor = self._build()
        self._values = {
            index: np.zeros(tensor["shape"], DTYPES[tensor["dtype"]])
            for index, tensor in self._ends(*self._outline["inputs"], *self._outline["outputs"])
        }
        for index, tensor in self._ends(*self._outline["inputs"]):
            if tensor["fixed"] is not None:
                self._values[index].reshape(-1)[:] = np.frombuffer(
                    tensor["fixed"], DTYPES[tensor["dtype"]]
                )

    def _can_be_ready(self) -> bool:
        """Whether all that is asked of the interpreter can come from one mapped file."""
        special = self._preserve or self._by_row or self._extra or self._frames is not None
        return self._target in ready.MAKERS and not special and not self._winograd

    def _find_outline(self) -> Outline:
        self._ready = None
        if self._can_be_ready():
            self._ready = ready.find(self._source, self._threads, self._sizes)
        if self._ready is not None:
            outline: Outline = self._ready.header["outline"]
            return outline
        return outline_of(self._graph())

    def _graph(self) -> Graph:
        """The model file's graph, constants and all."""
        from .plan_cache import read_cached  # with it, all that a start does without

        return read_cached(self._source, self._sizes or None)

    def _build(self) -> Executor:
        from dataclasses import replace

        from .backend import build
        from .options import PARALLEL, Options
        from .plan_cache import compile_cached

        whole = not self._by_row and not self._extra
        options = replace(
            PARALLEL if self._threads > 1 and whole else Options(),
            input_by_row=self._by_row,
            max_extra_macs=self._extra,
            frames=self._frames,
            winograd=self._winograd,
        )
        self._program = compile_cached(self._source, self._target, options, self._sizes or None)
        if self._frames is not None:  # the input, as the caller sees it, is what is taken
            (index,) = self._outline["inputs"]
            self._outline["tensors"][index]["shape"] = self._program.inputs[0].shape
        return build(self._program, self._threads)

    def resize_tensor_input(
        self, input_index: int, tensor_size: Sequence[int], strict: bool = False
    ) -> None:
        """Give an input another shape; `allocate_tensors` must be called again."""
        self._ensure_safe()
        if input_index not in self._outline["inputs"]:
            raise ValueError(f"tensor {input_index} is not an input of the model")
        before = self._sizes
        self._sizes = {**before, input_index: tuple(int(n) for n in tensor_size)}
        try:
            self._outline = self._find_outline()
        except Exception:
            self._sizes = before
            raise
        self._close()

    def reset_all_variables(self) -> None:
        """Set the model's state to its initial values."""
        self._allocated().reset()

    # ---- details ----

    def get_input_details(self) -> list[dict[str, Any]]:
        return [details_of(tensor) for _, tensor in self._ends(*self._outline["inputs"])]

    def get_output_details(self) -> list[dict[str, Any]]:
        return [details_of(tensor) for _, tensor in self._ends(*self._outline["outputs"])]

    def get_tensor_details(self, subgraph_index: int = 0) -> list[dict[str, Any]]:
        self._only_subgraph(subgraph_index)
        return [details_of(tensor) for tensor in self._outline["tensors"].values()]

    def num_subgraphs(self) -> int:
        return 1

    def get_signature_list(self) -> dict[str, dict[str, list[str]]]:
        return {
            key: {"inputs": sorted(ends["inputs"]), "outputs": sorted(ends["outputs"])}
            for key, ends in self._outline["signatures"].items()
        }

    def get_signature_runner(self, signature_key: str | None = None) -> SignatureRunner:
        """A callable that takes inputs and gives outputs by the signature's names."""
        signatures = self._outline["signatures"]
        if signature_key is None and len(signatures) == 1:
            signature_key = next(iter(signatures))
        if signature_key is None or signature_key not in signatures:
            known = ", ".join(sorted(signatures)) or "none"
            raise ValueError(f"no signature {signature_key!r}; the model has: {known}")
        from .signatures import SignatureRunner

        return SignatureRunner(self, signature_key, signatures[signature_key])

    # ---- values ----

    def set_tensor(self, tensor_index: int, value: np.ndarray) -> None:
        """Copy a value into an input."""
        self._allocated()
        self._input_place(tensor_index, np.asarray(value))[...] = value

    def get_tensor(self, tensor_index: int, subgraph_index: int = 0) -> np.ndarray:
        """A copy of a tensor's value."""
        self._only_subgraph(subgraph_index)
        return self._value(tensor_index).copy()

    def tensor(self, tensor_index: int) -> Callable[[], np.ndarray]:
        """A function that gives a view of an input or output; don't keep the view over invoke."""
        return lambda: self._value(tensor_index).view()

    def invoke(self) -> None:
        """One inference: the inputs as last set, the outputs into their tensors."""
        self._ensure_safe()
        executor = self._allocated()
        inputs = [self._values[index] for index in self._outline["inputs"]]
        if self._program is not None:  # one that is fed by row may see the input as an image
            shapes = [tensor.shape for tensor in self._program.inputs]
            inputs = [value.reshape(shape) for value, shape in zip(inputs, shapes, strict=True)]
        if self._program is not None and self._preserve:
            self._inner = {tensor: value for _, tensor, value in executor.trace(inputs)}
            outputs = [self._inner[index] for index in self._program.graph.outputs]
        else:
            outputs = executor.run(inputs)
        self._keep_outputs(outputs)

    def push_rows(self, rows: np.ndarray) -> int:
        """Take the next rows of the input image [n, width, channels], and go on as they allow.

        Answers how many rows are still to come; at 0 the outputs are in their tensors, and the next
        row begins another inference. For interpreters made with `input_by_row`.
        """
        executor = self._allocated()
        if not hasattr(executor, "push_rows"):
            raise RuntimeError(f"target {self._target} can't take its input by row")
        left: int = executor.push_rows(np.asarray(rows))
        if left == 0:
            self._keep_outputs(executor.copy_out())  # type: ignore[attr-defined]
        return left

    def _keep_outputs(self, outputs: Sequence[np.ndarray]) -> None:
        for index, value in zip(self._outline["outputs"], outputs, strict=True):
            self._values[index][...] = value

    @property
    def measurement(self) -> Measurement:
        """What the last invoke cost."""
        return self._allocated().measurement

    # ---- inside ----

    def _ends(self, *indices: int) -> list[tuple[int, TensorOutline]]:
        return [(index, self._outline["tensors"][index]) for index in indices]

    def _allocated(self) -> Executor:
        if self._executor is None:
            raise RuntimeError("call allocate_tensors() before using the interpreter's tensors")
        return self._executor

    def _value(self, index: int) -> np.ndarray:
        self._allocated()
        if index in self._values:
            return self._values[index]
        tensors = self._outline["tensors"]
        if index not in tensors:
            raise ValueError(f"tensor {index} doesn't exist; there are {len(tensors)}")
        if index in self._inner:
            return self._inner[index]
        constant = self._graph().tensors[index].data
        if constant is not None:
            return constant
        raise ValueError(
            f"tensor {index} ({tensors[index]['name']!r}) is not kept: its memory is reused; "
            "construct the interpreter with experimental_preserve_all_tensors=True"
        )

    def _input_place(self, index: int, value: np.ndarray) -> np.ndarray:
        if index not in self._outline["inputs"]:
            raise ValueError(f"tensor {index} is not an input of the model and can't be set")
        place, tensor = self._values[index], self._outline["tensors"][index]
        if value.dtype != place.dtype:
            raise ValueError(
                f"Cannot set tensor: Got value of type {value.dtype} but expected type "
                f"{tensor['dtype']} for input {index}, name: {tensor['name']}"
            )
        if value.shape != place.shape:
            raise ValueError(
                f"Cannot set tensor: Dimension mismatch. Got {list(value.shape)} but expected "
                f"{list(place.shape)} for input {index}."
            )
        return place

    def _ensure_safe(self) -> None:
        # dict + getrefcount's argument are two references; any more is a user's view
        if any(sys.getrefcount(self._values[index]) > 2 for index in self._values):
            raise RuntimeError(
                "There is at least 1 reference to internal data in the interpreter in the form of "
                "a numpy array or slice; delete it before this call"
            )

    def _only_subgraph(self, index: int) -> None:
        if index != 0:
            raise ValueError(f"subgraph {index} doesn't exist; the model has 1")

    def _close(self) -> None:
        if self._executor is not None:
            self._executor.close()
        self._executor, self._values, self._inner = None, {}, {}
