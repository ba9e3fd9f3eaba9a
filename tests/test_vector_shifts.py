"""Layers of many filters whose multipliers are far above and below one: left shifts too."""

from __future__ import annotations

import numpy as np
import pytest
from exact import draw_values
from vector_call import assert_vector_node
from vector_geometry import SHIFTED, shifted


@pytest.mark.parametrize("kernel", SHIFTED)
def test_same_bits(kernel):
    graph, node = shifted(kernel)
    x = draw_values(np.random.default_rng(1), graph.input(node).shape, graph.input(node).dtype)
    assert_vector_node(graph, node, [x, *[None] * 2], kernel)
