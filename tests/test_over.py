"""Rows written over the oldest row of their input's ring: fewer bytes, the same bits."""

from __future__ import annotations

import pytest
from build_compute import windows
from c_call import CTwin
from seeded_model import SeededModel
from test_segments import assert_reference, inputs_of

from midge.runtime import streaming
from midge.runtime.backend import find_backend
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model, lower_nodes
from midge.runtime.replay import replay

ROWS = Options(strategy="rows", frugal=True)
WIDE, NARROW = 24, 4


def block(kernel: int, stride: int, padding: str, deep: str = "DEPTHWISE_CONV_2D") -> bytes:
    """Wide, along the image, narrow again: the second writes over the first."""
    model = SeededModel("int8", 0)
    small = [windows(size, kernel, stride, padding) for size in (19, 17)]
    shapes = [(1, 19, 17, NARROW), (1, 19, 17, WIDE), (1, *small, WIDE), (1, *small, NARROW)]
    tensors = [model.activation(shape) for shape in shapes]
    steps = [
        ("CONV_2D", (WIDE, 1, 1, NARROW), NARROW, 1),
        (deep, (1, kernel, kernel, WIDE), kernel * kernel, stride),
        ("CONV_2D", (NARROW, 1, 1, WIDE), WIDE, 1),
    ]
    for (op, size, taps, step), x, y in zip(steps, tensors, tensors[1:], strict=False):
        depthwise = op.startswith("DEPTH")
        weights, scales = model.weights(size, 3 if depthwise else 0, True)
        options: dict[str, object] = {"depth_multiplier": 1} if depthwise else {}
        options |= {"padding": padding, "stride_h": step, "stride_w": step}
        bias = model.bias(size[3] if depthwise else size[0], scales, taps)
        model.node(op, [x, weights, bias], [y], **options)
    return model.build([tensors[0]], [tensors[-1]])


@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m4"])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_a_depthwise_row_lies_over_the_oldest_of_its_window(
    kernel: int, stride: int, padding: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = block(kernel, stride, padding)
    program = compile_model(model, target, ROWS)
    replay(program, lower_nodes(program.graph, find_backend(target)))
    assert_reference(CTwin(program).run(inputs_of(program)), model)
    monkeypatch.setattr(streaming, "written_over", lambda *_: {})
    apart = compile_model(model, target, ROWS)
    row = windows(17, kernel, stride, padding) * WIDE
    gaps = kernel * (kernel // 2 + 1) * WIDE  # at most so many pixels before each row of the ring
    assert apart.arena_bytes - program.arena_bytes >= row - gaps
    assert program.arena_bytes < apart.arena_bytes or row <= gaps


def test_a_row_that_is_needed_longer_lies_elsewhere() -> None:
    """An average over two rows of the depthwise output keeps two of them."""
    model = SeededModel("int8", 0)
    x, wide, deep, y = (
        model.activation((1, rows, 17, WIDE), zero_point=-5) for rows in (12, 12, 12, 11)
    )
    weights, scales = model.weights((WIDE, 1, 1, WIDE), 0, True)
    bias = model.bias(WIDE, scales, WIDE)
    one = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    model.node("CONV_2D", [x, weights, bias], [wide], **one)
    weights, scales = model.weights((1, 3, 3, WIDE), 3, True)
    bias = model.bias(WIDE, scales, 9)
    model.node("DEPTHWISE_CONV_2D", [wide, weights, bias], [deep], depth_multiplier=1, **one)
    pool = {"filter_height": 2, "filter_width": 1, "padding": "VALID", "stride_h": 1, "stride_w": 1}
    model.node("AVERAGE_POOL_2D", [deep], [y], **pool)
    content = model.build([x], [y])
    program = compile_model(content, "cortex-m4", ROWS)
    replay(program, lower_nodes(program.graph, find_backend("cortex-m4")))
    assert_reference(CTwin(program).run(inputs_of(program)), content)
