"""One file for a program: save and load.

Layout: the magic, a little-endian uint32 version, a uint64 header length, a JSON header, the blobs
that the header names by (offset, length), and at the end the SHA-256 of all that comes before.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .attributes import Padding
from .custom import PREFIX, find
from .errors import GraphError, ProgramError
from .feeding import without_feed
from .graph import DTYPES, Graph, Node, Quantization, Tensor
from .ops import OPERATORS
from .places import whole_inputs
from .program import Buffer, Call, Loop, Program, Region, Spread, Step
from .while_loop import WHILE, WhileLoop

MAGIC = b"MIDGEPRG"
VERSION = 6
Built = TypeVar("Built")
_PREFIX = struct.Struct("<8sIQ")
_DIGEST = hashlib.sha256().digest_size


def save_program(program: Program, path: str | Path) -> None:
    """Write a program to one file."""
    Path(path).write_bytes(to_bytes(program))


def load_program(path: str | Path) -> Program:
    """Read a program; `ProgramError` if the file is damaged, foreign or of another version."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ProgramError(f"{path}: can't be read ({error.strerror})") from None
    return from_bytes(content, str(path))


def is_program(path: str | Path) -> bool:
    """True if a file begins as a saved program does."""
    if not Path(path).is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def to_bytes(program: Program) -> bytes:
    """A program as one file's content."""
    blobs = _Blobs()
    return _packed(_describe(program, blobs), blobs)


def graph_to_bytes(graph: Graph) -> bytes:
    """A graph alone, in the same form; for `graph_from_bytes`."""
    blobs = _Blobs()
    return _packed({"graph": _describe_graph(graph, blobs)}, blobs)


def _packed(description: Mapping[str, Any], blobs: _Blobs) -> bytes:
    header = json.dumps(description, separators=(",", ":")).encode()
    content = _PREFIX.pack(MAGIC, VERSION, len(header)) + header + bytes(blobs.data)
    return content + hashlib.sha256(content).digest()


def from_bytes(content: bytes, name: str = "program") -> Program:
    """The program of a file's content, each word of its calls checked: it may be hostile."""
    from .program_check import check_program  # every kernel's lowering, and the planner with it
    from .verify import verify

    program = own_from_bytes(content, name)
    try:
        verify(without_feed(program.graph))
    except (KeyError, TypeError, ValueError, IndexError, GraphError) as error:
        raise ProgramError(f"{name}: its content contradicts itself ({error})") from None
    _check_limits(program, name)
    check_program(program, name)
    return program


def own_from_bytes(content: bytes, name: str = "program") -> Program:
    """As `from_bytes`, for what this very package wrote for itself: only damage is looked for."""
    return _unpacked(content, name, _build)


def graph_from_bytes(content: bytes, name: str = "graph") -> Graph:
    """What `graph_to_bytes` wrote."""
    return _unpacked(content, name, lambda header, blobs: _build_graph(header["graph"], blobs))


def _unpacked(content: bytes, name: str, build: Callable[[dict[str, Any], bytes], Built]) -> Built:
    if content[:8] != MAGIC or len(content) < _PREFIX.size + _DIGEST:
        raise ProgramError(f"{name}: not a midge program; make one with `midge compile`")
    _, version, length = _PREFIX.unpack_from(content)
    if version != VERSION:
        raise ProgramError(
            f"{name}: program version {version}, this midge reads {VERSION}; compile it again"
        )
    body, digest = content[:-_DIGEST], content[-_DIGEST:]
    if hashlib.sha256(body).digest() != digest:
        raise ProgramError(f"{name}: checksum is wrong, the file is damaged; compile it again")
    try:
        header = json.loads(body[_PREFIX.size : _PREFIX.size + length])
        return build(header, body[_PREFIX.size + length :])
    except (KeyError, TypeError, ValueError, IndexError, RecursionError, GraphError) as error:
        raise ProgramError(f"{name}: its content contradicts itself ({error})") from None


def _check_limits(program: Program, name: str) -> None:
    for call in program.calls():
        for part in call.parts:
            _check_limits(part, name)
    for buffer in program.buffers:
        if buffer.offset < 0 or buffer.offset + buffer.size > program.arena_bytes:
            raise ProgramError(f"{name}: buffer {buffer.name!r} lies outside the arena")
    inputs = whole_inputs(program.graph)
    outputs = [tensor.index for tensor in program.outputs if not tensor.constant]
    for index in (*inputs, *outputs, *program.state):
        tensor, at = program.graph.tensors[index], program.addresses.get(index, -1)
        if at < 0 or at + tensor.bytes > program.arena_bytes:
            raise ProgramError(f"{name}: tensor {tensor.name!r} lies outside the arena")


class _Blobs:
    """Byte strings one after another, equal ones once."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._places: dict[bytes, tuple[int, int]] = {}

    def put(self, content: bytes) -> tuple[int, int]:
        if content not in self._places:
            self._places[content] = len(self.data), len(content)
            self.data += content
        return self._places[content]


# ---- program to JSON ---------------------------------------------------------------------------


def _describe(program: Program, blobs: _Blobs) -> dict[str, Any]:
    return {**_describe_plan(program, blobs), "graph": _describe_graph(program.graph, blobs)}


def _describe_plan(program: Program, blobs: _Blobs) -> dict[str, Any]:
    """All but the graph: a loop's node has those of its parts."""
    plain = ("target", "arena_bytes", "strategy", "lower_bound", "live_set_bytes", "planner")
    return {
        **{name: getattr(program, name) for name in (*plain, "alignment", "name", "extra_macs")},
        "items": [_describe_item(item, blobs) for item in program.items],
        "constants": blobs.put(program.constants),
        "addresses": list(program.addresses.items()),
        "buffers": [dataclasses.astuple(buffer) for buffer in program.buffers],
        "state": [[index, blobs.put(value.tobytes())] for index, value in program.state.items()],
        "spread": program.spread and _describe_spread(program.spread),
    }


def _describe_spread(spread: Spread) -> list[Any]:
    regions = [dataclasses.astuple(region) for region in spread.regions]
    words = list(spread.words.items())
    return [regions, spread.cost, spread.least_cost, spread.row_tables, words]


def _describe_item(item: Call | Loop, blobs: _Blobs) -> dict[str, Any]:
    if isinstance(item, Call):
        parts = [_describe_plan(part, blobs) for part in item.parts]
        described = {"kernel": item.kernel, "args": dict(item.args), "node": item.node}
        return {**described, "parts": parts} if parts else described
    return {
        "count": item.count,
        "body": [_describe_item(call, blobs) for call in item.body],
        "steps": [dataclasses.astuple(step) for step in item.steps],
    }


def _describe_graph(graph: Graph, blobs: _Blobs) -> dict[str, Any]:
    return {
        "nodes": [
            [
                node.op,
                node.inputs,
                node.outputs,
                _describe_attrs(node.attrs, blobs),
                node.name,
                node.origin,
            ]
            for node in graph.nodes
        ],
        "tensors": [_describe_tensor(tensor, blobs) for tensor in graph.tensors.values()],
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "sha256": graph.sha256,
        "signatures": dict(graph.signatures),
        "fixed_inputs": [
            [index, np.asarray(value).tolist()] for index, value in graph.fixed_inputs.items()
        ],
    }


def _describe_attrs(attrs: Any, blobs: _Blobs) -> dict[str, Any]:
    if isinstance(attrs, WhileLoop):
        return {"parts": [_describe_graph(part, blobs) for part in attrs.parts]}
    return dataclasses.asdict(attrs)


def _describe_tensor(tensor: Tensor, blobs: _Blobs) -> dict[str, Any]:
    quantization = tensor.quantization and [
        tensor.quantization.scales.tolist(),
        tensor.quantization.zero_points.tolist(),
        tensor.quantization.axis,
        tensor.quantization.in_floats,
    ]
    return {
        "index": tensor.index,
        "name": tensor.name,
        "shape": tensor.shape,
        "dtype": tensor.dtype,
        "quantization": quantization,
        "data": None if tensor.data is None else blobs.put(tensor.data.tobytes()),
        "variable": tensor.variable,
    }


# ---- JSON to program ---------------------------------------------------------------------------


def _build(header: Mapping[str, Any], blobs: bytes) -> Program:
    return _build_plan(header, _build_graph(header["graph"], blobs), blobs)


def _build_plan(header: Mapping[str, Any], graph: Graph, blobs: bytes) -> Program:
    plain = ("target", "arena_bytes", "strategy", "lower_bound", "live_set_bytes", "planner")
    return Program(
        **{name: header[name] for name in (*plain, "alignment", "name", "extra_macs")},
        graph=graph,
        items=tuple(_build_item(item, graph, blobs) for item in header["items"]),
        constants=_blob(blobs, header["constants"]),
        addresses={int(tensor): int(offset) for tensor, offset in header["addresses"]},
        buffers=tuple(Buffer(*fields) for fields in header["buffers"]),
        state={
            index: _array(_blob(blobs, place), graph.tensors[index].dtype).reshape(
                graph.tensors[index].shape
            )
            for index, place in header["state"]
        },
        spread=header["spread"] and _build_spread(*header["spread"]),
    )


def _build_spread(
    regions: list[Any], cost: int, least: int, tables: list[Any], words: list[Any]
) -> Spread:
    return Spread(
        tuple(Region(*fields) for fields in regions),
        cost,
        least,
        tuple((int(at), int(entries)) for at, entries in tables),
        {int(node): tuple(map(str, names)) for node, names in words},
    )


def _blob(blobs: bytes, place: list[int]) -> bytes:
    offset, length = place
    if not 0 <= offset <= offset + length <= len(blobs):
        raise ValueError("a blob lies outside the file")
    return blobs[offset : offset + length]


def _array(content: bytes, dtype: str) -> np.ndarray:
    return np.frombuffer(content, DTYPES[dtype])


def _build_item(item: Mapping[str, Any], graph: Graph, blobs: bytes) -> Call | Loop:
    if "kernel" in item:
        return _build_call(item, graph, blobs)
    body = tuple(_build_call(call, graph, blobs) for call in item["body"])
    return Loop(item["count"], body, tuple(Step(*fields) for fields in item["steps"]))


def _build_call(item: Mapping[str, Any], graph: Graph, blobs: bytes) -> Call:
    described = item.get("parts", ())
    graphs = getattr(graph.nodes[item["node"]].attrs, "parts", ()) if described else ()
    parts = (_build_plan(one, part, blobs) for one, part in zip(described, graphs, strict=True))
    return Call(item["kernel"], dict(item["args"]), item["node"], tuple(parts))


def _build_graph(description: Mapping[str, Any], blobs: bytes) -> Graph:
    tensors = [_build_tensor(tensor, blobs) for tensor in description["tensors"]]
    known = {tensor.index: tensor for tensor in tensors}
    nodes = [
        Node(op, tuple(inputs), tuple(outputs), _build_attrs(op, attrs, blobs), name, origin)
        for op, inputs, outputs, attrs, name, origin in description["nodes"]
    ]
    return Graph(
        tuple(nodes),
        known,
        tuple(description["inputs"]),
        tuple(description["outputs"]),
        description["sha256"],
        description["signatures"],
        {t: np.array(v, DTYPES[known[t].dtype]) for t, v in description["fixed_inputs"]},
    )


def _build_tensor(fields: Mapping[str, Any], blobs: bytes) -> Tensor:
    quantization = fields["quantization"] and Quantization(*fields["quantization"])
    data = fields["data"] and _array(_blob(blobs, fields["data"]), fields["dtype"])
    return Tensor(
        fields["index"],
        fields["name"],
        tuple(fields["shape"]),
        fields["dtype"],
        quantization,
        data,
        fields["variable"],
    )


def _build_attrs(op: str, fields: Mapping[str, Any], blobs: bytes) -> Any:
    if op == WHILE:
        condition, body = fields["parts"]
        return WhileLoop(_build_graph(condition, blobs), _build_graph(body, blobs))
    values = {name: _tupled(value) for name, value in fields.items()}
    if "padding" in values:
        values["padding"] = Padding(**fields["padding"])
    if op.startswith(PREFIX) and find(op.removeprefix(PREFIX)) is None:
        raise ProgramError(
            f"the program holds the custom operator {op.removeprefix(PREFIX)}, which nobody "
            "brought; name its file by --operators"
        )
    return OPERATORS[op].attrs(**values)


def _tupled(value: Any) -> Any:
    return tuple(_tupled(item) for item in value) if isinstance(value, list) else value
