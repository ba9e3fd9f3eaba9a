"""What each C kernel touches, stated in its own words: the interpreter believes no program.

A rule holds for any words that a kernel may be given. The interpreter's C is printed from it, and the
tests hold it against what lowering says of real models. A kernel without a rule can't be interpreted.

Sizes are expressions over the kernel's words that mean the same in C and in Python. A word in
`sizes` is 1 to `MOST_SIZE`, one in `counts` 1 to `MOST_COUNT`, so that no product leaves 63 bits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

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
class Rule:
    """The conditions under which a kernel stays inside the arena and the constants."""

    sizes: str
    counts: str = ""
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    holds: Sequence[str] = ()
    constants: Mapping[str, str] = field(default_factory=dict)  # word -> bytes
    numbers: Mapping[str, str] = field(default_factory=dict)  # word -> how many int32
    shifts: Mapping[str, str] = field(default_factory=dict)  # likewise, each in SHIFTS
    tables: Mapping[str, Table] = field(default_factory=dict)
    arena: Mapping[str, tuple[str, int]] = field(default_factory=dict)  # word -> bytes, alignment
    # (table, entries from one window to the next, of a window): each window has a row that is there
    windows: tuple[str, str, str] | None = None

    def names(self) -> set[str]:
        """Every word that the rule reads."""
        texts = [self.sizes, self.counts, *self.ranges, *self.holds]
        for named in (self.constants, self.numbers, self.shifts, self.tables, self.arena):
            texts += named
        texts += [*self.constants.values(), *self.numbers.values(), *self.shifts.values()]
        texts += [text for table in self.tables.values() for text in (table.entries, table.row)]
        texts += [size for size, _ in self.arena.values()]
        texts += self.windows or ()
        return set(re.findall(r"[a-z_]\w*", " ".join(texts)))


_WINDOW = "kernel_height kernel_width stride_height stride_width dilation_height dilation_width"
_ROWS = "(rows - 1) * stride_height + (kernel_height - 1) * dilation_height + 1"
_SHIFT = {"pad_left": (-MOST_SIZE, MOST_SIZE)}


def _scaled(count: str) -> dict[str, dict[str, str]]:
    return {"numbers": {"bias": count, "multiplier": count}, "shifts": {"shift": count}}


def _conv2d(scratch: Mapping[str, tuple[str, int]]) -> Rule:
    return Rule(
        f"rows width filters group_filters in_width in_channels depth {_WINDOW}",
        ranges=_SHIFT,
        holds=(
            "filters % group_filters == 0",
            "filters / group_filters * depth <= in_channels",
        ),
        constants={"weights": "filters * kernel_height * kernel_width * depth"},
        **_scaled("filters"),
        tables={
            "x": Table(_ROWS, "in_width * in_channels", padding=True),
            "y": Table("rows", "width * filters"),
        },
        arena=scratch,
    )


def _depthwise(scratch: Mapping[str, tuple[str, int]]) -> Rule:
    return Rule(
        f"rows width channels multiples in_width in_channels {_WINDOW}",
        ranges=_SHIFT,
        holds=("channels % multiples == 0", "channels / multiples <= in_channels"),
        constants={"weights": "kernel_height * kernel_width * channels"},
        **_scaled("channels"),
        tables={
            "x": Table(_ROWS, "in_width * in_channels", padding=True),
            "y": Table("rows", "width * channels"),
        },
        arena=scratch,
    )


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
    "conv2d_s8": _conv2d({"columns": ("(kernel_height * kernel_width * depth + 3) / 4 * 4 * (3 - (depth % 4 == 0))", 4)}),
    "conv2d_direct_s8": _conv2d({}),
    "depthwise_conv2d_s8": _depthwise({"taps": ("kernel_height * kernel_width * 8", 4)}),
    "depthwise_conv2d_direct_s8": _depthwise({}),
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
        **_scaled("channels"),
        tables={"x": Table("rows", "in_width * in_channels")},
        arena={"y": ("width * channels", 1), "sums": ("width * channels * 4", 4)},
    ),
    "fully_connected_s8": Rule(
        "batches",
        "units depth",
        constants={"weights": "units * depth"},
        **_scaled("units"),
        arena={"x": ("batches * depth", 1), "y": ("batches * units", 1)},
    ),
    "fully_connected_by_row_s8": Rule(
        "rows height",
        "length units depth",
        ranges=_TAKEN,
        holds=("first + rows <= height", "height * length == depth"),
        constants={"weights": "units * depth"},
        **_scaled("units"),
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
    "pad_rows": Rule(
        "rows columns chunk",
        ranges={name: (0, MOST_SIZE) for name in ("left", "before", "after", "right")},
        constants={"fill": "8"},
        tables={
            "x": Table("rows", "columns * chunk", padding=True),
            "y": Table("rows", "left + columns * (before + chunk + after) + right"),
        },
    ),
    "add_s8": _elementwise("a b y", "a_shift b_shift y_shift"),
    "mul_s8": _elementwise("a b y", "shift"),
    "lookup_s8": Rule(
        "rows",
        "count",
        constants={"table": "256"},
        tables={"x": Table("rows", "count"), "y": Table("rows", "count")},
    ),
    "softmax_s8": Rule(
        "rows pixels depth",
        numbers={"exponentials": "256"},
        tables={"x": Table("rows", "pixels * depth"), "y": Table("rows", "pixels * depth")},
    ),
    "quantize_f32_s8": _elementwise("x y", x=4),
    "dequantize_s8_f32": _elementwise("x y", y=4),
}
for _name in ("quantize_f32_s8", "dequantize_s8_f32"):
    object.__setattr__(RULES[_name], "numbers", {"scale": "1"})


def value_of(text: str, words: Mapping[str, int]) -> int:
    """An expression's value; the expressions are this file's own."""
    return int(eval(text.replace("/", "//"), {"__builtins__": {}}, dict(words)))


@dataclass(frozen=True)
class Memory:
    """What a call may touch: the constants, and an arena of so many bytes."""

    constants: bytes
    arena_bytes: int


def broken(kernel: str, words: Mapping[str, int], memory: Memory) -> str | None:
    """The first condition of its rule that a call doesn't keep, or None."""
    rule = RULES[kernel]
    limits = {name: (1, MOST_SIZE) for name in rule.sizes.split()}
    limits |= {name: (1, MOST_COUNT) for name in rule.counts.split()} | dict(rule.ranges)
    for name, (least, most) in limits.items():
        if not least <= words[name] <= most:
            return f"{name} is {words[name]}, not {least} to {most}"
    for condition in rule.holds:
        if not value_of(condition, words):
            return condition
    return _leaves_memory(rule, words, memory)


def _leaves_memory(rule: Rule, words: Mapping[str, int], memory: Memory) -> str | None:
    constants = {name: (value_of(size, words), 1) for name, size in rule.constants.items()}
    for name, count in (*rule.numbers.items(), *rule.shifts.items()):
        constants[name] = (4 * value_of(count, words), 4)
    tables = {name: value_of(table.entries, words) for name, table in rule.tables.items()}
    constants |= {name: (4 * entries, 4) for name, entries in tables.items()}
    arena = {name: (value_of(size, words), by) for name, (size, by) in rule.arena.items()}
    for known, most in ((constants, len(memory.constants)), (arena, memory.arena_bytes)):
        for name, (size, alignment) in known.items():
            if not 0 <= words[name] <= most - size or words[name] % alignment:
                return f"{name}: {size} bytes at {words[name]} of {most}"
    for name, count in rule.shifts.items():
        found = _int32(memory, words[name], value_of(count, words))
        if ((found < SHIFTS[0]) | (found > SHIFTS[1])).any():
            return f"{name}: a shift is not {SHIFTS[0]} to {SHIFTS[1]}"
    for name, table in rule.tables.items():
        rows, size = _int32(memory, words[name], tables[name]), value_of(table.row, words)
        rows = rows[rows != -1] if table.padding else rows
        if ((rows < 0) | (rows > memory.arena_bytes - size) | (rows % table.alignment != 0)).any():
            return f"{name}: a row of {size} bytes leaves the arena"
    return _window_of_padding(rule, words, memory)


def _window_of_padding(rule: Rule, words: Mapping[str, int], memory: Memory) -> str | None:
    if rule.windows is None:
        return None
    name, step, length = rule.windows
    rows = _int32(memory, words[name], value_of(rule.tables[name].entries, words))
    for window in range(words["rows"]):
        if (rows[window * words[step] :][: words[length]] < 0).all():
            return f"{name}: window {window} has padding alone"
    return None


def _int32(memory: Memory, at: int, count: int) -> np.ndarray:
    return np.frombuffer(memory.constants, "<i4", count, at)


# ---- in C --------------------------------------------------------------------------------------


def checking_function(kernel: str, fields: Sequence[str]) -> Iterator[str]:
    """C that says whether a kernel may be called with these words; `fields` is its layout."""
    rule = RULES[kernel]
    yield f"static int check_{kernel}(const midge_image *image, const int32_t *words)"
    yield "{"
    for name in sorted(rule.names()):
        yield f"    const int64_t {name} = words[{fields.index(name)}];"
    for names, most in ((rule.sizes, MOST_SIZE), (rule.counts, MOST_COUNT)):
        for name in names.split():
            yield from _refuse(f"{name} < 1 || {name} > {most}")
    for name, (least, most) in rule.ranges.items():
        yield from _refuse(f"{name} < {least} || {name} > {most}")
    for condition in rule.holds:
        yield from _refuse(f"!({condition})")
    yield from _memory_checks(rule)
    yield "    return 1;"
    yield "}"


def _memory_checks(rule: Rule) -> Iterator[str]:
    for name, size in rule.constants.items():
        yield from _refuse(f"!constant_fits(image, {name}, {size}, 1)")
    for name, count in rule.numbers.items():
        yield from _refuse(f"!constant_fits(image, {name}, 4 * ({count}), 4)")
    for name, count in rule.shifts.items():
        yield from _refuse(f"!shifts_fit(image, {name}, {count})")
    for name, table in rule.tables.items():
        words = f"{name}, {table.entries}, {table.row}, {table.alignment}, {int(table.padding)}"
        yield from _refuse(f"!rows_fit(image, {words})")
    for name, (size, alignment) in rule.arena.items():
        yield from _refuse(f"!arena_fits(image, {name}, {size}, {alignment})")
    if rule.windows is not None:
        table, step, length = rule.windows
        yield from _refuse(f"!windows_have_rows(image, {table}, rows, {step}, {length})")


def _refuse(condition: str) -> Iterator[str]:
    yield f"    if ({condition})"
    yield "        return 0;"
