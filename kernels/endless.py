"""What tells the caller that a loop of the model did not end."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


def guarded(run: Callable[[], object], words: Any, endless: Sequence[int]) -> Callable[[], object]:
    """`run`, followed by an `ExecutionError` where one of these words is no longer 0."""
    if not endless:
        return run

    def checked() -> None:
        run()
        if any(words[at] for at in endless):
            from ..runtime.errors import ExecutionError
            from ..runtime.while_loop import ENDLESS

            for at in endless:
                words[at] = 0
            raise ExecutionError(ENDLESS)

    return checked
