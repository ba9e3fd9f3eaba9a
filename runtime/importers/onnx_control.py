"""If, Loop and Scan whose course is known beforehand: their bodies, written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .known import limited
from .tflite_reading import Unsupported

CONTROL = ("If", "Loop", "Scan")


@dataclass(frozen=True)
class _Operands:
    """What a node reads and makes, by names."""

    input: Sequence[str]
    output: Sequence[str]


# Writes a graph's nodes out with its inputs bound to names, and answers its outputs' names.
Inline = Callable[[Any, Mapping[str, str]], list[str]]
# Writes one node out: operator, inputs, outputs, attributes.
Emit = Callable[..., None]
Known = Callable[[str], "np.ndarray | None"]


class Control:
    """Writes control flow out by the importer's own means."""

    def __init__(self, known: Known, inline: Inline, emit: Emit, fresh: Callable[[str], str]):
        self.known, self.inline, self.emit, self.fresh = known, inline, emit, fresh

    def write_out(self, node: Any, attributes: Mapping[str, Any], size: Callable[..., int]) -> None:
        """Write one of the three out; its outputs then have values. `size` is that of an axis."""
        if node.op_type == "If":
            self._if(node, attributes)
        elif node.op_type == "Loop":
            self._loop(node, attributes["body"])
        else:
            self._scan(node, attributes, size)

    def write_out_batches(
        self, node: Any, attributes: Mapping[str, Any], size: Callable[..., int]
    ) -> None:
        """A Scan of opset 8: each sequence of the batch by itself."""
        if node.input[0]:
            raise Unsupported("it has the lengths of its sequences", "export it with opset 9")
        operands = list(node.input[1:])
        renamed = {"scan_input_directions": attributes.get("directions")}
        made: list[list[str]] = [[] for _ in node.output]
        for number in range(limited(size(operands[0], 0))):
            own = [self._slice(name, 0, number) for name in operands]
            found = [self.fresh("sequence") for _ in node.output]
            single = _Operands(own, found)
            self._scan(single, {**attributes, **renamed}, size)
            for rows, name in zip(made, found, strict=True):
                rows.append(name)
        for rows, name in zip(made, node.output, strict=True):
            self._stack(rows, name, 0)

    def _if(self, node: Any, attributes: Mapping[str, Any]) -> None:
        condition = self.known(node.input[0])
        if condition is None:
            raise Unsupported(
                "its condition is computed while the model runs", "export one branch of it"
            )
        branch = attributes["then_branch" if bool(condition.reshape(-1)[0]) else "else_branch"]
        self._name(self.inline(branch, {}), node.output)

    def _name(self, made: Sequence[str], wanted: Sequence[str]) -> None:
        for name, own in zip(made, wanted, strict=True):
            if own:
                self.emit("Identity", [name], [own])

    def _loop(self, node: Any, body: Any) -> None:
        """A number of passes that is known, and a condition that stays true."""
        count = self.known(node.input[0]) if node.input[0] else None
        first = self.known(node.input[1]) if len(node.input) > 1 and node.input[1] else True
        if count is None or first is None:
            raise Unsupported(
                "how often it runs is known only while it does", "export it with a fixed count"
            )
        passes = int(np.reshape(count, -1)[0]) if np.reshape(first, -1)[0] else 0
        formal = [value.name for value in body.input]
        state, rows = list(node.input[2:]), _rows(body, len(node.input) - 2)
        gathered: list[list[str]] = [[] for _ in rows]
        for number in range(limited(passes)):
            bound = {formal[0]: self._constant(np.int64(number))}
            bound |= {formal[1]: self._constant(np.bool_(True))}
            bound |= dict(zip(formal[2:], state, strict=True))
            made = self.inline(body, bound)
            goes_on = self.known(made[0])
            if goes_on is None:
                raise Unsupported("its condition is computed", "export it with a fixed count")
            state = made[1 : 1 + len(state)]
            for row, name in zip(gathered, made[1 + len(state) :], strict=True):
                row.append(name)
            if not np.reshape(goes_on, -1)[0]:
                break
        outputs = list(node.output) + [""] * (len(state) + len(rows) - len(node.output))
        self._name(state, outputs[: len(state)])
        for row, own in zip(gathered, outputs[len(state) :], strict=True):
            self._stack(row, own, 0)

    def _scan(self, node: Any, attributes: Mapping[str, Any], size: Callable[..., int]) -> None:
        """The body once for each slice of the scanned inputs."""
        body, scanned = attributes["body"], attributes["num_scan_inputs"]
        formal = [value.name for value in body.input]
        state, sources = list(node.input[:-scanned]), list(node.input[-scanned:])
        axes = attributes.get("scan_input_axes") or [0] * scanned
        back = attributes.get("scan_input_directions") or [0] * scanned
        passes = limited(size(sources[0], axes[0]))
        rows = _rows(body, len(state) - 1)
        gathered: list[list[str]] = [[] for _ in rows]
        for number in range(passes):
            slices = [
                self._slice(source, axis, passes - 1 - number if reverse else number)
                for source, axis, reverse in zip(sources, axes, back, strict=True)
            ]
            made = self.inline(body, dict(zip(formal, [*state, *slices], strict=True)))
            state = made[: len(state)]
            for row, name in zip(gathered, made[len(state) :], strict=True):
                row.append(name)
        outputs = list(node.output) + [""] * (len(state) + len(rows) - len(node.output))
        self._name(state, outputs[: len(state)])
        places = attributes.get("scan_output_axes") or [0] * len(rows)
        turned = attributes.get("scan_output_directions") or [0] * len(rows)
        for row, own, axis, reverse in zip(gathered, outputs[len(state) :], places, turned):
            self._stack(row[::-1] if reverse else row, own, axis)

    def _constant(self, value: np.generic | np.ndarray) -> str:
        name = self.fresh("constant")
        self.emit("Constant", [], [name], value=np.asarray(value))
        return name

    def _slice(self, source: str, axis: int, number: int) -> str:
        name = self.fresh("slice")
        self.emit("Gather", [source, self._constant(np.int64(number))], [name], axis=axis)
        return name

    def _stack(self, parts: Sequence[str], own: str, axis: int) -> None:
        if not own:
            return
        if not parts:
            raise Unsupported("it makes nothing", "leave it out")
        rows = [self.fresh("row") for _ in parts]
        place = self._constant(np.array([axis]))
        for part, row in zip(parts, rows, strict=True):
            self.emit("Unsqueeze", [part, place], [row])
        self.emit("Concat", rows, [own], axis=axis)


def _rows(body: Any, states: int) -> list[str]:
    """The body's outputs that are gathered, after its condition and its states."""
    return [value.name for value in body.output][1 + states :]
