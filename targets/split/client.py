"""The device's end of the link: one request with a deadline, or a `LinkError`."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from ...runtime.errors import ExecutionError, InputError
from .cut import Cut
from .protocol import (
    CHECKSUM,
    COMPUTE_MS,
    CUT,
    DIGEST,
    MAX_MESSAGE,
    SERVICE,
    check,
    checksum,
    codec,
    messages,
    pack,
    unpack,
)

_PADDING = bytes([15 << 3 | 2])  # tag of field 15, bytes of a stated length


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


class LinkError(ExecutionError):
    """The server gave no usable answer in time."""


@dataclass(frozen=True)
class ClientCredentials:
    """PEM files for mutual TLS: the device's own certificate and key, and whom it trusts."""

    certificate: Path
    key: Path
    server_authority: Path


class EdgeClient:
    """Asks one server. `deadline_s` bounds each request, connecting included.

    An answer must carry its checksum; other servers than `midge serve` give none: not `checked`.
    """

    def __init__(
        self,
        address: str,
        model: str,
        deadline_s: float = 2.0,
        credentials: ClientCredentials | None = None,
        checked: bool = True,
        token: str | None = None,
    ) -> None:
        self._metadata = [] if token is None else [("authorization", f"Bearer {token}")]
        self._checked = checked
        self.address, self.deadline_s, self._model = address, deadline_s, model
        self.compute_ms: float | None = None  # what the server says its last answer took
        options = [
            ("grpc.max_receive_message_length", MAX_MESSAGE),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
        ]
        if credentials is None:
            self._channel = grpc.insecure_channel(address, options)
        else:
            self._channel = grpc.secure_channel(address, _tls(credentials), options)

    def infer(
        self, cut: Cut, values: Sequence[np.ndarray], deadline_s: float | None = None
    ) -> list[np.ndarray]:
        """The tail's outputs for the tensors that cross the cut."""
        sent = [cut.tail.tensors[index] for index in cut.sent]
        described, contents = pack(messages.ModelInferRequest.InferInputTensor, sent, values)
        request = messages.ModelInferRequest(
            model_name=self._model,
            id=uuid.uuid4().hex,
            inputs=described,
            raw_input_contents=contents,
        )
        request.parameters[CUT].string_param = cut.name
        request.parameters[CHECKSUM].int64_param = checksum(contents)
        request.parameters[DIGEST].string_param = cut.tail.sha256
        response = self._call("ModelInfer", request, deadline_s)
        if response.id != request.id:
            raise LinkError(f"the server at {self.address} answered another request")
        outputs = [cut.tail.tensors[index] for index in cut.tail.outputs]
        self.compute_ms = response.parameters[COMPUTE_MS].double_param or None
        try:
            if self._checked:
                check(response.raw_output_contents, response.parameters)
            return unpack(outputs, response.outputs, response.raw_output_contents)
        except InputError as error:
            raise LinkError(f"the server at {self.address} gave a wrong answer: {error}") from None

    def probe(self, size: int) -> float:
        """Milliseconds that a request of `size` bytes takes which asks for nothing.

        It is `ServerLive` with a field that the protocol doesn't have and a server ignores.
        """
        padding = _PADDING + _varint(size) + bytes(size) if size else b""
        started = time.perf_counter()
        self._call("ServerLive", messages.ServerLiveRequest.FromString(padding))
        return (time.perf_counter() - started) * 1e3

    def close(self) -> None:
        self._channel.close()

    def _call(self, method: str, request: Any, deadline_s: float | None = None) -> Any:
        serialize, parse = codec(method)
        call = self._channel.unary_unary(f"/{SERVICE}/{method}", serialize, parse)
        try:
            timeout = min(deadline_s or self.deadline_s, self.deadline_s)
            answer = call(request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            what = error.code().name.lower().replace("_", " ")
            detail = error.details()
            raise LinkError(
                f"the server at {self.address} did not answer ({what}: {detail})"
            ) from None
        if answer is None:  # what gRPC gives for bytes that are no message of this kind
            raise LinkError(f"the server at {self.address} sent an answer that can't be read")
        return answer


def _tls(credentials: ClientCredentials) -> Any:
    return grpc.ssl_channel_credentials(
        root_certificates=credentials.server_authority.read_bytes(),
        private_key=credentials.key.read_bytes(),
        certificate_chain=credentials.certificate.read_bytes(),
    )
