"""Hand the border conversions of a model over to the caller (`--int8-io`)."""

from __future__ import annotations

from ..graph import Graph


def strip_border(graph: Graph) -> Graph:
    """Drop QUANTIZE at the inputs and QUANTIZE or DEQUANTIZE at the outputs.

    The model then takes and gives the integers that it computes with; only a conversion that is
    the sole reader of an input, or whose operand nobody else needs as an output, is dropped.
    """
    inputs, outputs = list(graph.inputs), list(graph.outputs)
    dropped = set()
    for i, node in enumerate(graph.nodes):
        if node.op not in ("quantize", "dequantize"):
            continue
        source, result = node.operands[0], node.outputs[0]
        if source in inputs and graph.consumers[source] == (i,) and result not in outputs:
            inputs[inputs.index(source)] = result
            dropped.add(i)
        elif result in outputs and not graph.consumers[result] and source not in inputs:
            if source not in outputs and graph.is_activation(source):
                outputs[outputs.index(result)] = source
                dropped.add(i)
    nodes = [node for i, node in enumerate(graph.nodes) if i not in dropped]
    return graph.with_nodes(nodes, inputs=tuple(inputs), outputs=tuple(outputs))
