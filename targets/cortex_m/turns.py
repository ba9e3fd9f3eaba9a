"""A loop of the model that asks while it runs whether it goes on, as one C function.

Its parts have an arena of their own inside the model's, which is the loop's scratch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ...runtime.program import Call, Loop
from ...runtime.while_loop import MOST_TURNS, Copy, turns_of

if TYPE_CHECKING:
    from .calls import CallPrinter

FAILED = 1  # what the function answers if the loop does not end


def loop_function(name: str, call: Call, parts: Sequence[CallPrinter]) -> Iterator[str]:
    """The function, and before it what its calls need; `parts` print condition and body."""
    for part in parts:
        yield from part.definitions()
    run = turns_of(call)
    yield f"static int {name}(int8_t *whole, const int8_t *fixed)"
    yield "{"
    yield f"    int8_t *const arena = whole + {run.memory};"
    for part, at in zip(parts, run.constants, strict=True):
        yield f"    const int8_t *const {part.constants} = fixed + {at};"
    yield "    (void)arena;"
    for part in parts:
        yield f"    (void){part.constants};"
    yield from _copies(run.start, "    ")
    yield "    for (int32_t turn = 0;; turn++) {"
    yield from _copies(run.ask, "        ")
    yield from _calls(parts[0])
    yield f"        if (whole[{run.answer}] == 0)"
    yield "            return 0;"
    yield f"        if (turn == {MOST_TURNS})"
    yield f"            return {FAILED};"
    yield from _copies(run.enter, "        ")
    yield from _calls(parts[1])
    yield from _copies(run.leave, "        ")
    yield "    }"
    yield "}"
    yield ""


def _copies(copies: Sequence[Copy], indent: str) -> Iterator[str]:
    for copy in copies:
        origin = "fixed" if copy.constant else "whole"
        yield f"{indent}memcpy(whole + {copy.to}, {origin} + {copy.origin}, {copy.size});"


def _calls(part: CallPrinter) -> Iterator[str]:
    for item in part.program.items:
        assert not isinstance(item, Loop)  # parts are planned layer by layer
        yield from (f"        {line}" for line in part.statements(item))
