"""Tile workers as Ray actors: wherever a cluster has room, each with the tiles that it keeps."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...runtime.errors import InputError, MidgeError, MissingTool
from .ray_start import start
from .service import load_graph
from .tiles.executor import WorkerError
from .tiles.task import Piece, Task, TileHost, pieces_text, read_pieces

PATIENCE_S = 60.0  # for one task, a first one's compilation included


class TileActor:
    """One worker: the model, its compiled tasks, and what it keeps of each inference."""

    def __init__(self, file: str, content: bytes) -> None:
        with tempfile.TemporaryDirectory(prefix="midge-ray-") as folder:
            path = Path(folder) / file
            path.write_bytes(content)
            self._host = TileHost(load_graph(path))

    def run(
        self, frame: str, task: str, given: str, values: Sequence[np.ndarray]
    ) -> tuple[list[np.ndarray], str]:
        """What the task gives, or no arrays and a sentence."""
        geometry = self._host.runner.geometry
        try:
            asked, pieces = Task.read(task, geometry), read_pieces(given, geometry)
            return self._host.run(frame, asked, pieces, values), ""
        except MidgeError as error:
            return [], str(error)


class RayWorker:
    """A worker for `TileExecutor`. A local Ray is started if none runs."""

    def __init__(self, model: Path, patience_s: float = PATIENCE_S, **options: Any) -> None:
        """`options` are those of Ray's actors (`num_cpus`, `resources`, ...)."""
        self._ray, self._patience_s = _ray(), patience_s
        start(self._ray)
        options = {"num_cpus": 0} | options
        actor = self._ray.remote(**options)(TileActor)
        self.actor = actor.remote(model.name, model.read_bytes())

    def run(
        self, frame: str, task: Task, given: Sequence[Piece], values: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """What the task gives; `WorkerError` if the actor is lost or refuses."""
        asked = self.actor.run.remote(frame, task.text(), pieces_text(given), list(values))
        try:
            answers, why = self._ray.get(asked, timeout=self._patience_s)
        except self._ray.exceptions.RayError as error:
            raise WorkerError(f"a Ray actor gave no answer ({type(error).__name__})") from None
        if why:
            raise WorkerError(f"a Ray actor refused: {why}")
        if len(answers) != len(task.give):
            raise InputError("a Ray actor gave other pieces than it was asked for")
        return list(answers)

    def close(self) -> None:
        self._ray.kill(self.actor)


def _ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError:
        raise MissingTool(
            "tile workers as Ray actors need Ray: pip install midge[ray]; --engine grpc runs them "
            "as server processes"
        ) from None
    return ray


def shut_down() -> None:
    """End the Ray that `RayWorker` started, or leave the cluster."""
    _ray().shutdown()
