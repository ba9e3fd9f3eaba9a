"""The accelerator behind a serial line, for boards without a processor."""

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out, connect

from .accelerator import HOST_PORT, Accelerator
from .machine import Machine, Register, SerialRequest

HEADER_BYTES = 6  # kind, address (3), words (2), low bytes first
SILENCE_BITS = 11  # of a count of bit times after which half a request is forgotten


class Receiver(wiring.Component):
    """Bytes of a serial line: 8 bits, no parity, a bit in `divider` cycles; never held up.

    A byte comes `latency` cycles after its start bit began, in the middle of its stop bit; without
    one it does not come. At 8 cycles a bit the other end's clock may be 3 % away.
    """

    def __init__(self, divider: int):
        self.divider = divider
        octets = stream.Signature(8, always_ready=True)
        super().__init__({"line": In(1, init=1), "octets": Out(octets)})

    @property
    def latency(self) -> int:
        """Cycles from a start bit to its byte: nine bits and a half, and three registers."""
        return 9 * self.divider + self.divider // 2 + 3

    def elaborate(self, platform):
        m = Module()
        line = Signal(init=1)
        before = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.line, line, init=1)
        wait = Signal(range(2 * self.divider))
        left = Signal(range(10))
        bits = Signal(8)
        m.d.sync += [self.octets.valid.eq(0), before.eq(line)]
        m.d.comb += self.octets.payload.eq(bits)
        with m.If(left == 0):
            with m.If(before & ~line):  # a line that stays low after a lost stop bit begins no byte
                m.d.sync += [left.eq(9), wait.eq(self.divider + self.divider // 2 - 1)]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [left.eq(left - 1), wait.eq(self.divider - 1)]
            with m.If(left == 1):
                m.d.sync += self.octets.valid.eq(line)  # the stop bit
            with m.Else():
                m.d.sync += bits.eq(Cat(bits[1:], line))
        return m


class Transmitter(wiring.Component):
    """Bytes onto a serial line, as `Receiver` takes them.

    The start bit begins in the cycle after a byte was taken; the next one may be taken ten bits
    after that.
    """

    def __init__(self, divider: int):
        self.divider = divider
        super().__init__({"line": Out(1, init=1), "octets": In(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        wait = Signal(range(self.divider))
        left = Signal(range(11))
        bits = Signal(10, init=-1)
        m.d.comb += [self.line.eq(bits[0]), self.octets.ready.eq(left == 0)]
        with m.If(left == 0):
            with m.If(self.octets.valid):
                m.d.sync += [
                    bits.eq(Cat(0, self.octets.payload, 1)),
                    left.eq(10),
                    wait.eq(self.divider - 1),
                ]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [bits.eq(Cat(bits[1:], 1)), left.eq(left - 1), wait.eq(self.divider - 1)]
        return m


class SerialBridge(wiring.Component):
    """Requests from a serial line to a host port: the answer to a read is its words, to a write of
    all its words one byte, `SerialRequest.DONE`. Words come low byte first.

    A request that stops half way is forgotten after `2**SILENCE_BITS` bit times, and so is a kind
    of request that there is not.
    """

    def __init__(self, divider: int):
        self.divider = divider
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "host": Out(HOST_PORT)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = Receiver(self.divider)
        m.submodules.transmitter = transmitter = Transmitter(self.divider)
        m.d.comb += [receiver.line.eq(self.rx), self.tx.eq(transmitter.line)]
        came, octets = receiver.octets.valid, transmitter.octets
        header = Array(Signal(8, name=f"header_{place}") for place in range(HEADER_BYTES))
        words = Signal(16)
        place = Signal(3)
        silence = Signal(range(self.divider << SILENCE_BITS))
        late = Signal()
        m.d.comb += late.eq(silence == (self.divider << SILENCE_BITS) - 1)
        m.d.sync += silence.eq(silence + 1)
        with m.If(came | late):
            m.d.sync += silence.eq(0)
        with m.FSM():
            with m.State("header"):
                with m.If(late):
                    m.d.sync += place.eq(0)
                with m.If(came):
                    m.d.sync += [header[place].eq(receiver.octets.payload), place.eq(place + 1)]
                    with m.If(place == HEADER_BYTES - 1):
                        m.next = "look"
            with m.State("look"):
                m.d.sync += [
                    place.eq(0),
                    self.host.address.eq(Cat(*header[1:4])),
                    words.eq(Cat(*header[4:6])),
                ]
                m.next = "header"
                with m.If(Cat(*header[4:6]) != 0):
                    with m.If(header[0] == SerialRequest.WRITE):
                        m.next = "take word"
                    with m.Elif(header[0] == SerialRequest.READ):
                        m.next = "read"
            with m.State("take word"):
                with m.If(came):
                    data = self.host.write_data
                    m.d.sync += [
                        data.eq(Cat(data[8:], receiver.octets.payload)),
                        place.eq(place + 1),
                    ]
                    with m.If(place == 3):
                        m.next = "write"
                with m.Elif(late):
                    m.d.sync += place.eq(0)
                    m.next = "header"
            with m.State("write"):
                m.d.comb += [self.host.valid.eq(1), self.host.write.eq(1)]
                with m.If(self.host.ready):
                    m.d.sync += [place.eq(0), words.eq(words - 1)]
                    self._next_word(m)
                    m.next = "take word"
                    with m.If(words == 1):
                        m.next = "answer"
            with m.State("answer"):
                m.d.comb += [octets.valid.eq(1), octets.payload.eq(SerialRequest.DONE)]
                with m.If(octets.ready):
                    m.next = "header"
            with m.State("read"):
                m.d.comb += self.host.valid.eq(1)
                with m.If(self.host.ready):
                    m.d.sync += [Cat(*header[2:6]).eq(self.host.read_data), place.eq(0)]
                    m.next = "send word"
            with m.State("send word"):
                m.d.comb += [octets.valid.eq(1), octets.payload.eq(header[2])]
                with m.If(octets.ready):
                    m.d.sync += [Cat(*header[2:6]).eq(Cat(*header[3:6])), place.eq(place + 1)]
                    with m.If(place == 3):
                        m.d.sync += [place.eq(0), words.eq(words - 1)]
                        self._next_word(m)
                        m.next = "read"
                        with m.If(words == 1):
                            m.next = "header"
        return m

    def _next_word(self, m):
        """All words may go to the command register; elsewhere they lie side by side."""
        with m.If(self.host.address != Register.COMMAND):
            m.d.sync += self.host.address.eq(self.host.address + 4)


class Relay(wiring.Component):
    """Registers in a host port: the accelerator sees a request a cycle late, its answer comes a
    cycle late, and so neither's logic adds to the other's in a cycle."""

    near: In(HOST_PORT)
    far: Out(HOST_PORT)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += [
            self.far.valid.eq(self.near.valid & ~self.far.ready & ~self.near.ready),
            self.far.write.eq(self.near.write),
            self.far.address.eq(self.near.address),
            self.far.write_data.eq(self.near.write_data),
            self.near.ready.eq(self.far.valid & self.far.ready),
            self.near.read_data.eq(self.far.read_data),
        ]
        return m


class SerialAccelerator(wiring.Component):
    """`Accelerator` behind a serial line, a bit in `divider` clock cycles."""

    rx: In(1, init=1)
    tx: Out(1, init=1)

    def __init__(self, machine: Machine, divider: int, technology: str = "generic"):
        self.machine, self.divider, self.technology = machine, divider, technology
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.bridge = bridge = SerialBridge(self.divider)
        m.submodules.accelerator = accelerator = Accelerator(self.machine, self.technology)
        m.submodules.relay = relay = Relay()
        connect(m, bridge.host, relay.near)
        connect(m, relay.far, accelerator.host)
        m.d.comb += [bridge.rx.eq(self.rx), self.tx.eq(bridge.tx), accelerator.clear.eq(0)]
        return m
