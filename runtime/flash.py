"""Which nodes get faster kernels that take more bytes of constants, where flash is to spare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from .errors import PlanError
from .lowering import Constant, Lowered

CODE_BYTES = 24 << 10  # kept free for machine code, parameters and row tables


@dataclass(frozen=True)
class _Step:
    """From a node's cheaper call to a faster one."""

    node: int
    option: int  # of the node's calls on the hull
    bytes: int
    saved: int  # instructions of one inference

    @property
    def worth(self) -> float:
        return self.saved / max(self.bytes, 1)


def spend(lowered: Mapping[int, Lowered], flash: int) -> dict[int, Lowered]:
    """Each node by the call that saves most instructions, all within `flash` bytes.

    Bytes go first where they save most instructions each, so that what is left undone is less than
    the step that no longer fits. A chosen call has the node's own calls behind it, for plans with
    no room for its scratch.
    """
    hulls = {node: list(_hull(call)) for node, call in lowered.items()}
    left = flash - CODE_BYTES - sum(constant_bytes(hull[0]) for hull in hulls.values())
    reached = dict.fromkeys(hulls, 0)
    for step in sorted(_steps(hulls), key=lambda step: -step.worth):
        if reached[step.node] == step.option - 1 and step.bytes <= left:
            reached[step.node], left = step.option, left - step.bytes
    return {
        node: _before(hull[reached[node]], lowered[node]) if reached[node] else lowered[node]
        for node, hull in hulls.items()
    }


def check_flash(constants: int, flash: int) -> None:
    """Raise `PlanError` if a program's constants alone take more than `flash` bytes."""
    if constants > flash:
        raise PlanError(
            f"the weights and tables take {constants:,} bytes, there are {flash:,} of flash; "
            "take a smaller model, or grant more (--flash, or a larger board)"
        )


def constant_bytes(call: Lowered) -> int:
    """Of the call's weights and tables."""
    fields = call.fields.values()
    return sum(field.array.nbytes for field in fields if isinstance(field, Constant))


def _hull(call: Lowered) -> Iterator[Lowered]:
    """The node's own call, then those that save ever fewer instructions for each byte more."""
    options, at = list(_lavish(call)), call
    while True:
        yield at
        better = [o for o in options if o.instructions < at.instructions]
        if not better:
            return
        at = max(better, key=lambda other, at=at: _step(0, 0, at, other).worth)  # type: ignore[misc]


def _lavish(call: Lowered) -> Iterator[Lowered]:
    other = call.lavish
    while other is not None:
        yield other
        other = other.lavish


def _steps(hulls: Mapping[int, list[Lowered]]) -> Iterator[_Step]:
    for node, hull in hulls.items():
        for option, (at, other) in enumerate(pairwise(hull), 1):
            yield _step(node, option, at, other)


def _step(node: int, option: int, at: Lowered, other: Lowered) -> _Step:
    more = max(constant_bytes(other) - constant_bytes(at), 0)
    return _Step(node, option, more, at.instructions - other.instructions)


def _before(chosen: Lowered, own: Lowered) -> Lowered:
    """The chosen call and its more frugal ones, then the node's own."""
    *first, last = chosen.choices
    made = replace(last, frugal=own, lavish=None)
    for call in reversed(first):
        made = replace(call, frugal=made, lavish=None)
    return replace(made, by_row=own.by_row)
