"""What every stream promises: a value that is offered stays as it is until it is taken."""

from dataclasses import dataclass

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly

AXI_CHANNELS = ("aw", "w", "b", "ar", "r")
_FROM_SLAVE = ("b", "r")
_PORT = ("write", "address", "write_data")  # what a host port's request consists of


@dataclass(frozen=True)
class Offer:
    """One stream's handles."""

    name: str
    valid: object
    ready: object
    payload: tuple


def axi_offers(dut, prefix, driven_by_slave):
    """The channels of an AXI port that the design itself drives."""
    offers = []
    for channel in AXI_CHANNELS:
        if (channel in _FROM_SLAVE) != driven_by_slave:
            continue
        handles = {handle._name: handle for handle in dut if "$" not in handle._name}
        own = f"{prefix}__{channel}"
        valid, ready = (handles.pop(f"{own}{end}") for end in ("valid", "ready"))
        payload = tuple(handle for name, handle in sorted(handles.items()) if name.startswith(own))
        offers.append(Offer(own, valid, ready, payload))
    return offers


def stream_offers(block, path=""):
    """Every stream and host port inside a block, its submodules included, that has a `ready`."""
    signals = {handle._name: handle for handle in block}
    for name, handle in signals.items():
        if not name.endswith("__valid") and name != "valid":
            if handle._type == "GPI_MODULE":
                yield from stream_offers(handle, f"{path}{name}.")
            continue
        stem = name.removesuffix("valid")
        ready = signals.get(f"{stem}ready")
        payload = [signals.get(f"{stem}payload"), *(signals.get(stem + part) for part in _PORT)]
        payload = tuple(handle for handle in payload if handle is not None)
        if ready is not None and payload:
            yield Offer(path + stem, handle, ready, payload)


class ContractWatch:
    """Looks at all offers once a cycle, before the rising edge; `taken` counts transfers.

    An offer may be withdrawn in a reset alone: `pause` while there is one.
    """

    def __init__(self, clock, offers):
        self._clock, self.offers = clock, list(offers)
        self.taken = dict.fromkeys((offer.name for offer in self.offers), 0)
        self.waited = dict(self.taken)
        self.paused = False
        self._task = cocotb.start_soon(self._watch())

    async def _watch(self):
        waiting = {}
        while True:
            await FallingEdge(self._clock)
            await ReadOnly()
            for offer in self.offers:
                self._look(offer, waiting)

    def _look(self, offer, waiting):
        """A value that waited in the cycle before must be there, unchanged."""
        before = waiting.pop(offer.name, None)
        if self.paused:
            return
        if not is_one(offer.valid):
            assert before is None, f"{offer.name}: an offer was withdrawn before it was taken"
            return
        value = tuple(str(handle.value) for handle in offer.payload)
        assert before in (None, value), f"{offer.name}: {before} became {value} while it waited"
        if is_one(offer.ready):
            self.taken[offer.name] += 1
        else:
            self.waited[offer.name] += 1
            waiting[offer.name] = value


def is_one(handle):
    """Whether a signal is 1; unknown levels before the first reset are not."""
    return str(handle.value) == "1"
