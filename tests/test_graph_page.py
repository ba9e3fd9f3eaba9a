"""`midge inspect --html`: every node and every edge is drawn, and no box lies on another."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import build_onnx as b
import build_tflite as t
import pytest

from midge.runtime.graph import Graph
from midge.runtime.importers import read_model
from midge.tools.cli import parse_and_run
from midge.tools.graph_page import _lanes, graph_page


@pytest.fixture(params=["chain", "branches"])
def graph(request: pytest.FixtureRequest) -> Graph:
    return read_model(t.conv2d() if request.param == "chain" else b.qdq_residual())


def test_all_is_drawn(graph: Graph) -> None:
    page = graph_page(graph, "a <b>")
    assert "a &lt;b&gt;" in page and "http" not in page
    assert page.count("<rect") == len(graph.nodes) + len(graph.inputs)
    computed = [{x for x in node.operands if graph.is_activation(x)} for node in graph.nodes]
    assert page.count("<path") == sum(map(len, computed))
    boxes = [tuple(map(float, box)) for box in re.findall(r"<rect x=(\S+) y=(\S+)", page)]
    assert all(one != other for one, other in combinations(boxes, 2))


def test_a_tensor_that_waits_keeps_its_lane(graph: Graph) -> None:
    """No other node's box stands in the lane of a tensor between its maker and its last reader."""
    lanes, rows = _lanes(graph), {x: i for i, n in enumerate(graph.nodes) for x in n.outputs}
    for tensor, first in rows.items():
        last = max(graph.consumers[tensor], default=first)
        for between in range(first + 1, last):
            assert lanes[graph.nodes[between].outputs[0]] != lanes[tensor]


def test_the_verb(tmp_path: Path) -> None:
    model, page = tmp_path / "m.tflite", tmp_path / "page.html"
    model.write_bytes(t.conv2d())
    parse_and_run(["inspect", str(model), "--html", str(page)])
    assert "conv2d 3×3" in page.read_text()
