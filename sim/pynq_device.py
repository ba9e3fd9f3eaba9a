"""A `pynq` device whose registers and memory are the simulated board: real drivers run unmodified.

The processor's cache is modelled: a cacheable buffer is a copy of its own, and what was not flushed
the accelerator does not see.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
from pynq.buffer import PynqBuffer
from pynq.pl_server.device import Device

from ..targets.fpga.hwh import BASE, SIZE
from .board import SimulatedBoard

_ALIGNMENT = 4096  # of what `pynq.allocate` gives
# The processor's clock registers, as the PYNQ-Z2 has them after reset: `pynq.Clocks` reads them.
_CLOCK_REGISTERS = range(0xF800_0000, 0xF800_1000)
_CLOCKS = {
    0xF800_0100: 26 << 12, 0xF800_0104: 21 << 12, 0xF800_0108: 20 << 12, 0xF800_0120: 0x1F00_0200,
    0xF800_0170: 0x0010_0800, 0xF800_0180: 0x0010_0700, 0xF800_0190: 0x0010_0500,
    0xF800_01A0: 0x0010_1400,
}  # fmt: skip


class SimulatedDevice(Device):
    """Make one and pass it on as `device=`; it registers with nothing."""

    def __init__(self, board: SimulatedBoard, tag: str = "midge-simulation") -> None:
        super().__init__(tag)
        self.name, self.arch, self.board = tag, "armv7l", board
        self.capabilities = {"REGISTER_RW": True}
        self.timestamp, self.bitfile_name = "", None
        self._used, self._clocks = 0, dict(_CLOCKS)
        self.clear_dict()

    # ---- registers ----

    def read_registers(self, address: int, length: int) -> bytes:
        """Whole words from the bus."""
        words = [self._read(address + place) for place in range(0, length, 4)]
        return b"".join(word.to_bytes(4, "little") for word in words)

    def write_registers(self, address: int, data: bytes) -> None:
        """Whole words onto the bus."""
        data = bytes(data)
        for place in range(0, len(data), 4):
            value = int.from_bytes(data[place : place + 4], "little")
            if address in _CLOCK_REGISTERS:
                self._clocks[address + place] = value
            else:
                self.board.write(self._offset(address + place), value)

    def _read(self, address: int) -> int:
        if address in _CLOCK_REGISTERS:
            return self._clocks.get(address, 0)
        # A processor reads no sooner than some cycles after the read before.
        self.board.step(20)
        return self.board.read(self._offset(address))

    def _offset(self, address: int) -> int:
        if not BASE <= address < BASE + SIZE:
            raise RuntimeError(f"a bus error: nothing answers at {address:#x}")
        return address - BASE

    # ---- memory ----

    def allocate(self, shape: Any, dtype: Any, cacheable: int = 1, **_: Any) -> Any:
        """A buffer; cacheable ones are copies until they are flushed or invalidated."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        first = self._used
        self._used = -(-(first + size) // _ALIGNMENT) * _ALIGNMENT
        if self._used > self.board.memory.size:
            raise MemoryError("the simulated board's memory is full")
        backing = {} if cacheable else {"buffer": self.board.memory, "offset": first}
        return PynqBuffer(
            shape, dtype, device=self, device_address=self.board.base + first, bo=first,
            coherent=not cacheable, **backing,
        )  # fmt: skip

    def flush(self, bo: int, offset: int, vaddr: int, nbytes: int) -> None:
        """From the processor's cache to memory."""
        ctypes.memmove(self.board.memory.ctypes.data + bo + offset, vaddr, nbytes)

    def invalidate(self, bo: int, offset: int, vaddr: int, nbytes: int) -> None:
        """From memory to the processor's cache."""
        ctypes.memmove(vaddr, self.board.memory.ctypes.data + bo + offset, nbytes)

    # ---- overlays ----

    def get_bitfile_metadata(self, bitfile_name: str, partial: bool = False) -> Any:
        """What the .hwh beside the .bit says."""
        from pynqmetadata.frontends import Metadata
        from pynqmetadata.views.runtime import RuntimeMetadataParser

        parser = RuntimeMetadataParser(Metadata(input=str(Path(bitfile_name).with_suffix(".hwh"))))
        parameters = parser.ip_dict[parser.ps_name]["parameters"]
        for number, clock in parser.clock_dict.items():
            if clock.get("frequency") is None:  # pynqmetadata 0.2.0 finds none for a Zynq-7000
                frequency = parameters[f"PCW_ACT_FPGA{number}_PERIPHERAL_FREQMHZ"]
                clock["frequency"] = float(frequency)
        return parser

    def download(self, bitstream: Any, parser: Any = None) -> None:
        """The simulation is configured already."""
        self.post_download(bitstream, parser, self.name)

    def get_memory(self, description: Any) -> Any:
        """All memory is the board's."""
        return self
