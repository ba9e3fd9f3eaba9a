"""What a server answers: the Open Inference Protocol's methods, whatever carries them.

`server.py` puts them on gRPC, `ray_server.py` on Ray Serve. A request is checked before anything is
computed: the model's digest, the cut, the format of programs, and every tensor's name, type, shape
and size. Any client may ask for the whole model; a midge device says where it has cut.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__
from ...runtime.errors import InputError, MidgeError, TargetError
from ...runtime.graph import Graph, Tensor
from ...runtime.importers import read_model
from ...runtime.options import Options
from ...runtime.pipeline import rewrite
from ...runtime.program import Program
from ...runtime.program_file import VERSION, is_program
from ...runtime.rounding import in_fixed_point
from .coder import Frames
from .cut import cut_between, parse_ranges
from .protocol import (
    AGREE,
    BASE,
    CHECKSUM,
    COMPUTE_MS,
    CUT,
    DATATYPES,
    DECODE_MS,
    DIGEST,
    FLOATS,
    MAX_MESSAGE,
    SPANS,
    STREAM,
    TILE,
    TRACE,
    check,
    checksum,
    digest_of,
    messages,
    pack,
    unpack,
)
from .tail import Busy, Tail
from .tiles.service import TileService

MOST_TAILS = 32  # compiled at once; a peer that asks for every cut costs time, not memory
SLACK = 64 << 10  # bytes of a message beside its tensors: names, parameters, a probe


@dataclass(frozen=True)
class Call:
    """What came with a request: its metadata, and when its caller stops waiting."""

    metadata: Mapping[str, str] = field(default_factory=dict)
    ends: float = float("inf")  # time.monotonic()


class ModelService:
    """One model and the tails of its cuts; `most` requests of a tail run together."""

    def __init__(
        self,
        graph: Graph,
        name: str,
        target: str = "host",
        slowdown: float = 1.0,
        most: int = 1,
        wait_ms: float = 0.0,
    ) -> None:
        self._graph, self._name = graph, name
        self._fixed = in_fixed_point(graph)  # for devices that have no floats
        self._make: Callable[[Graph], Tail] = lambda tail: Tail(
            tail, target, slowdown, most, wait_ms
        )
        self._frames, self._tiles = Frames(), TileService(graph, target)
        self._tails: dict[str, Tail] = {}  # the last used one is the last
        self._lock = threading.Lock()

    @property
    def most_bytes(self) -> int:
        """No request for this model needs a larger message: all that could cross any cut."""
        graph = self._graph
        total = sum(t.bytes for i, t in graph.tensors.items() if graph.is_activation(i))
        return min(MAX_MESSAGE, total + total // 16 + SLACK)

    def close(self) -> None:
        for tail in self._tails.values():
            tail.close()

    # ---- the protocol's methods, by their names ----

    def ServerLive(self, request: Any, call: Call) -> Any:
        return messages.ServerLiveResponse(live=True)

    def ServerReady(self, request: Any, call: Call) -> Any:
        return messages.ServerReadyResponse(ready=True)

    def ModelReady(self, request: Any, call: Call) -> Any:
        return messages.ModelReadyResponse(ready=request.name == self._name)

    def ServerMetadata(self, request: Any, call: Call) -> Any:
        return messages.ServerMetadataResponse(name="midge", version=__version__)

    def ModelMetadata(self, request: Any, call: Call) -> Any:
        """Of the whole model, or of the tail that a device agrees on before its first tensor."""
        self._check_name(request.name)
        graph = self._graph
        if AGREE in call.metadata:
            graph = self._agreed(call.metadata[AGREE]).graph
        return messages.ModelMetadataResponse(
            name=self._name,
            versions=["1"],
            platform="midge",
            inputs=[_metadata(graph.tensors[i]) for i in graph.inputs],
            outputs=[_metadata(graph.tensors[i]) for i in graph.outputs],
        )

    def ModelInfer(self, request: Any, call: Call) -> Any:
        received = time.monotonic()
        self._check_name(request.model_name)
        graph = self._graph
        if DIGEST in request.parameters:
            graph = self._graph_of(request.parameters[DIGEST].string_param)
        if TILE in request.parameters:
            return self._tiles.answer(request)
        device = request.parameters[CUT].string_param if CUT in request.parameters else ""
        tail = self._tail(graph, device, [output.name for output in request.outputs])
        if CUT in request.parameters or CHECKSUM in request.parameters:
            check(request.raw_input_contents, request.parameters)
        values = self._values(request, [tail.graph.tensors[i] for i in tail.graph.inputs])
        decoded = time.monotonic()
        job = tail.run(values, call.ends)
        outputs = [tail.graph.tensors[i] for i in tail.graph.outputs]
        described, contents = pack(
            messages.ModelInferResponse.InferOutputTensor, outputs, job.answers
        )
        response = messages.ModelInferResponse(
            model_name=self._name,
            model_version="1",
            id=request.id,
            outputs=described,
            raw_output_contents=contents,
        )
        response.parameters[CHECKSUM].int64_param = checksum(contents)
        response.parameters[COMPUTE_MS].double_param = (job.finished - decoded) * 1e3
        response.parameters[DECODE_MS].double_param = (decoded - received) * 1e3
        if TRACE in call.metadata:
            times = (received, decoded, job.started, job.finished, time.monotonic())
            spans = [round((at - received) * 1e6) for at in times]
            response.parameters[SPANS].string_param = json.dumps(spans)
        return response

    # ---- inside ----

    def _check_name(self, name: str) -> None:
        if name != self._name:
            raise InputError(f"this server has the model {self._name!r}, not {name[:80]!r}")

    def _graph_of(self, digest: str) -> Graph:
        """The model by the device's rounding, if it is the one that we have."""
        if digest.removesuffix(FLOATS) != self._graph.sha256:
            raise TargetError(
                f"the device runs model {digest[:12]!r}, this server has "
                f"{self._graph.sha256[:12]!r}; give both the same model file"
            )
        if digest == digest_of(self._graph):
            return self._graph
        if digest.endswith(FLOATS):
            raise TargetError(
                "the device rounds in floats, as ONNX Runtime does, and this server's program in "
                "fixed point; serve the .onnx file itself"
            )
        return self._fixed

    def _agreed(self, said: str) -> Tail:
        """The tail of a device's digest, program version, cut and outputs, if all are ours."""
        digest, version, cut, outputs = [*said.split(" "), "", "", "", ""][:4]
        graph = self._graph_of(digest)
        if version != str(VERSION):
            raise TargetError(
                f"the device has programs of version {version[:12]!r}, this server of {VERSION}; "
                "install the same midge on both"
            )
        known = {str(t): self._graph.tensors[t].name for t in self._graph.outputs}
        return self._tail(graph, cut, [known.get(t, t) for t in outputs.split(",") if t])

    def _values(self, request: Any, inputs: Sequence[Tensor]) -> list[np.ndarray]:
        """The request's tensors; those of a stream are kept for the differences to come."""
        frame, stream = None, ""
        if STREAM in request.parameters:
            stream = request.parameters[STREAM].string_param[:64]
            if BASE in request.parameters:
                frame = self._frames.base(stream, request.parameters[BASE].int64_param)
        values = unpack(inputs, request.inputs, request.raw_input_contents, frame)
        if stream:
            self._frames.keep(stream, values)
        return values

    def _tail(self, graph: Graph, device: str, outputs: Sequence[str]) -> Tail:
        """The compiled tail of a cut, as far as the named outputs (none: all) need it.

        Of many cuts the last used ones are kept.
        """
        cut = cut_between(graph, parse_ranges(device, len(graph.nodes) - 1))
        if not cut.server:
            raise TargetError("nothing is left for the server: the cut has all nodes on the device")
        named = {cut.tail.tensors[t].name: t for t in cut.tail.outputs}
        if unknown := [name for name in outputs if name not in named]:
            raise InputError(
                f"there is no output {unknown[0][:80]!r}; there are {', '.join(named)}"
            )
        if outputs:
            cut = cut.wanting(named[name] for name in outputs)
        with self._lock:
            key = f"{digest_of(cut.tail)} {cut.agreement}"
            tail = self._tails.pop(key, None) or self._make(cut.tail)
            self._tails[key] = tail
            while len(self._tails) > MOST_TAILS:
                self._tails.pop(next(iter(self._tails)))
            return tail


def status_of(error: MidgeError) -> str:
    """gRPC's name for what went wrong."""
    if isinstance(error, Busy):
        return "RESOURCE_EXHAUSTED"
    return "INVALID_ARGUMENT" if isinstance(error, InputError) else "FAILED_PRECONDITION"


def _metadata(tensor: Tensor) -> Any:
    return messages.ModelMetadataResponse.TensorMetadata(
        name=tensor.name, datatype=DATATYPES[tensor.dtype], shape=tensor.shape
    )


def load_graph(path: Path) -> Graph:
    """The rewritten graph of a model file or of a saved program: both sides cut the same nodes."""
    return Program.load(path).graph if is_program(path) else rewrite(read_model(path), Options())
