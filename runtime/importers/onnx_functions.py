"""Operators that ONNX itself defines by others: their definitions, written out for one node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Body:
    """Nodes over the names of the graph, and the operator sets that they are written in."""

    nodes: tuple[Any, ...]
    opsets: Mapping[str, int]


def definition(
    onnx: Any, node: Any, opset: int, type_of: Callable[[str], Any], prefix: str
) -> Body | None:
    """What defines a node, None where nothing does. New names begin with `prefix`."""
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, node.domain)
    except onnx.defs.SchemaError:
        return None
    function = _function(onnx, schema, node, opset, type_of)
    if function is None:
        return None
    names = dict.fromkeys((*function.input, *function.output), "")
    names |= dict(zip(function.input, node.input, strict=False))
    names |= {formal: name for formal, name in zip(function.output, node.output) if name}
    names |= {formal: f"{prefix}{formal}" for formal in function.output if not names[formal]}
    attributes = {name: a.default_value for name, a in schema.attributes.items()}
    attributes = {name: a for name, a in attributes.items() if a.name}
    attributes |= {a.name: a for a in node.attribute}
    nodes = tuple(bound(onnx, function.node, names, prefix, attributes))
    return Body(nodes, {o.domain: o.version for o in function.opset_import})


def _function(
    onnx: Any, schema: Any, node: Any, opset: int, type_of: Callable[[str], Any]
) -> Any | None:
    function = onnx.FunctionProto()
    if schema.has_context_dependent_function:
        types = [type_of(name) if name else onnx.TypeProto() for name in node.input]
        if any(kind is None for kind in types):
            return None
        given = [kind.SerializeToString() for kind in types]
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= opset]
        try:
            found = schema.get_context_dependent_function_with_opset_version(
                max(versions), node.SerializeToString(), given
            )
        except Exception:  # where the definition has no form for these operands
            return None
        function.ParseFromString(found)
    elif schema.has_function:
        versions = [v for v in schema.function_opset_versions if v <= opset]
        if not versions:
            return None
        function.ParseFromString(schema.get_function_with_opset_version(max(versions)))
    else:
        return None
    return function if function.node else None


def bound(
    onnx: Any,
    nodes: Iterable[Any],
    names: Mapping[str, str],
    prefix: str,
    attributes: Mapping[str, Any] | None = None,
) -> Iterator[Any]:
    """Nodes with formal names replaced, and what they make named anew.

    `attributes` has values of the attributes that the nodes take from their function.
    """
    nodes = list(nodes)
    inner = {name: f"{prefix}{name}" for node in nodes for name in node.output if name}
    everything = {**inner, **names}
    for node in nodes:
        yield _renamed(onnx, node, everything, everything, attributes or {})


def _renamed(
    onnx: Any,
    node: Any,
    reads: Mapping[str, str],
    makes: Mapping[str, str],
    attributes: Mapping[str, Any],
) -> Any:
    made = onnx.NodeProto()
    made.CopyFrom(node)
    made.input[:] = [reads.get(name, name) for name in node.input]
    made.output[:] = [makes.get(name, name) for name in node.output]
    del made.attribute[:]
    for attribute in node.attribute:
        wanted = attribute.ref_attr_name
        if wanted and wanted not in attributes:
            continue
        own = made.attribute.add()
        own.CopyFrom(attributes[wanted] if wanted else attribute)
        own.name = attribute.name
        if own.HasField("g"):
            _rename_graph(onnx, own.g, reads, attributes)
    return made


def _rename_graph(
    onnx: Any, graph: Any, reads: Mapping[str, str], attributes: Mapping[str, Any]
) -> None:
    """What an inner graph reads from outside gets its new name; its own names stay."""
    own = {value.name for value in (*graph.input, *graph.initializer)}
    own.update(name for node in graph.node for name in node.output)
    outside = {name: new for name, new in reads.items() if name not in own}
    nodes = [_renamed(onnx, node, outside, {}, attributes) for node in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    for value in graph.output:
        value.name = outside.get(value.name, value.name)
