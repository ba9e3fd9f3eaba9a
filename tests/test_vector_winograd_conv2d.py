"""Vector kernel of winograd_conv2d: the bits of the NumPy reference on every geometry."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from native_call import overlapped, run_native
from vector_geometry import by_winograds_algorithm, draw_winograd

from midge.kernels.table import lower
from midge.kernels.winograd_conv2d import reference


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_geometry(data):
    graph, node, arrays = draw_winograd(data)
    (wanted,) = reference(graph, node, arrays)
    room, overlap = data.draw(st.sampled_from([0, -1])), data.draw(st.booleans())
    (actual,) = run_native(graph, node, arrays, overlap, lambda *own: lower(*own).choices[room])
    np.testing.assert_array_equal(actual, wanted)


def test_tiles_may_be_written_over_the_input():
    graph, node = by_winograds_algorithm((1, 16, 16, 16), filters=16)
    assert overlapped(graph, node) > 0
