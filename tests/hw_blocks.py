"""What the tests of single hardware blocks share; nothing here needs Amaranth at import."""

import numpy as np

from midge.hw.machine import Machine

SMALL = Machine(
    rows=12, columns=5, activation_bytes=2048, weight_words=64, accumulators=64,
    parameter_tiles=4, queue_jobs=1, line_pixels=16, binary=0,
)  # fmt: skip
ALL = -1  # bits that count
PATTERNS = {  # chance in a cycle of: a value that comes, room for one that leaves
    "streaming": (1.0, 1.0),
    "idle": (0.3, 1.0),
    "back-pressure": (1.0, 0.3),
    "both": (0.5, 0.5),
}


def bits(layout, **values):
    """A structure's values as one unsigned number."""
    return layout.const({name: int(value) for name, value in values.items()}).as_bits()


def job_bits(job):
    """A job's command words end to end, as the sequencer hands them out."""
    return sum(word << 32 * place for place, word in enumerate(job.encode()))


def number(values, bytes_each=1):
    """An array's values end to end, low first."""
    return int.from_bytes(np.asarray(values).astype(f"<i{bytes_each}").tobytes(), "little")


def with_ids(component):
    """A block with the transaction numbers that `cocotbext-axi` insists on: always 0."""
    from amaranth.hdl import Module
    from amaranth.lib import wiring
    from amaranth.lib.wiring import In, Out, connect, flipped

    from midge.hw.dma import AXI

    ids = {"awid": Out(1), "arid": Out(1), "bid": In(1), "rid": In(1)}
    ports = dict(component.signature.members)

    class WithIds(wiring.Component):
        def elaborate(self, platform):
            m = Module()
            m.submodules.inner = component
            m.d.comb += [self.m_axi.awid.eq(0), self.m_axi.arid.eq(0)]
            for name, member in ports.items():
                outer, inner = getattr(self, name), getattr(component, name)
                if name == "m_axi":
                    _wire(m, AXI.members, outer, inner)
                elif member.is_signature:
                    connect(m, flipped(outer), inner)
                else:
                    m.d.comb += outer.eq(inner) if member.flow == Out else inner.eq(outer)
            return m

    def _wire(m, members, outer, inner):
        for name, member in members.items():
            there, here = getattr(outer, name), getattr(inner, name)
            m.d.comb += there.eq(here) if member.flow == Out else here.eq(there)

    bus = Out(wiring.Signature({**AXI.members, **ids}))
    return WithIds({**ports, "m_axi": bus})
