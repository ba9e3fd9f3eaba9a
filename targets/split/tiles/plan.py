"""A plan for several devices: which device makes which boxes, step by step.

The network is the papers': a gateway (the device with the input, number 0, which computes too) and
workers round it. Times are milliseconds, sizes bytes of tensors alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ....runtime.errors import TargetError
from ....runtime.graph import Graph
from ..planners.problem import Link
from .boxes import Box
from .geometry import Geometry

GATEWAY = 0
WLAN = Link.of(50.0, 1.0)  # a wireless network, unless a device's link is stated


@dataclass(frozen=True)
class Device:
    """`speed`: of the profiled device, 1 is as fast. `link`: from the gateway to it and back."""

    speed: float = 1.0
    link: Link = WLAN
    memory_bytes: int | None = None
    compute_mj_per_ms: float = 1.0  # watts while it computes

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise TargetError(f"a device's speed must be above 0, not {self.speed}")


@dataclass(frozen=True)
class TileProblem:
    """A model, the time of each of its nodes on a device of speed 1, and the devices.

    `extras` has what single families take beyond this (a grid, a deadline, a side).
    """

    graph: Graph
    node_ms: tuple[float, ...]
    devices: tuple[Device, ...]
    extras: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.devices or len(self.node_ms) != len(self.graph.nodes):
            raise TargetError(
                f"a tile plan needs a device and the times of {len(self.graph.nodes)} nodes, "
                f"{len(self.devices)} devices and {len(self.node_ms)} times came"
            )

        if any(tensor.variable for tensor in self.graph.tensors.values()):
            raise TargetError("a model with state can't be split in tiles; split it by a cut")

    @cached_property
    def geometry(self) -> Geometry:
        return Geometry(self.graph)

    @cached_property
    def wanted(self) -> dict[Any, Any]:
        """What tiles need and don't make, for `Route` to look up."""
        return {}

    @property
    def by_speed(self) -> list[int]:
        """Devices, the fastest first; the gateway first of equals."""
        return sorted(range(len(self.devices)), key=lambda d: (-self.devices[d].speed, d))


@dataclass(frozen=True)
class Tile:
    """What one device makes in a step: nodes and boxes of their outputs, in order."""

    device: int
    boxes: tuple[tuple[int, Box], ...]


@dataclass(frozen=True)
class Step:
    """Tiles that run at the same time.

    What they make goes to the gateway, or with `kept` stays where it was made and moves when it is
    needed. `shared`: inner tensors too can be had from those that made them.
    """

    tiles: tuple[Tile, ...]
    kept: bool = False
    shared: bool = False
    isolated: bool = False


@dataclass(frozen=True)
class TilePlan:
    """`identical`: whether the answers are the model's own bits. `extra_macs`: done twice."""

    algorithm: str
    steps: tuple[Step, ...]
    predicted_ms: float
    sent_bytes: int
    extra_macs: int
    identical: bool = True
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def devices(self) -> list[int]:
        return sorted({tile.device for step in self.steps for tile in step.tiles})
