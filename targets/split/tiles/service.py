"""Tiles over the Open Inference Protocol: the server's part, and a worker as its client sees it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np

from ....runtime.errors import InputError
from ....runtime.graph import Graph
from ..client import EdgeClient, LinkError
from ..protocol import (
    CHECKSUM,
    COMPUTE_MS,
    DIGEST,
    FRAME,
    PIECES,
    TILE,
    check,
    checksum,
    digest_of,
    messages,
    pack,
    unpack,
)
from .executor import WorkerError
from .task import Piece, Task, TileHost, piece_tensors, pieces_text, read_pieces


class TileService:
    """Answers tile requests of one model; everything is checked before it computes."""

    def __init__(self, graph: Graph, target: str) -> None:
        self._graph, self._host = graph, TileHost(graph, target)

    def answer(self, request: Any) -> Any:
        """A `ModelInferResponse`; `InputError` for what doesn't fit the model."""
        said = {name: request.parameters[name].string_param for name in (TILE, FRAME, PIECES)}
        geometry = self._host.runner.geometry
        task = Task.read(said[TILE], geometry)
        given = read_pieces(said[PIECES], geometry)
        check(request.raw_input_contents, request.parameters)
        tensors = piece_tensors(self._graph, given)
        values = unpack(tensors, request.inputs, request.raw_input_contents)
        started = time.perf_counter()
        answers = self._host.run(said[FRAME], task, given, values)
        compute_ms = (time.perf_counter() - started) * 1e3
        described, contents = pack(
            messages.ModelInferResponse.InferOutputTensor,
            piece_tensors(self._graph, task.give),
            answers,
        )
        response = messages.ModelInferResponse(
            model_name=request.model_name,
            model_version="1",
            id=request.id,
            outputs=described,
            raw_output_contents=contents,
        )
        response.parameters[CHECKSUM].int64_param = checksum(contents)
        response.parameters[COMPUTE_MS].double_param = compute_ms
        return response


class TileClient(EdgeClient):
    """A worker behind `midge serve` with the same model file."""

    graph: Graph

    def run(
        self, frame: str, task: Task, given: Sequence[Piece], values: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """What the task gives; `WorkerError` if it can't be had in time."""
        described, contents = pack(
            messages.ModelInferRequest.InferInputTensor, piece_tensors(self.graph, given), values
        )
        request = messages.ModelInferRequest(
            model_name=self._model,
            id=uuid.uuid4().hex,
            inputs=described,
            raw_input_contents=contents,
        )
        request.parameters[TILE].string_param = task.text()
        request.parameters[FRAME].string_param = frame
        request.parameters[PIECES].string_param = pieces_text(given)
        request.parameters[CHECKSUM].int64_param = checksum(contents)
        request.parameters[DIGEST].string_param = digest_of(self.graph)
        try:
            response = self._call("ModelInfer", request)
            if response.id != request.id:
                raise LinkError(f"the worker at {self.address} answered another request")
            check(response.raw_output_contents, response.parameters)
            wanted = piece_tensors(self.graph, task.give)
            return unpack(wanted, response.outputs, response.raw_output_contents)
        except (InputError, LinkError) as error:
            raise WorkerError(f"worker {self.address}: {error}") from None


def connect(graph: Graph, address: str, model: str, **options: Any) -> TileClient:
    """A worker at an address; `options` as of `EdgeClient`."""
    client = TileClient(address, model, **options)
    client.graph = graph
    return client
