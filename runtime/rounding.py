"""By which rule a graph's numbers are brought from scale to scale: TFLite's or ONNX Runtime's."""

from __future__ import annotations

from dataclasses import replace

from .graph import Graph


def in_floats(graph: Graph) -> Graph:
    """The graph of an ONNX model: multipliers are float32, ties go to even."""
    return _with_rule(graph, True)


def in_fixed_point(graph: Graph) -> Graph:
    """The same graph for targets that multiply whole numbers, rounded as TFLite does.

    Results differ by one where a number lies close to the middle of two.
    """
    return _with_rule(graph, False)


def rounds_in_floats(graph: Graph) -> bool:
    """Whether any of its numbers are brought from scale to scale as ONNX Runtime does."""
    return any(t.quantization and t.quantization.in_floats for t in graph.tensors.values())


def _with_rule(graph: Graph, floats: bool) -> Graph:
    changed = {
        index: replace(tensor, quantization=replace(tensor.quantization, in_floats=floats))
        for index, tensor in graph.tensors.items()
        if tensor.quantization is not None and tensor.quantization.in_floats != floats
    }
    return graph.with_nodes(graph.nodes, {**graph.tensors, **changed}) if changed else graph
