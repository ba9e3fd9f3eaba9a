"""Waveforms: the signals of one block of a simulated board, over an interval of clock cycles.

They come from a simulation of their own, in which every signal that has a name can be looked at; it
is compiled without optimization, and slower.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..runtime.errors import ExecutionError, InputError
from .cxxrtl import UNOPTIMIZED, Recipe

NANOSECONDS = 8  # a cycle in the file: 125 MHz, the clock that is assumed everywhere

# Stands between the board and its steps. The values of a cycle are those before its rising edge.
_OBSERVER = r"""
#include "cxxrtl/capi/cxxrtl_capi_vcd.cc"
#include <cstdio>
static struct {
  cxxrtl_handle design; cxxrtl_vcd vcd; FILE *file; uint32_t *clock;
  uint64_t cycle, first, last, taken;
} midge_wave;
static void midge_sample(uint64_t time) {
  const char *text; size_t size;
  cxxrtl_vcd_sample(midge_wave.vcd, time);
  cxxrtl_vcd_read(midge_wave.vcd, &text, &size);
  fwrite(text, 1, size, midge_wave.file);
}
static size_t midge_observed_step(cxxrtl_handle design) {
  if (design != midge_wave.design || !*midge_wave.clock) return cxxrtl_step(design);
  uint64_t cycle = midge_wave.cycle++;
  bool inside = cycle >= midge_wave.first && cycle < midge_wave.last;
  if (inside) {
    *midge_wave.clock = 0;
    midge_sample(PERIOD * cycle);
    *midge_wave.clock = 1;
  }
  size_t steps = cxxrtl_step(design);
  if (inside) { midge_sample(PERIOD * cycle + PERIOD / 2); midge_wave.taken++; }
  return steps;
}
static bool midge_is_own(const char *block, const char *name) {
  size_t length = std::strlen(block);
  if (!std::strcmp(name, "clk")) return true;
  if (length) {
    if (std::strncmp(name, block, length) || name[length] != ' ') return false;
    name += length + 1;
  }
  return !std::strchr(name, ' ') && !std::strchr(name, '$');
}
extern "C" int midge_wave_open(cxxrtl_handle design, uint32_t *clock, const char *block,
                               const char *path, uint64_t first, uint64_t last) {
  FILE *file = std::fopen(path, "wb");
  if (!file) return 0;
  midge_wave = {design, cxxrtl_vcd_create(), file, clock, 0, first, last, 0};
  cxxrtl_vcd_timescale(midge_wave.vcd, 1, "ns");
  cxxrtl_vcd_add_from_if(midge_wave.vcd, design, (void *)block,
    [](void *block, const char *name, const cxxrtl_object *object) -> int {
      return object->type != CXXRTL_MEMORY && midge_is_own((const char *)block, name);
    });
  return 1;
}
extern "C" uint64_t midge_wave_close() {
  std::fclose(midge_wave.file);
  cxxrtl_vcd_destroy(midge_wave.vcd);
  midge_wave.design = nullptr;
  return midge_wave.taken;
}
#define cxxrtl_step midge_observed_step
""".replace("PERIOD", str(NANOSECONDS))

OBSERVED = Recipe(
    passes="proc; flatten; opt; opt_clean; write_cxxrtl -g4",
    flags=UNOPTIMIZED,
    toplevel="",
    source=_OBSERVER,
)


@dataclass(frozen=True)
class Wish:
    """What to look at: a block by its place in the design, and cycles from `first` up to `last`."""

    block: str
    first: int = 0
    last: int | None = None


def parse_wish(text: str) -> Wish:
    """`dma`, `dma:100-400` or `accelerator.engine.array:100-`."""
    block, _, interval = text.partition(":")
    first, dash, last = interval.partition("-")
    try:
        if ":" not in text:
            return Wish(block)
        wish = Wish(block, int(first), int(last) if last else None)
    except ValueError:
        wish = None
    if wish is None or not dash or (wish.last is not None and wish.last <= wish.first):
        raise InputError(
            "a waveform is asked for as BLOCK or BLOCK:START-END, two cycles of which the second "
            f"is greater (dma:100-400), not {text!r}"
        )
    return wish


class _Object(ctypes.Structure):
    """The beginning of `cxxrtl_object`."""

    _fields_ = [
        ("type", ctypes.c_uint32), ("flags", ctypes.c_uint32), ("width", ctypes.c_size_t)
    ]  # fmt: skip


_MEMORY = 2  # a type of object: it has many words, and is left out


def blocks(simulation: Any) -> dict[str, dict[str, int]]:
    """Block -> its signals' bits, by name; the top is `top`."""
    found: dict[str, dict[str, int]] = {}
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(_Object),
                            ctypes.c_size_t)  # fmt: skip

    def note(_data: Any, name: bytes, thing: Any, parts: int) -> None:
        *place, signal = name.decode().split(" ")
        if "$" not in signal and thing[0].type != _MEMORY:
            bits = sum(thing[part].width for part in range(parts))
            found.setdefault(".".join(place) or "top", {})[signal] = bits

    simulation.library.cxxrtl_enum.argtypes = [ctypes.c_void_p, ctypes.c_void_p, kind]
    simulation.library.cxxrtl_enum.restype = None
    simulation.library.cxxrtl_enum(simulation.design, None, kind(note))
    return found


@contextmanager
def recording(board: Any, wish: Wish, path: Path) -> Iterator[dict[str, int]]:
    """Write what a board (of the recipe `OBSERVED`) does meanwhile to a VCD file, and beside it a
    save file for GTKWave. Cycle 0 is the first one. Gives the signals' bits by name.
    """
    simulation = board.simulation
    signals = blocks(simulation).get(wish.block)
    if signals is None:
        raise InputError(
            f"the accelerator has no block {wish.block!r}; there is {_some(simulation, wish.block)}"
        )
    library = simulation.library
    library.midge_wave_close.restype = ctypes.c_uint64
    inner = "" if wish.block == "top" else wish.block.replace(".", " ")
    end = (1 << 64) - 1 if wish.last is None else wish.last
    before = board.cycles
    opened = library.midge_wave_open(
        ctypes.c_void_p(simulation.design), ctypes.c_void_p(simulation.pointer("clk")),
        inner.encode(), str(path).encode(), ctypes.c_uint64(wish.first), ctypes.c_uint64(end),
    )  # fmt: skip
    if not opened:
        raise InputError(f"{path}: a waveform can't be written there")
    try:
        yield signals
    finally:
        taken = library.midge_wave_close()
    if not taken:
        raise ExecutionError(
            f"the waveform begins at cycle {wish.first:,}, and the inference ended after "
            f"{board.cycles - before:,}"
        )
    _write_view(path, wish, signals)


def _some(simulation: Any, block: str) -> str:
    """The blocks inside the deepest one that there is of the name given."""
    names = sorted(blocks(simulation))
    parent = block
    while parent and parent not in names:
        parent = parent.rpartition(".")[0]
    inside = f"{parent}." if parent else ""
    near = [name for name in names if name.startswith(inside) and "." not in name[len(inside) :]]
    return ", ".join(near or names)


def _write_view(path: Path, wish: Wish, signals: dict[str, int]) -> None:
    """What GTKWave shows at first: the block's signals, from the interval's first cycle on."""
    from vcd.gtkw import GTKWSave  # comes with Amaranth

    scope = "" if wish.block == "top" else f"{wish.block}."
    with path.with_suffix(".gtkw").open("w") as file:
        view = GTKWSave(file)
        view.dumpfile(str(path.resolve()))
        view.timestart(NANOSECONDS * wish.first)
        view.trace("clk")
        with view.group(wish.block):
            for signal in sorted(signals):
                if scope or signal != "clk":
                    bits = signals[signal]
                    view.trace(f"{scope}{signal}" + (f"[{bits - 1}:0]" if bits > 1 else ""))
