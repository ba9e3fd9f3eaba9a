"""The accelerator on its bus, under simulation: processor accesses, memory with latency and stalls.

What a PYNQ-Z2 does, cycle by cycle: registers over AXI4-Lite, DMA into a memory with AXI4.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from ..hw.machine import Machine
from ..hw.queue import ALIGNMENT
from ..runtime.errors import ExecutionError
from .cxxrtl import QUICK, Recipe, Simulation

_PATIENCE = 1 << 16  # cycles that a register access may take

# The memory behind the master, and the processor's accesses. The memory answers a read burst
# `latency` cycles after it was asked, a beat a cycle, and takes writes as they come. `stall` in 256
# of all cycles it does neither, by a pseudo-random pattern.
BOARD_SOURCE = r"""
struct midge_board {
  uint32_t **p; uint32_t *clock; cxxrtl_handle design;
  uint8_t *memory; uint64_t base, size; uint32_t latency, stall, seed;
  uint64_t cycle, outside;
  uint64_t read_at[8], read_ready[8]; uint32_t read_left[8]; unsigned reads;
  uint64_t write_at; bool writing, answering, failed;
};
enum { ARADDR, ARLEN, ARVALID, ARREADY, RDATA, RRESP, RLAST, RVALID, RREADY, AWADDR, AWVALID,
       AWREADY, WDATA, WLAST, WVALID, WREADY, BRESP, BVALID, BREADY, IRQ,
       S_AWADDR, S_AWVALID, S_AWREADY, S_WDATA, S_WSTRB, S_WVALID, S_WREADY, S_BRESP, S_BVALID,
       S_BREADY, S_ARADDR, S_ARVALID, S_ARREADY, S_RDATA, S_RRESP, S_RVALID, S_RREADY };

static bool midge_stalls(midge_board *b) {
  b->seed = b->seed * 1664525u + 1013904223u;
  return (b->seed >> 24) < b->stall;
}
static void midge_half(midge_board *b, uint32_t level) {
  *b->clock = level;
  cxxrtl_step(b->design);
}

static void midge_tick(midge_board *b) {
  uint32_t **p = b->p;
  bool reads = b->reads && b->cycle >= b->read_ready[0] && !midge_stalls(b);
  *p[ARREADY] = b->reads < 8 && !midge_stalls(b);
  *p[RVALID] = reads;
  if (reads) {
    uint64_t at = b->read_at[0] - b->base;
    bool inside = at + 4 <= b->size;
    uint32_t value = 0;
    if (inside) std::memcpy(&value, b->memory + at, 4); else b->outside++;
    *p[RDATA] = value; *p[RRESP] = inside ? 0 : 3; *p[RLAST] = b->read_left[0] == 1;
  } else { *p[RDATA] = 0xDEADBEEF; *p[RLAST] = 0; *p[RRESP] = 0; }
  *p[AWREADY] = !b->writing && !midge_stalls(b);
  *p[WREADY] = b->writing && !b->answering && !midge_stalls(b);
  *p[BVALID] = b->answering; *p[BRESP] = b->failed ? 3 : 0;
  midge_half(b, 0);
  bool ar = *p[ARVALID] && *p[ARREADY], r = reads && *p[RREADY];
  bool aw = *p[AWVALID] && *p[AWREADY], w = *p[WVALID] && *p[WREADY];
  bool answered = b->answering && *p[BREADY];
  if (r) {
    b->read_at[0] += 4;
    if (--b->read_left[0] == 0) {
      b->reads--;
      for (unsigned i = 0; i < b->reads; i++) {
        b->read_at[i] = b->read_at[i + 1]; b->read_ready[i] = b->read_ready[i + 1];
        b->read_left[i] = b->read_left[i + 1];
      }
    }
  }
  if (ar) {
    b->read_at[b->reads] = *p[ARADDR]; b->read_left[b->reads] = *p[ARLEN] + 1;
    b->read_ready[b->reads++] = b->cycle + b->latency;
  }
  if (aw) { b->writing = true; b->failed = false; b->write_at = *p[AWADDR]; }
  if (w) {
    uint64_t at = b->write_at - b->base;
    if (at + 4 <= b->size) std::memcpy(b->memory + at, p[WDATA], 4);
    else { b->outside++; b->failed = true; }
    b->write_at += 4;
    if (*p[WLAST]) b->answering = true;
  }
  if (answered) { b->answering = false; b->writing = false; }
  midge_half(b, 1);
  b->cycle++;
}

extern "C" uint64_t midge_board_run(midge_board *b, uint64_t cycles, uint32_t until_irq) {
  uint64_t done = 0;
  while (done < cycles && !(until_irq && *b->p[IRQ])) { midge_tick(b); done++; }
  return done;
}
extern "C" int midge_board_write(midge_board *b, uint32_t address, uint32_t value, uint64_t limit) {
  uint32_t **p = b->p; uint32_t address_open = 1, data_open = 1;
  *p[S_AWADDR] = address; *p[S_WDATA] = value; *p[S_WSTRB] = 15; *p[S_BREADY] = 1;
  for (uint64_t i = 0; i < limit; i++) {
    *p[S_AWVALID] = address_open; *p[S_WVALID] = data_open;
    *b->clock = 0; cxxrtl_step(b->design);
    uint32_t a = address_open && *p[S_AWREADY], d = data_open && *p[S_WREADY];
    uint32_t answer = *p[S_BVALID], response = *p[S_BRESP];
    midge_tick(b);
    if (a) address_open = 0;
    if (d) data_open = 0;
    if (answer) { *p[S_AWVALID] = *p[S_WVALID] = *p[S_BREADY] = 0; return (int)response; }
  }
  *p[S_AWVALID] = *p[S_WVALID] = *p[S_BREADY] = 0;
  return -1;
}
extern "C" int midge_board_read(midge_board *b, uint32_t address, uint32_t *value, uint64_t limit) {
  uint32_t **p = b->p; uint32_t open = 1;
  *p[S_ARADDR] = address; *p[S_RREADY] = 1;
  for (uint64_t i = 0; i < limit; i++) {
    *p[S_ARVALID] = open;
    *b->clock = 0; cxxrtl_step(b->design);
    uint32_t a = open && *p[S_ARREADY], answer = *p[S_RVALID], response = *p[S_RRESP];
    *value = *p[S_RDATA];
    midge_tick(b);
    if (a) open = 0;
    if (answer) { *p[S_ARVALID] = *p[S_RREADY] = 0; return (int)response; }
  }
  *p[S_ARVALID] = *p[S_RREADY] = 0;
  return -1;
}
extern "C" uint64_t midge_board_size() { return sizeof(midge_board); }
extern "C" void midge_board_init(midge_board *b, cxxrtl_handle design, uint32_t **ports,
                                 uint32_t *clock, uint8_t *memory, uint64_t base, uint64_t size) {
  std::memset(b, 0, sizeof *b);
  b->p = ports; b->clock = clock; b->design = design; b->memory = memory; b->base = base;
  b->size = size; b->latency = 24; b->seed = 1;
}
extern "C" void midge_board_set(midge_board *b, uint32_t latency, uint32_t stall) {
  b->latency = latency; b->stall = stall;
}
extern "C" uint64_t midge_board_cycle(midge_board *b) { return b->cycle; }
extern "C" uint64_t midge_board_outside(midge_board *b) { return b->outside; }
"""

_MASTER = (
    "araddr arlen arvalid arready rdata rresp rlast rvalid rready awaddr awvalid awready wdata "
    "wlast wvalid wready bresp bvalid bready"
).split()
_SLAVE = (
    "awaddr awvalid awready wdata wstrb wvalid wready bresp bvalid bready araddr arvalid arready "
    "rdata rresp rvalid rready"
).split()
PORTS = [f"m_axi__{n}" for n in _MASTER] + ["irq"] + [f"s_axi__{n}" for n in _SLAVE]


class SimulatedBoard:
    """An `AxiAccelerator` with `memory`, a uint8 array at the bus address `base`.

    `latency` is in clock cycles; `stall` of 256 cycles the memory takes and gives nothing.
    """

    base = 0x1000_0000

    def __init__(
        self, machine: Machine | None = None, memory_bytes: int = 16 << 20, latency: int = 24,
        stall: int = 0, component: Any = None, recipe: Recipe = QUICK,
    ) -> None:  # fmt: skip
        from ..hw.axi import AxiAccelerator  # needs Amaranth

        self.memory = np.zeros(memory_bytes, np.uint8)
        component = component or AxiAccelerator(machine or Machine())
        self.simulation = Simulation(component, recipe)
        library = self._library = self.simulation.library
        handle, size = ctypes.c_void_p, ctypes.c_uint64
        for name, result in (
            ("size", size), ("run", size), ("write", ctypes.c_int), ("read", ctypes.c_int),
            ("cycle", size), ("outside", size), ("init", None), ("set", None),
        ):  # fmt: skip
            getattr(library, f"midge_board_{name}").restype = result
        self._state = ctypes.create_string_buffer(library.midge_board_size())
        pointers = [self.simulation.pointer(name) for name in PORTS]
        self._ports = (handle * len(pointers))(*pointers)
        library.midge_board_init(
            self._state, handle(self.simulation.design), self._ports,
            handle(self.simulation.pointer("clk")), handle(self.memory.ctypes.data),
            size(self.base), size(memory_bytes),
        )  # fmt: skip
        self.disturb(latency, stall)

    def disturb(self, latency: int, stall: int) -> None:
        """Make the memory slow."""
        self._library.midge_board_set(self._state, latency, stall)

    @property
    def cycles(self) -> int:
        """Clock cycles since the beginning."""
        return int(self._library.midge_board_cycle(self._state))

    @property
    def outside(self) -> int:
        """Beats that the master moved outside the memory."""
        return int(self._library.midge_board_outside(self._state))

    def step(self, cycles: int) -> None:
        """Run clock cycles."""
        self._library.midge_board_run(self._state, ctypes.c_uint64(cycles), 0)

    def wait(self, cycles: int) -> bool:
        """Run until the interrupt, at most so many cycles; whether it came."""
        ran = self._library.midge_board_run(self._state, ctypes.c_uint64(cycles), 1)
        return bool(ran < cycles)

    def write(self, address: int, value: int) -> None:
        """Write a register."""
        patience = ctypes.c_uint64(_PATIENCE)
        answer = self._library.midge_board_write(self._state, address, value, patience)
        self._check(answer, "write", address)

    def read(self, address: int) -> int:
        """Read a register."""
        value = ctypes.c_uint32()
        patience = ctypes.c_uint64(_PATIENCE)
        answer = self._library.midge_board_read(self._state, address, ctypes.byref(value), patience)
        self._check(answer, "read", address)
        return value.value

    def _check(self, answer: int, what: str, address: int) -> None:
        if answer:
            why = "no answer" if answer < 0 else f"error {answer}"
            raise ExecutionError(f"a {what} of register {address:#x} got {why} from the bus")

    def close(self) -> None:
        """Free the simulation."""
        self.simulation.close()


class SimulatedBuffer:
    """Memory of a simulated board; processor and accelerator see the same bytes."""

    def __init__(self, array: np.ndarray, address: int) -> None:
        self.array, self.address = array, address

    def flush(self) -> None:
        """Nothing: there is no cache."""

    def invalidate(self) -> None:
        """Nothing: there is no cache."""


class SimulatedBus:
    """`hw.queue.Bus` on a simulated board."""

    def __init__(self, board: SimulatedBoard) -> None:
        self.board = board
        self._used = 0

    def write(self, register: int, value: int) -> None:
        """Write a register."""
        self.board.write(int(register), int(value))

    def read(self, register: int) -> int:
        """Read a register."""
        return self.board.read(int(register))

    def allocate(self, words: int) -> SimulatedBuffer:
        """A buffer of `words` uint32."""
        first, self._used = self._used, -(-(self._used + 4 * words) // ALIGNMENT) * ALIGNMENT
        if self._used > self.board.memory.size:
            raise ExecutionError("the simulated board's memory is full")
        array = self.board.memory[first : first + 4 * words].view(np.uint32)
        return SimulatedBuffer(array, self.board.base + first)

    def wait(self, cycles: int) -> None:
        """Run until the interrupt, at most so many cycles."""
        self.board.wait(cycles)
