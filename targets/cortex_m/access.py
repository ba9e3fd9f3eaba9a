"""What each C kernel touches, stated in its own words: the interpreter believes no program.

A rule holds for any words that a kernel may be given. `checks.py` asks it in Python and prints it
as C; the tests hold it against what lowering says of models. A kernel without a rule can't be
interpreted.

Sizes are expressions over the kernel's words that mean the same in C and in Python. A word in
`sizes` is 1 to `MOST_SIZE`, one in `counts` 1 to `MOST_COUNT`, so that no product leaves 63 bits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

MOST_SIZE = 2**15 - 1
MOST_COUNT = 2**24
SHIFTS = (-31, 30)  # of a rounding scale


@dataclass(frozen=True)
class Table:
    """A row table: how many entries are read, and the bytes of a row; entries may be padding."""

    entries: str
    row: str
    padding: bool = False
    alignment: int = 1


@dataclass(frozen=True)
class Walk:
    """A walk over x by a table `axes` of sizes and steps; the results follow one another in y.

    Entry `pairs[i]` has a size and the step that goes with it; the first `kept` of them are y's.
    """

    pairs: tuple[tuple[int, int], ...]
    kept: int
    start: str = "x"  # of the walk
    size: str = "1"  # bytes at each place, and of each result

    @property
    def entries(self) -> int:
        return 2 * len(self.pairs)


@dataclass(frozen=True)
class Rule:
    """The conditions under which a kernel stays inside the arena and the constants."""

    sizes: str
    counts: str = ""
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    holds: Sequence[str] = ()
    constants: Mapping[str, str] = field(default_factory=dict)  # word -> bytes
    numbers: Mapping[str, str] = field(default_factory=dict)  # word -> how many int32
    # word -> how many int32 of at least -1, and the least that the first of them may be
    positive: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    arena: Mapping[str, tuple[str, int]] = field(default_factory=dict)  # word -> bytes, alignment
    scaled: str = ""  # how many `bias`, `multiplier` and `shift` there are, one a channel
    walk: Walk | None = None
    # (table, entries from one window to the next, of a window): each window has a row that is there
    windows: tuple[str, str, str] | None = None

    @property
    def all_numbers(self) -> dict[str, str]:
        own = dict.fromkeys(("bias", "multiplier"), self.scaled) if self.scaled else {}
        return {**self.numbers, **own}

    @property
    def all_shifts(self) -> dict[str, str]:
        return {"shift": self.scaled} if self.scaled else {}

    def names(self) -> set[str]:
        """Every word that the rule reads."""
        texts = [self.sizes, self.counts, *self.ranges, *self.holds]
        sized = {**self.constants, **self.all_numbers, **self.all_shifts}
        texts += [*sized, *sized.values(), *self.positive, *self.tables, *self.arena]
        texts += [text for table in self.tables.values() for text in (table.entries, table.row)]
        texts += [size for size, _ in self.arena.values()]
        texts += self.windows or ()
        texts += ["axes y", self.walk.start, self.walk.size] if self.walk else []
        return set(re.findall(r"[a-z_]\w*", " ".join(texts)))


_WINDOW = "kernel_height kernel_width stride_height stride_width dilation_height dilation_width"
_ROWS = "(rows - 1) * stride_height + (kernel_height - 1) * dilation_height + 1"
_SHIFT = {"pad_left": (-MOST_SIZE, MOST_SIZE)}


_TAKEN = {"first": (0, MOST_SIZE)}  # rows of the input before those of the call
_POOL = "width channels in_width window_height window_width stride_height stride_width"
_SEEN = (  # each window has a column inside the image
    "pad_left < window_width",
    "(width - 1) * stride_width - pad_left < in_width",
)
_POOL_TABLES = {
    "x": Table("(rows - 1) * stride_height + window_height", "in_width * channels", padding=True),
    "y": Table("rows", "width * channels"),
}


def _elementwise(operands: str, shifts: str = "", **sizes: int) -> Rule:
    """Rows of `count` elements; an operand's element has one byte, unless stated."""
    tables = {
        name: Table("rows", f"count * {sizes.get(name, 1)}", alignment=sizes.get(name, 1))
        for name in operands.split()
    }
    return Rule("rows", "count", ranges=dict.fromkeys(shifts.split(), SHIFTS), tables=tables)


RULES: Mapping[str, Rule] = {
    "conv2d_direct_s8": Rule(
        f"rows width filters group_filters in_width in_channels depth {_WINDOW}",
        ranges=_SHIFT,
        holds=(
            "filters % group_filters == 0",
            "filters / group_filters * depth <= in_channels",
        ),
        constants={"weights": "filters * kernel_height * kernel_width * depth"},
        scaled="filters",
        tables={
            "x": Table(_ROWS, "in_width * in_channels", padding=True),
            "y": Table("rows", "width * filters"),
        },
    ),
    "depthwise_conv2d_direct_s8": Rule(
        f"rows width channels multiples in_width in_channels {_WINDOW}",
        ranges=_SHIFT,
        holds=("channels % multiples == 0", "channels / multiples <= in_channels"),
        constants={"weights": "kernel_height * kernel_width * channels"},
        scaled="channels",
        tables={
            "x": Table(_ROWS, "in_width * in_channels", padding=True),
            "y": Table("rows", "width * channels"),
        },
    ),
    "depthwise_conv2d_by_row_s8": Rule(
        "rows height width channels multiples in_width in_channels kernel_width stride_width "
        "dilation_width",
        ranges=_SHIFT | _TAKEN,
        holds=(
            "first + rows <= height",
            "channels % multiples == 0",
            "channels / multiples <= in_channels",
        ),
        constants={"weights": "height * kernel_width * channels"},
        scaled="channels",
        tables={"x": Table("rows", "in_width * in_channels")},
        arena={"y": ("width * channels", 1), "sums": ("width * channels * 4", 4)},
    ),
    "fully_connected_s8": Rule(
        "batches",
        "units depth",
        constants={"weights": "units * depth"},
        scaled="units",
        arena={"x": ("batches * depth", 1), "y": ("batches * units", 1)},
    ),
    "fully_connected_by_row_s8": Rule(
        "rows height",
        "length units depth",
        ranges=_TAKEN,
        holds=("first + rows <= height", "height * length == depth"),
        constants={"weights": "units * depth"},
        scaled="units",
        tables={"x": Table("rows", "length")},
        arena={"y": ("units", 1), "sums": ("units * 4", 4)},
    ),
    "average_pool2d_s8": Rule(
        f"rows {_POOL}",
        ranges={"pad_left": (0, MOST_SIZE)},
        holds=_SEEN,
        tables=_POOL_TABLES,
        windows=("x", "stride_height", "window_height"),
    ),
    "average_pool2d_by_row_s8": Rule(
        "rows height width channels in_width window_width stride_width",
        ranges={"pad_left": (0, MOST_SIZE)} | _TAKEN,
        holds=("first + rows <= height", *_SEEN),
        tables={"x": Table("rows", "in_width * channels")},
        arena={"y": ("width * channels", 1), "sums": ("width * channels * 4", 4)},
    ),
    "max_pool2d_s8": Rule(f"rows {_POOL}", ranges=_SHIFT, tables=_POOL_TABLES),
    "mean_by_row_s8": Rule(
        "rows height columns channels",
        ranges=_TAKEN | {"shift": SHIFTS},
        holds=("first + rows <= height",),
        tables={"x": Table("rows", "columns * channels")},
        arena={"y": ("channels", 1), "sums": ("channels * 4", 4)},
    ),
    "mean_s8": Rule(
        "",
        ranges={"shift": SHIFTS},
        walk=Walk(((0, 3), (1, 4), (2, 5), (6, 9), (7, 10), (8, 11)), kept=3),
    ),
    "strided_copy": Rule(
        "size",
        walk=Walk(tuple((i, i + 6) for i in range(6)), kept=6, start="x + offset", size="size"),
    ),
    "pad_rows": Rule(
        "rows columns chunk",
        ranges=dict.fromkeys(("left", "before", "after", "right"), (0, MOST_SIZE)),
        constants={"fill": "8"},
        tables={
            "x": Table("rows", "columns * chunk", padding=True),
            "y": Table("rows", "left + columns * (before + chunk + after) + right"),
        },
    ),
    "slide": Rule(
        "",
        "by below_bytes",
        ranges={"above_bytes": (0, MOST_COUNT), "kept": (0, MOST_COUNT)},
        holds=("by <= below_bytes",),
        arena={
            "state": ("above_bytes + kept + below_bytes", 1),
            "above": ("above_bytes", 1),
            "below": ("below_bytes", 1),
        },
    ),
    "add_s8": replace(
        _elementwise("a b y", "a_shift b_shift y_shift"),
        ranges=dict.fromkeys(("a_shift", "b_shift", "y_shift"), SHIFTS)
        | dict.fromkeys(("a_left", "b_left"), (0, 20)),
    ),
    "mul_s8": _elementwise("a b y", "shift"),
    "lookup_s8": Rule(
        "rows",
        "count",
        constants={"table": "256"},
        tables={"x": Table("rows", "count"), "y": Table("rows", "count")},
    ),
    "softmax_s8": Rule(
        "rows pixels",
        ranges={"depth": (1, 2**12)},  # so that a sum of exponentials is neither 0 nor wraps
        positive={"exponentials": (256, 2**12)},
        tables={"x": Table("rows", "pixels * depth"), "y": Table("rows", "pixels * depth")},
    ),
    "quantize_f32_s8": replace(_elementwise("x y", x=4), numbers={"scale": "1"}),
    "dequantize_s8_f32": replace(_elementwise("x y", y=4), numbers={"scale": "1"}),
}
