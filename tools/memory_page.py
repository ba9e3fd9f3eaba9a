"""Plan the arena of known models by every strategy, and write docs/memory.md.

    python -m midge.tools.memory_page

Models that can't be had on this machine are left out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from ..runtime.backend import find_backend
from ..runtime.errors import ModelError
from ..runtime.ops import total_macs
from ..runtime.options import Grant, Options
from ..runtime.pipeline import lower_nodes
from ..runtime.plan_cache import compile_cached
from ..runtime.program import Program
from ..runtime.replay import replay
from .zoo import find_model

PAGE = Path(__file__).parent.parent / "docs" / "memory.md"
TARGET = "cortex-m4"


@dataclass(frozen=True)
class Quoted:
    """Bytes that were measured and set before this project, on the same files.

    `tflm` is what TFLite Micro plans for tensors, `tflm_total` its whole arena. The others are this
    project's goals: what is known to be reachable, kernel scratch left out.
    """

    tflm: int
    tflm_total: int | None
    rows: int
    by_row: int
    strips: int


QUOTED: dict[str, Quoted] = {
    "kws_ref_model": Quoted(16_000, 24_272, 6_188, 5_808, 5_808),
    "vww_96_int8": Quoted(73_728, 103_680, 27_752, 14_592, 9_444),
    "pretrainedResnet_quant": Quoted(49_152, 55_984, 14_080, 11_320, 11_320),
    "ad01_int8": Quoted(768, 3_984, 768, 768, 768),
    "str_ww_ref_model": Quoted(6_656, 16_640, 3_712, 2_984, 2_984),
    "micro_speech_quantized": Quoted(5_968, 7_584, 2_140, 580, 580),
    "mcunet_vww": Quoted(161_472, 224_976, 21_760, 16_720, 12_512),
    "mobilenetv2_160_035": Quoted(384_000, 456_416, 81_920, 33_920, 18_180),
    "mobilenet_v1_0.25_128_quant": Quoted(131_072, None, 49_288, 22_144, 14_912),
    "mobilenet_v2_1.0_224_quant": Quoted(1_505_280, None, 204_288, 131_040, 53_760),
    "mnist_lstm_int8": Quoted(1_536, 4_208, 844, 844, 844),
    "hello_world_int8": Quoted(32, 1_504, 32, 32, 32),
}
# (our model, who, what they ran, their bytes of SRAM, their extra arithmetic)
RIVALS = (
    ("mcunet_vww", "TFLite Micro with CMSIS-NN", "the same file", 219_716, "none"),
    ("mcunet_vww", "TinyEngine's generated code", "the same file", 93_992, "none"),
    ("mobilenet_v2_1.0_224_quant", "layer by layer, in MCUNetV2", "MobileNetV2", 1_372_000, "none"),
    ("mobilenet_v2_1.0_224_quant", "MCUNetV2, 4x4 patches", "MobileNetV2", 172_000, "about 10 %"),
)

# column -> how it is planned; the first is without writing over dying inputs
PLANS: dict[str, Options] = {
    "layers": Options(int8_io=True, strategy="layers", overlap=False),
    "overlap": Options(int8_io=True, strategy="layers"),
    "rows": Options(int8_io=True, strategy="rows"),
    "by row": Options(int8_io=True, input_by_row=True),
    "strips": Options(int8_io=True, input_by_row=True, max_extra_macs=0.1),
}
HEAD = """# Memory

Bytes of arena on `cortex-m4`, kernel scratch included, planned by
`python -m midge.tools.memory_page`, which writes this page. Every plan is replayed on tagged memory
(`midge plan --verify`) before it is printed. A cell is the `arena_bytes` of
`midge plan M --target cortex-m4 --int8-io --json` with

- TFLM: what TFLite Micro's planner asks for tensors, and its whole arena with what it keeps there
  besides. Quoted; measured on the same files.
- layers: node after node, no buffer on another (no such option; what others do).
- overlap, `--strategy layers`: outputs over dying inputs, at the least safe distance.
- rows, `--strategy rows`: segments of nodes run row by row through rings; the input lies in the
  arena as a whole. No extra arithmetic. A row that is needed once lies over the oldest row of the
  ring that it is made of, as those of depthwise convolutions in separable blocks.
- by row, `--input-by-row`: the same, and the caller hands the input over row by row.
- strips, `--input-by-row --max-extra-macs 0.1`: segments may run in strips of columns, which
  compute their halos anew; the input then comes once for each strip. Extra: that arithmetic.

"""
GOALS = """
## Against the goals

What is known to be reachable, kernel scratch not counted, and the plans with `--frugal`, scratch
counted, divided by it. A kernel that wants scratch is then taken only where it costs no byte, else
a slower one without; the plans above have some bytes more for speed, and `--ram` lies between.

"""
RIVALS_HEAD = """
## Against published figures

Quoted: bytes of SRAM of the same network, measured with the same file or published (kB taken as
1,000 bytes); MCUNetV2's MobileNetV2 is the paper's. Ours are arenas on `cortex-m4`, to which 300 to
600 bytes of stack come (`stack_bytes` of `midge run --target cortex-m4 --json`, at most its
`stack_bound`).

"""
SEVERAL_HEAD = """
## In two memories

`midge plan M --target cortex-m4 --int8-io --memory fast=16K,slow=2M --json`, of the models that
don't fit into the fast one: the bytes in each memory, the bytes of an inference's accesses that go
to the slow one and their part of all (`slower_accesses`; counted as if nothing stayed in
registers), and the proof that no placement of these buffers has fewer (`least_slower_accesses`).

"""
FAST, SLOW = Grant("fast", 16 << 10), Grant("slow", 2 << 20)


def page() -> str:
    """The page's text."""
    text = HEAD + _table(_plans()) + GOALS + _table(_goals())
    return text + SEVERAL_HEAD + _table(_several()) + RIVALS_HEAD + _table(_rivals())


def _table(rows: Iterator[Sequence[str]]) -> str:
    head, *body = rows
    line = ["---", *["--:"] * (len(head) - 1)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, line, *body))


def _plans() -> Iterator[Sequence[str]]:
    yield "model", "TFLM", "TFLM in all", *PLANS, "extra"
    for name in _models():
        quoted, programs = QUOTED[name], {kind: planned(name, kind) for kind in PLANS}
        sizes = [quoted.tflm, quoted.tflm_total, *(p.arena_bytes for p in programs.values())]
        yield f"`{name}`", *map(_bytes, sizes), _extra(programs["strips"])


def _goals() -> Iterator[Sequence[str]]:
    kinds = ("rows", "by row", "strips")
    yield "model", *(f"{kind}{of}" for kind in kinds for of in (" goal", " / goal"))
    for name in _models():
        cells = []
        for kind in kinds:
            goal = getattr(QUOTED[name], kind.replace(" ", "_"))
            cells += [_bytes(goal), f"{planned(name, kind, True).arena_bytes / goal:.3f}"]
        yield f"`{name}`", *cells


def _several() -> Iterator[Sequence[str]]:
    yield "model", "fast", "slow", "accesses to slow", "of all", "no placement has fewer than"
    for name in _models():
        program = planned(name, "two memories")
        if len(program.regions) > 1 and program.spread is not None:
            everywhere = sum(region.accesses for region in program.regions)
            cost, least = program.spread.cost, program.spread.least_cost
            sizes = [_bytes(region.bytes) for region in program.regions]
            part = f"{100 * cost / everywhere:.1f} %"
            yield f"`{name}`", *sizes, _bytes(cost), part, _bytes(least)


def _rivals() -> Iterator[Sequence[str]]:
    yield "model", "theirs", "on", "bytes", "extra", "rows", "by row", "strips", "extra"
    for name, who, what, size, extra in RIVALS:
        if name in _models():
            ours = [
                _bytes(planned(name, kind).arena_bytes) for kind in ("rows", "by row", "strips")
            ]
            yield (
                f"`{name}`",
                who,
                what,
                _bytes(size),
                extra,
                *ours,
                _extra(planned(name, "strips")),
            )


def _bytes(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _extra(program: Program) -> str:
    """Of the model's own arithmetic."""
    own = total_macs(program.graph) - program.extra_macs
    return f"{100 * program.extra_macs / own:.1f} %" if program.extra_macs else "none"


@cache
def _models() -> tuple[str, ...]:
    """Those that can be had."""
    found = []
    for name in QUOTED:
        try:
            find_model(name)
            found.append(name)
        except ModelError as error:
            print(error, file=sys.stderr)
    return tuple(found)


@cache
def planned(name: str, kind: str, frugal: bool = False) -> Program:
    """A plan of `PLANS`, or for two memories, replayed."""
    two = Options(int8_io=True, memories=(FAST, SLOW))
    options = replace(PLANS.get(kind, two), frugal=frugal)
    program = compile_cached(find_model(name), TARGET, options)
    replay(program, lower_nodes(program.graph, find_backend(TARGET)))
    return program


def main() -> int:
    """Write the page."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
