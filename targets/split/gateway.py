"""The gateway of a device without a network: from its serial line to a server and back.

The device runs the head and sends what crosses the cut; the gateway asks the server and sends the
answer back, or a refusal when the server gives none. The device's status ends each run.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...runtime.errors import ExecutionError, TargetError
from ...runtime.graph import DTYPES, Graph, Tensor
from .client import EdgeClient, LinkError
from .cut import Cut
from .uplink import ANSWER, CUT, DONE, HELLO, INPUT, REFUSAL, RUN, Frame, Uplink

STATUSES = ("ok", "dead link", "refused by the gateway", "confused")
ANSWER_S = 120.0  # the device computes between two frames


@dataclass(frozen=True)
class Told:
    """What the device said at the end of a run, and the answer that the gateway gave it."""

    status: str
    outputs: list[np.ndarray]
    why: str = ""  # of a refusal, what the server said


class Gateway:
    """Serves one device, which must run the head of `cut`."""

    def __init__(self, uplink: Uplink, graph: Graph, cut: Cut, client: EdgeClient) -> None:
        if cut.head.outputs != cut.sent or not cut.tail.nodes:
            raise TargetError(
                "the device sends what crosses and gets the answer: cut where the head makes no "
                "output of the model, and leaves something to the server"
            )
        self._uplink, self._graph, self._cut, self._client = uplink, graph, cut, client

    def greet(self) -> None:
        """`TargetError` unless the device runs the head of this cut of this model."""
        self._uplink.send(HELLO)
        frame = self._uplink.receive(ANSWER_S)
        if frame is None or frame.type != HELLO or len(frame.data) < 12:
            raise ExecutionError("the device has not said which model it runs")
        digest = frame.data[12:].decode("ascii", "replace")
        sizes = struct.unpack("<3I", frame.data[:12])
        ours = tuple(_bytes(tensors) for tensors in (self._inputs, self._sent, self._outputs))
        if digest != self._graph.sha256 or sizes != ours:
            raise TargetError(
                f"the device runs model {digest[:12]!r} with {sizes[0]}, {sizes[1]} and {sizes[2]} "
                f"bytes of input, cut and answer, not {self._graph.sha256[:12]!r} with {ours[0]}, "
                f"{ours[1]} and {ours[2]}; program it with `midge split firmware` for this cut"
            )

    def run(self, inputs: Sequence[np.ndarray]) -> Told:
        """One inference on inputs that stand for a sensor's."""
        content = b"".join(np.ascontiguousarray(value).tobytes() for value in inputs)
        self._uplink.send_all(INPUT, content)
        self._uplink.send(RUN)
        return self.serve()

    def serve(self) -> Told:
        """Take what crosses, give the answer, hear how it ended."""
        crossing = bytearray(_bytes(self._sent))
        came = 0
        while came < len(crossing):
            frame = self._next()
            if frame.type == DONE:
                return Told(_status(frame.data), [])
            if frame.type != CUT or frame.offset + len(frame.data) > len(crossing):
                raise ExecutionError(f"the device sent a frame {chr(frame.type)!r} amid its cut")
            crossing[frame.offset : frame.offset + len(frame.data)] = frame.data
            came += len(frame.data)
        try:
            outputs = self._client.infer(self._cut, _arrays(self._sent, bytes(crossing)))
        except LinkError as error:
            self._uplink.send(REFUSAL)
            return Told(_status(self._next().data), [], str(error))
        content = b"".join(np.ascontiguousarray(value).tobytes() for value in outputs)
        self._uplink.send_all(ANSWER, content)
        done = self._next().data
        status = _status(done)
        if status == STATUSES[0] and done[1:] != struct.pack("<I", zlib.crc32(content)):
            raise ExecutionError("the device has another answer than was sent to it")
        return Told(status, outputs)

    def _next(self) -> Frame:
        frame = self._uplink.receive(ANSWER_S)
        if frame is None:
            raise ExecutionError(
                f"the device was silent for {ANSWER_S:.0f} s in the middle of a run"
            )
        return frame

    @property
    def _inputs(self) -> list[Tensor]:
        return [self._graph.tensors[t] for t in self._cut.head.inputs]

    @property
    def _sent(self) -> list[Tensor]:
        return [self._graph.tensors[t] for t in self._cut.sent]

    @property
    def _outputs(self) -> list[Tensor]:
        return [self._graph.tensors[t] for t in self._cut.tail.outputs]


def _bytes(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.bytes for tensor in tensors)


def _arrays(tensors: Sequence[Tensor], content: bytes) -> list[np.ndarray]:
    made, at = [], 0
    for tensor in tensors:
        piece = content[at : at + tensor.bytes]
        made.append(np.frombuffer(piece, DTYPES[tensor.dtype]).reshape(tensor.shape))
        at += tensor.bytes
    return made


def _status(done: bytes) -> str:
    if len(done) != 5 or done[0] >= len(STATUSES):
        raise ExecutionError("the device has ended its run without a status")
    return STATUSES[done[0]]
