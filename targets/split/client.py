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
from ...runtime.graph import Tensor
from .coder import Coder
from .cut import Cut
from .protocol import (
    BASE,
    CHECKSUM,
    CODING,
    COMPUTE_MS,
    CUT,
    DECODE_MS,
    DIGEST,
    MAX_MESSAGE,
    SERVICE,
    STREAM,
    check,
    checksum,
    codec,
    describe,
    messages,
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
    """The server gave no usable answer in time. `code` is gRPC's name of the status, if any."""

    def __init__(self, why: str, code: str = "") -> None:
        super().__init__(why)
        self.code = code


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
        self.coding_ms = 0.0  # of the last request, on both sides
        self.sent_bytes = 0  # of the last request's tensors, as coded
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
        self,
        cut: Cut,
        values: Sequence[np.ndarray],
        deadline_s: float | None = None,
        coder: Coder | None = None,
    ) -> list[np.ndarray]:
        """The tail's outputs for the tensors that cross the cut, sent as `coder` codes them."""
        coder = coder or Coder()
        ends = time.monotonic() + min(deadline_s or self.deadline_s, self.deadline_s)
        tensors = [cut.tail.tensors[index] for index in cut.sent]
        request = self._request(cut, tensors, values, coder)
        try:
            response = self._call("ModelInfer", request, ends - time.monotonic())
        except LinkError as error:
            if error.code != "failed precondition" or BASE not in request.parameters:
                coder.forget()
                raise
            coder.forget()  # the server has started anew, or has made room: a whole frame
            request = self._request(cut, tensors, values, coder)
            response = self._call("ModelInfer", request, ends - time.monotonic())
        if response.id != request.id:
            raise LinkError(f"the server at {self.address} answered another request")
        coder.sent(tensors, values)
        outputs = [cut.tail.tensors[index] for index in cut.tail.outputs]
        self.compute_ms = response.parameters[COMPUTE_MS].double_param or None
        self.coding_ms += response.parameters[DECODE_MS].double_param
        try:
            if self._checked:
                check(response.raw_output_contents, response.parameters)
            return unpack(outputs, response.outputs, response.raw_output_contents)
        except InputError as error:
            raise LinkError(f"the server at {self.address} gave a wrong answer: {error}") from None

    def _request(
        self, cut: Cut, tensors: Sequence[Tensor], values: Sequence[np.ndarray], coder: Coder
    ) -> Any:
        coded = coder.encode(tensors, values)
        self.coding_ms, self.sent_bytes = coded.ms, sum(map(len, coded.contents))
        request = messages.ModelInferRequest(
            model_name=self._model,
            id=uuid.uuid4().hex,
            inputs=[describe(messages.ModelInferRequest.InferInputTensor, t) for t in tensors],
            raw_input_contents=coded.contents,
        )
        for described, name in zip(request.inputs, coded.names, strict=True):
            if name != "raw":
                described.parameters[CODING].string_param = name
        request.parameters[CUT].string_param = cut.name
        request.parameters[CHECKSUM].int64_param = checksum(coded.contents)
        request.parameters[DIGEST].string_param = cut.tail.sha256
        if coded.stream is not None:
            request.parameters[STREAM].string_param = coded.stream
        if coded.base is not None:
            request.parameters[BASE].int64_param = coded.base
        return request

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
            timeout = max(min(deadline_s or self.deadline_s, self.deadline_s), 1e-3)
            answer = call(request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            what = error.code().name.lower().replace("_", " ")
            detail = error.details()
            raise LinkError(
                f"the server at {self.address} did not answer ({what}: {detail})", what
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
