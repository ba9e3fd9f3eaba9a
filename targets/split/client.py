"""The device's end of the link: one request with a deadline, or a `LinkError`."""

from __future__ import annotations

import json
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
from ...runtime.program_file import VERSION
from .coder import Coder
from .cut import Cut
from .protocol import (
    AGREE,
    BASE,
    CHECKSUM,
    CODING,
    COMPUTE_MS,
    CUT,
    DATATYPES,
    DECODE_MS,
    DIGEST,
    MAX_MESSAGE,
    SERVICE,
    SPAN_TIMES,
    SPANS,
    STREAM,
    TRACE,
    check,
    checksum,
    codec,
    describe,
    digest_of,
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
        self._agreed: set[str] = set()  # cuts that the server has said yes to
        self.trace: str | None = None  # W3C traceparent of the requests to come
        self.spans: list[int] = []  # of a traced answer: the server's times, microseconds
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
        self._agree(cut, ends)
        request = self._request(cut, tensors, values, coder)
        try:
            response = self._call("ModelInfer", request, ends - time.monotonic())
        except LinkError as error:
            self._agreed.clear()  # another server may stand there when it answers again
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
        self.spans = []
        if SPANS in response.parameters:
            self.spans = _spans(response.parameters[SPANS].string_param)
        try:
            if self._checked:
                check(response.raw_output_contents, response.parameters)
            return unpack(outputs, response.outputs, response.raw_output_contents)
        except InputError as error:
            raise LinkError(f"the server at {self.address} gave a wrong answer: {error}") from None

    def _agree(self, cut: Cut, ends: float) -> None:
        """Before the first tensor: model, program version and cut, and what crosses there.

        Other servers than midge's know only what crosses: it must be what they take and give.
        """
        if cut.agreement in self._agreed:
            return
        said = [(AGREE, f"{digest_of(cut.tail)} {VERSION} {cut.agreement}")]
        asked = messages.ModelMetadataRequest(name=self._model)
        answer = self._call("ModelMetadata", asked, ends - time.monotonic(), said)
        for what, told, ours in (
            ("takes", answer.inputs, cut.sent),
            ("gives", answer.outputs, cut.tail.outputs),
        ):
            theirs = {(t.name, t.datatype, tuple(t.shape)) for t in told}
            tensors = [cut.tail.tensors[index] for index in ours]
            needed = {(t.name, DATATYPES[t.dtype], t.shape) for t in tensors}
            if theirs != needed:
                raise LinkError(
                    f"{self._model!r} at {self.address} {what} {sorted(theirs)}, not "
                    f"{sorted(needed)}; give it the tail of this cut"
                )
        self._agreed.add(cut.agreement)

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
        if cut.partial:
            names = [cut.tail.tensors[t].name for t in cut.tail.outputs]
            wanted = messages.ModelInferRequest.InferRequestedOutputTensor
            request.outputs.extend(wanted(name=name) for name in names)
        request.parameters[CUT].string_param = cut.name
        request.parameters[CHECKSUM].int64_param = checksum(coded.contents)
        request.parameters[DIGEST].string_param = digest_of(cut.tail)
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

    def _call(
        self,
        method: str,
        request: Any,
        deadline_s: float | None = None,
        said: Sequence[tuple[str, str]] = (),
    ) -> Any:
        serialize, parse = codec(method)
        call = self._channel.unary_unary(f"/{SERVICE}/{method}", serialize, parse)
        try:
            timeout = max(min(deadline_s or self.deadline_s, self.deadline_s), 1e-3)
            traced = [] if self.trace is None else [(TRACE, self.trace)]
            metadata = [*self._metadata, *traced, *said]
            answer = call(request, timeout=timeout, metadata=metadata)
        except grpc.RpcError as error:
            what = error.code().name.lower().replace("_", " ")
            detail = error.details()
            raise LinkError(
                f"the server at {self.address} did not answer ({what}: {detail})", what
            ) from None
        if answer is None:  # what gRPC gives for bytes that are no message of this kind
            raise LinkError(f"the server at {self.address} sent an answer that can't be read")
        return answer


def _spans(text: str) -> list[int]:
    """Times that rise from 0; none if a server's text is no such list."""
    try:
        spans = [int(at) for at in json.loads(text)]
    except (ValueError, TypeError):
        return []
    return spans if len(spans) == SPAN_TIMES and spans == sorted(spans) else []


def _tls(credentials: ClientCredentials) -> Any:
    return grpc.ssl_channel_credentials(
        root_certificates=credentials.server_authority.read_bytes(),
        private_key=credentials.key.read_bytes(),
        certificate_chain=credentials.certificate.read_bytes(),
    )
