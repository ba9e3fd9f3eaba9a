"""Does a call keep its kernel's rule? Asked here of a program, printed as C for the interpreter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .access import MOST_COUNT, MOST_SIZE, RULES, SHIFTS, Rule


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
    limits = dict.fromkeys(rule.sizes.split(), (1, MOST_SIZE))
    limits |= dict.fromkeys(rule.counts.split(), (1, MOST_COUNT)) | dict(rule.ranges)
    for name, (least, most) in limits.items():
        if not least <= words[name] <= most:
            return f"{name} is {words[name]}, not {least} to {most}"
    for condition in rule.holds:
        if not value_of(condition, words):
            return condition
    return _leaves_memory(rule, words, memory)


def _leaves_memory(rule: Rule, words: Mapping[str, int], memory: Memory) -> str | None:
    constants = {name: (value_of(size, words), 1) for name, size in rule.constants.items()}
    for name, text in (*rule.all_numbers.items(), *rule.all_shifts.items()):
        constants[name] = (4 * value_of(text, words), 4)
    constants |= {name: (4 * count, 4) for name, (count, _) in rule.positive.items()}
    tables = {name: value_of(table.entries, words) for name, table in rule.tables.items()}
    constants |= {name: (4 * entries, 4) for name, entries in tables.items()}
    arena = {name: (value_of(size, words), by) for name, (size, by) in rule.arena.items()}
    for known, most in ((constants, len(memory.constants)), (arena, memory.arena_bytes)):
        for name, (size, alignment) in known.items():
            if not 0 <= words[name] <= most - size or words[name] % alignment:
                return f"{name}: {size} bytes at {words[name]} of {most}"
    for name, text in rule.all_shifts.items():
        found = _int32(memory, words[name], value_of(text, words))
        if ((found < SHIFTS[0]) | (found > SHIFTS[1])).any():
            return f"{name}: a shift is not {SHIFTS[0]} to {SHIFTS[1]}"
    for name, (count, least) in rule.positive.items():
        found = _int32(memory, words[name], count)
        if (found < -1).any() or found[0] < least:
            return f"{name}: a number is less than -1, or the first less than {least}"
    for name, table in rule.tables.items():
        rows, size = _int32(memory, words[name], tables[name]), value_of(table.row, words)
        rows = rows[rows != -1] if table.padding else rows
        if ((rows < 0) | (rows > memory.arena_bytes - size) | (rows % table.alignment != 0)).any():
            return f"{name}: a row of {size} bytes leaves the arena"
    return _walks_out(rule, words, memory) or _window_of_padding(rule, words, memory)


def _walks_out(rule: Rule, words: Mapping[str, int], memory: Memory) -> str | None:
    walk = rule.walk
    if walk is None:
        return None
    if not 0 <= words["axes"] <= len(memory.constants) - 4 * walk.entries or words["axes"] % 4:
        return f"axes: {walk.entries} numbers at {words['axes']}"
    axes = _int32(memory, words["axes"], walk.entries).astype(object)
    low = high = value_of(walk.start, words)
    made = size = value_of(walk.size, words)
    for number, (count, step) in enumerate(walk.pairs):
        if not (1 <= axes[count] <= MOST_COUNT and abs(axes[step]) <= MOST_COUNT):
            return f"axes: {axes[count]} steps of {axes[step]}"
        reach = (axes[count] - 1) * axes[step]
        low, high = low + min(reach, 0), high + max(reach, 0)
        made *= axes[count] if number < walk.kept else 1
    if low < 0 or high > memory.arena_bytes - size:
        return f"x: bytes {low} to {high + size - 1} of {memory.arena_bytes}"
    if not 0 <= words["y"] <= memory.arena_bytes - made:
        return f"y: {made} bytes at {words['y']} of {memory.arena_bytes}"
    return None


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
    for name, count in rule.all_numbers.items():
        yield from _refuse(f"!constant_fits(image, {name}, 4 * ({count}), 4)")
    for name, count in rule.all_shifts.items():
        yield from _refuse(f"!shifts_fit(image, {name}, {count})")
    for name, (most, least) in rule.positive.items():
        yield from _refuse(f"!positive_fit(image, {name}, {most}, {least})")
    for name, table in rule.tables.items():
        words = f"{name}, {table.entries}, {table.row}, {table.alignment}, {int(table.padding)}"
        yield from _refuse(f"!rows_fit(image, {words})")
    for name, (size, alignment) in rule.arena.items():
        yield from _refuse(f"!arena_fits(image, {name}, {size}, {alignment})")
    if rule.walk is not None:
        walk = rule.walk
        places = ", ".join(f"{count}, {step}" for count, step in walk.pairs)
        yield f"    static const uint8_t pairs[] = {{{places}}};"
        counts = f"{len(walk.pairs)}, {walk.kept}"
        numbers = f"{walk.start}, y, axes, pairs, {counts}, {walk.size}"
        yield from _refuse(f"!walk_fits(image, {numbers})")
    if rule.windows is not None:
        x, step, length = rule.windows
        yield from _refuse(f"!windows_have_rows(image, {x}, rows, {step}, {length})")


def _refuse(condition: str) -> Iterator[str]:
    yield f"    if ({condition})"
    yield "        return 0;"
