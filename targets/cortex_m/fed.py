"""C for a model that takes its input by row: a function that goes as far as the rows allow.

`step` is left where the next row is needed and entered again there, by a switch whose cases stand
at those places, loops included. How far it is stands in the arena.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from ...runtime.feeding import FEED, passes_of
from ...runtime.program import Call, Loop, Program
from .addresses import Addresses
from .calls import CallPrinter, Steps, steps_of

PROGRESS_BYTES = 12  # of struct progress below


@dataclass(frozen=True)
class FedPrinter:
    """Prints the functions of one model."""

    program: Program
    name: str
    calls: CallPrinter
    addresses: Addresses

    @property
    def _macro(self) -> str:
        return f"MIDGE_{self.name.upper()}"

    @property
    def _passes(self) -> int:
        return passes_of(self.program)

    def declarations(self) -> Iterator[str]:
        """What the header says of rows."""
        tensor, macro = self.program.inputs[0], self._macro
        yield f"#define {macro}_INPUT_ROWS {tensor.shape[1]}"
        yield f"#define {macro}_ROW_BYTES {tensor.bytes // tensor.shape[1]}"
        if self._passes > 1:
            yield "/* The model runs in strips of columns: hand over all rows this many times, each"
            yield " * time from the first on. */"
        yield f"#define {macro}_INPUT_PASSES {self._passes}"
        yield ""
        yield "/* Take the next `count` rows of the input, which lie one after the other, and go on as"
        yield " * far as they allow. The last of all makes the outputs, which stay until the next row"
        yield " * begins another inference. */"
        yield f"int midge_{self.name}_push_rows(void *arena, const void *rows, int count);"

    def reset(self) -> Iterator[str]:
        """The statement that makes the next row the first, where it isn't always the first."""
        at = self._progress()
        if at is not None:
            yield f"memset({self.addresses.place(at)}, 0, {PROGRESS_BYTES});"

    def functions(self) -> Iterator[str]:
        """`step`, and the public function."""
        yield "struct progress {"
        yield "    midge_int32 rows; /* taken so far */"
        yield "    midge_int32 at;   /* the place that waits for the next row; 0 is the start */"
        yield "    midge_int32 pass; /* of the loop that is left there */"
        yield "};"
        yield ""
        yield "/* Put `row` where it belongs and go on to the place that needs the next. */"
        yield "static void step(int8_t *arena, const int8_t *row, struct progress *progress)"
        yield "{"
        yield "    int pass = progress->pass;"
        yield "    progress->rows++;"
        yield "    switch (progress->at) {"
        yield "    case 0:"
        place = 0
        for item in self.program.items:
            yield ""
            if isinstance(item, Loop):
                place = yield from self._loop(item, place)
            else:
                place = yield from self._call(item, (), place, "    ")
        yield "    }"
        yield "    memset(progress, 0, sizeof *progress);"
        yield "}"
        yield ""
        yield from self._push_rows()

    def _progress(self) -> int | None:
        """Where the arena says how far the model is; None if its only row brings it to the end."""
        feeds = (call for call in self.program.calls() if call.kernel == FEED)
        return next((call.args["progress"] for call in feeds if "progress" in call.args), None)

    def _loop(self, loop: Loop, place: int) -> Generator[str, None, int]:
        yield f"    for (pass = 0; pass < {loop.count}; pass++) {{"
        for position, call in enumerate(loop.body):
            place = yield from self._call(call, steps_of(loop, position), place, "        ")
        yield "    }"
        return place

    def _call(self, call: Call, steps: Steps, place: int, indent: str) -> Generator[str, None, int]:
        if call.kernel == FEED:
            yield from self._feed(call, steps, place + 1, indent)
            return place + 1
        yield from (f"{indent}{line}" for line in self.calls.statements(call, steps))
        return place

    def _feed(self, call: Call, steps: Steps, place: int, indent: str) -> Iterator[str]:
        table = f"{call.args['y']}" + "".join(f" + pass * {by}" for _, by in steps)
        yield f"{indent}if (row == NULL) {{"
        yield f"{indent}    progress->at = {place};"
        yield f"{indent}    progress->pass = pass;"
        yield f"{indent}    return;"
        yield f"{indent}}}"
        yield f"{indent}/* fall through */"
        yield f"    case {place}:"
        target = f"arena + *midge_int32_at(constants, {table})"
        left = f" + {call.args['left']}" if call.args["left"] else ""
        yield f"{indent}memcpy({target}, row{left}, {call.args['bytes']});"
        yield f"{indent}row = NULL;"

    def _push_rows(self) -> Iterator[str]:
        macro = self._macro
        yield f"int midge_{self.name}_push_rows(void *arena, const void *rows, int count)"
        yield "{"
        yield "    const int8_t *row = rows;"
        at = self._progress()
        if at is None:
            yield "    struct progress first = {0, 0, 0};"
        yield "    struct progress *progress;"
        yield "    if (arena == NULL)"
        yield f"        return {macro}_NO_ARENA;"
        place = "&first" if at is None else f"(void *)({self.addresses.place(at)})"
        yield f"    progress = {place};"
        left = f"{macro}_INPUT_PASSES * {macro}_INPUT_ROWS - progress->rows"
        yield f"    if (rows == NULL || count < 0 || count > {left})"
        yield f"        return {macro}_WRONG_ROWS;"
        yield f"    for (; count > 0; count--, row += {macro}_ROW_BYTES)"
        yield f"        step({self.addresses.base()}, row, progress);"
        yield f"    return {macro}_OK;"
        yield "}"
