"""What a user may ask of a plan. Apart from the planner, which a cached plan does without."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Grant:
    """A memory that plans may use: so many bytes, from the address `origin` if it is known."""

    name: str
    bytes: int
    origin: int | None = None


@dataclass(frozen=True)
class Options:
    """How to plan.

    `strategy` is one of `planner.STRATEGIES`, None for the target's own. If `segments` are given
    (node numbers of the rewritten graph), just these are streamed row by row.
    """

    int8_io: bool = False  # the caller quantizes and dequantizes at the border
    fixed_point: bool = False  # models whose rule is ONNX Runtime's too: one rule on all targets
    winograd: bool = False  # 3x3 convolutions of floats by fewer products, rounded otherwise
    overlap: bool = True  # outputs may be written over dying inputs
    apart: bool = False  # what one layer needs lies apart from what the next ones write
    exact: bool = True  # CP-SAT offsets where OR-Tools is installed
    strategy: str | None = None
    frugal: bool = False  # no bytes for speed: scratch only where it costs none
    input_by_row: bool = False  # the caller hands over one row of the input image after the other
    frames: int | None = None  # new rows of the input an inference; it remembers the others
    # Part of the model's multiplications that may be done twice; None: as many as `ram` asks for.
    max_extra_macs: float | None = None
    ram: int | None = None  # most bytes of arena; the fastest strategy that fits is taken
    # Most bytes of code and constants; what is to spare goes to faster kernels.
    flash: int | None = None
    memories: tuple[Grant, ...] = ()  # several, the fastest first; none: one without a limit
    segments: tuple[tuple[int, ...], ...] = ()


# For several threads: a layer's rows are made in any order, and one thread may be in the next layer
# while another is still in this. Nor is the least arena worth seconds of planning then.
PARALLEL = Options(overlap=False, apart=True, exact=False, strategy="layers")
