"""The same service on Ray Serve: replicas that scale with the load, behind the one gRPC server.

Ray Serve's own gRPC proxy listens on every interface without TLS; here `ModelServer` keeps the
door, and each request goes on to a replica through Ray. All nodes of a cluster need midge and Ray.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...runtime.errors import InputError, MidgeError, MissingTool, TargetError
from .protocol import METHODS, messages
from .ray_start import start
from .service import Call, ModelService, load_graph, status_of
from .tail import Busy

APPLICATION = "midge"
ONGOING = 16  # requests that a replica works on; more wait for another one
TARGET_ONGOING = 4.0  # a replica more when each has more than so many
UPSCALE_S = 5.0  # for so long; Ray's own half a minute is long for who waits
PATIENCE_S = 600.0  # for a request without a deadline

# How long the router waits for a replica to say how many requests it has. Ray's own tenth of a
# second is missed on a busy machine of two cores, and then no replica is asked at all.
ROUTING_S = {
    "RAY_SERVE_QUEUE_LENGTH_RESPONSE_DEADLINE_S": "2",
    "RAY_SERVE_MAX_QUEUE_LENGTH_RESPONSE_DEADLINE_S": "10",
}
_ERRORS = {"RESOURCE_EXHAUSTED": Busy, "INVALID_ARGUMENT": InputError}


@dataclass(frozen=True)
class Scale:
    """Replicas: so many at first, and up to `most` when requests wait."""

    replicas: int = 1
    most: int | None = None  # None: as many as at first, always

    def options(self) -> dict[str, Any]:
        if self.most is None or self.most <= self.replicas:
            return {"num_replicas": self.replicas}
        scaling = {
            "min_replicas": self.replicas,
            "max_replicas": self.most,
            "target_ongoing_requests": TARGET_ONGOING,
            "upscale_delay_s": UPSCALE_S,
            "look_back_period_s": 2 * UPSCALE_S,
        }
        return {"autoscaling_config": scaling}


class Replica:
    """One copy of the service. Answers are (status, message or sentence, who), never exceptions."""

    def __init__(self, file: str, content: bytes, name: str, most: int, wait_ms: float) -> None:
        import ray.serve

        self._id = str(ray.serve.get_replica_context().replica_id.unique_id)
        with tempfile.TemporaryDirectory(prefix="midge-ray-") as folder:
            path = Path(folder) / file
            path.write_bytes(content)
            self._service = ModelService(load_graph(path), name, most=most, wait_ms=wait_ms)

    async def answer(
        self, method: str, content: bytes, metadata: dict[str, str], left_s: float
    ) -> tuple[str, bytes | str, str]:
        return await asyncio.to_thread(self._answer, method, content, metadata, left_s)

    def _answer(
        self, method: str, content: bytes, metadata: dict[str, str], left_s: float
    ) -> tuple[str, bytes | str, str]:
        request = getattr(messages, f"{method}Request").FromString(content)
        try:
            call = Call(metadata, time.monotonic() + left_s)
            answer = getattr(self._service, method)(request, call)
        except MidgeError as error:
            return status_of(error), str(error), self._id
        return "OK", answer.SerializeToString(), self._id


class RayService:
    """What `ModelServer` asks, answered by replicas. A local Ray is started if none runs."""

    def __init__(
        self, path: Path, name: str, scale: Scale, most: int = 1, wait_ms: float = 0.0
    ) -> None:
        ray, self._serve = _ray()
        self.answered: Counter[str] = Counter()  # requests by replica
        self._lock = threading.Lock()
        self.most_bytes = ModelService(load_graph(path), name).most_bytes
        start(ray)
        self._ray = ray
        self._serve.start(proxy_location="Disabled", logging_config={"log_level": "ERROR"})
        deployment = self._serve.deployment(
            name=APPLICATION,
            max_ongoing_requests=ONGOING,
            max_queued_requests=256,
            **scale.options(),
        )(Replica)
        bound = deployment.bind(path.name, path.read_bytes(), name, most, wait_ms)
        self._handle = self._serve.run(bound, name=APPLICATION, route_prefix=None)
        for method in METHODS:
            setattr(self, method, self._method(method))

    def _method(self, method: str) -> Any:
        response = getattr(messages, f"{method}Response")

        def serve(request: Any, call: Call) -> Any:
            left = min(call.ends - time.monotonic(), PATIENCE_S)
            asked = self._handle.answer.remote(
                method, request.SerializeToString(), dict(call.metadata), left
            )
            try:
                status, said, replica = asked.result(timeout_s=max(left, 1e-3))
            except TimeoutError:
                raise Busy(f"busy: no replica answered within {left * 1e3:.0f} ms") from None
            except self._serve.exceptions.BackPressureError as error:
                raise Busy(f"busy: {error.message}") from None
            with self._lock:
                self.answered[replica] += 1
            if status == "OK":
                return response.FromString(said)
            raise _ERRORS.get(status, TargetError)(said)

        return serve

    def close(self) -> None:
        self._serve.shutdown()
        self._ray.shutdown()


def _ray() -> tuple[Any, Any]:
    for name, seconds in ROUTING_S.items():
        os.environ.setdefault(name, seconds)
    try:
        import ray
        import ray.serve
        import ray.serve.exceptions
    except ModuleNotFoundError:
        raise MissingTool(
            "--engine ray needs Ray Serve: pip install midge[ray]; `midge serve` without it serves "
            "from one process"
        ) from None
    return ray, ray.serve
