"""Every error that a user can meet. Each message says what was needed, what came, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class MidgeError(Exception):
    """Base of all errors that are the input's or the surroundings', not midge's."""


class ModelError(MidgeError, ValueError):
    """The model file can't be read as what it claims to be."""

    def __init__(self, source: str | Path, why: str, remedy: str = "") -> None:
        super().__init__(f"{source}: {why}" + (f"; {remedy}" if remedy else ""))


@dataclass(frozen=True)
class Refusal:
    """One node that can't be handled: why, and what the user can do about it."""

    node: int
    operator: str
    why: str
    remedy: str

    def __str__(self) -> str:
        return f"node {self.node} ({self.operator}): {self.why}; {self.remedy}"


class UnsupportedModel(MidgeError, ValueError):
    """Some nodes are refused; all of them are listed.

    `readable` is the graph of those that could be read, where an importer knows it: a target may
    refuse some of them, too.
    """

    def __init__(
        self,
        source: str | Path,
        refusals: Sequence[Refusal],
        by: str = "midge",
        readable: Any = None,
    ) -> None:
        self.refusals, self.readable = tuple(refusals), readable
        count = f"{len(refusals)} node" + ("s" if len(refusals) > 1 else "")
        lines = "".join(f"\n  {refusal}" for refusal in self.refusals)
        super().__init__(f"{source}: {by} does not support {count}:{lines}")


class GraphError(MidgeError, ValueError):
    """A graph breaks a rule that every graph keeps (an importer's or a pass's fault)."""


class InputError(MidgeError, ValueError):
    """An inference input has the wrong name, shape, dtype or number."""


class ProgramError(MidgeError, ValueError):
    """A saved program is damaged, of another version, or not for this target."""


class PlanError(MidgeError, ValueError):
    """No schedule fits the stated limits."""


class ToolError(MidgeError, RuntimeError):
    """A tool that is needed failed."""


class MissingTool(ToolError):
    """A tool or package that is needed isn't installed."""


class TargetError(MidgeError, ValueError):
    """A target that doesn't exist, or that can't do what was asked."""


class ExecutionError(MidgeError, RuntimeError):
    """A backend failed while it ran: a time-out, a lost link, a wrong identity."""
