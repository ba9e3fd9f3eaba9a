"""RESHAPE as a copy, for where it can't be free: TFLite, ours and the native kernel agree."""

from __future__ import annotations

import build_tflite as build
import pytest
from native_call import overlapped
from one_operator import assert_three_ways, read_operator


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "float32"])
@pytest.mark.parametrize("target", [(60,), (1, -1), (5, 3, 2, 2), (2, -1, 1, 1, 5)])
def test_every_element_size(dtype, target):
    assert_three_ways(build.reshape((3, 4, 5), target, dtype))


def test_it_may_lie_on_its_input():
    graph, node = read_operator(build.reshape((1, 4, 5, 3)))
    assert overlapped(graph, node) == 60
