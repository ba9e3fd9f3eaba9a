"""Plan the arena of known models by every strategy, and write docs/memory.md.

    python -m midge.tools.memory_page

Models that can't be had on this machine are left out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from ..runtime.backend import find_backend
from ..runtime.errors import ModelError, PlanError, UnsupportedModel
from ..runtime.pipeline import Options, compile_model, lower_nodes
from ..runtime.program import Program
from ..runtime.replay import replay
from .zoo import find_model

PAGE = Path(__file__).parent.parent / "docs" / "memory.md"
# Model -> (arena of TFLite Micro: its non-persistent part, and all of it where it was measured; the
# project's goals for row streaming with the input in the arena, and with it coming by row). Quoted:
# these were measured and set before this project, on the same files.
QUOTED: dict[str, tuple[int, int | None, int, int]] = {
    "kws_ref_model": (16_000, 24_272, 6_188, 5_808),
    "vww_96_int8": (73_728, 103_680, 27_752, 14_592),
    "pretrainedResnet_quant": (49_152, 55_984, 14_080, 11_320),
    "ad01_int8": (768, 3_984, 768, 768),
    "str_ww_ref_model": (6_656, 16_640, 3_712, 2_984),
    "micro_speech_quantized": (5_968, 7_584, 2_140, 580),
    "mcunet_vww": (161_472, 224_976, 21_760, 16_720),
    "mobilenetv2_160_035": (384_000, 456_416, 81_920, 33_920),
    "mobilenet_v1_0.25_128_quant": (131_072, None, 49_288, 22_144),
    "mobilenet_v2_1.0_224_quant": (1_505_280, None, 204_288, 131_040),
    "mnist_lstm_int8": (1_536, 4_208, 844, 844),
    "hello_world_int8": (32, 1_504, 32, 32),
}
HEAD = """# Memory

Bytes of arena, planned by `python -m midge.tools.memory_page`, which writes this page. A row's
plans are those of `midge plan M --int8-io --target T --strategy S --json` (`arena_bytes`). Nothing
is computed twice, and every plan is replayed on tagged memory (`--verify`) before it is printed.

- TFLM: what TFLite Micro's planner asks for tensors, and its whole arena with what it keeps there
  besides. Quoted; measured on the same files.
- live set: the most bytes alive at once if no buffer may lie on another, the least that a planner
  without overlap can reach.
- layers: node after node, outputs over dying inputs as far as kernels allow.
- rows: segments of nodes run row by row; the input is in the arena as a whole.
- scratch: what kernels use for themselves, part of the figure before it.
- by row: rows, and the caller hands the input over row by row (`--input-by-row`); - where the input
  is no image.
- goals: what is known to be reachable by rows, without scratch. Quoted.

| model | target | TFLM | TFLM in all | live set | layers | rows | scratch | goal | rows / goal | \
by row | goal | by row / goal |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
"""


def page() -> str:
    """The page's text."""
    return HEAD + "".join(_rows())


def _rows() -> Iterator[str]:
    for name, (head, total, goal, fed_goal) in QUOTED.items():
        try:
            layers, rows, fed = _plans(name)
        except ModelError as error:
            print(error, file=sys.stderr)
            continue
        figures = (head, total, layers.live_set_bytes, layers.arena_bytes, rows.arena_bytes)
        cells = [_bytes(n) for n in (*figures, rows.scratch_bytes)]
        cells += _against(rows.arena_bytes, goal)[1:]
        cells += _against(fed.arena_bytes if fed else None, fed_goal)
        yield f"| {' | '.join((f'`{name}`', rows.target, *cells))} |\n"


def _bytes(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _against(count: int | None, goal: int) -> list[str]:
    return [_bytes(count), _bytes(goal), "-" if count is None else f"{count / goal:.3f}"]


def _plans(name: str) -> tuple[Program, Program, Program | None]:
    """Layer by layer, by rows, and with the input by row, on the first target with all kernels."""
    path = find_model(name)
    for target in ("cortex-m4", "host"):
        try:
            layers, rows = (
                _verified(compile_model(path, target, Options(int8_io=True, strategy=strategy)))
                for strategy in ("layers", "rows")
            )
        except UnsupportedModel:
            continue
        try:
            fed = compile_model(path, target, Options(int8_io=True, input_by_row=True))
        except PlanError:
            return layers, rows, None
        return layers, rows, _verified(fed)
    raise ModelError(name, "no target has all of its kernels")


def _verified(program: Program) -> Program:
    replay(program, lower_nodes(program.graph, find_backend(program.target)))
    return program


def main() -> int:
    """Write the page."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
