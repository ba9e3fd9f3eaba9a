"""The top: one 32-bit port for the host, in front of registers, command queue and memories."""

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect
from amaranth.utils import ceil_log2

from .commands import JOB_WORDS
from .engine import Engine
from .machine import IDENTITY, PARAMETER_BYTES, REGION_BYTES, Machine, Region, Register

# A request holds still until `ready`; read data are valid in that cycle. Addresses are in bytes;
# registers, weights and parameters are reached by whole words, activations at any address.
HOST_PORT = wiring.Signature(
    {
        "valid": Out(1),
        "write": Out(1),
        "address": Out(ceil_log2(len(Region) * REGION_BYTES)),
        "write_data": Out(32),
        "ready": In(1),
        "read_data": In(32),
    }
)


class Accelerator(wiring.Component):
    """An int8 inference engine behind the address map of `machine.Region` and `Register`.

    Registers, weights and parameters answer in the cycle of the request, a read of activations
    takes 3 cycles, a write of activations waits while results are written, a command word while
    the queue is full. All of them end, because every job does. The host may use every memory
    while a job runs, and is to leave alone what that job uses.
    """

    def __init__(self, machine: Machine, technology: str = "generic"):
        self.machine, self.technology = machine, technology
        super().__init__(
            {
                "host": In(HOST_PORT),
                "clear": In(1),  # as a write of CONTROL
                "clearing": Out(1),  # CONTROL was written
                "busy": Out(1),  # jobs are queued or run
            }
        )

    def elaborate(self, platform):
        m = Module()
        reset = Signal()
        engine = Engine(self.machine, self.technology)
        queue = SyncFIFOBuffered(width=32, depth=JOB_WORDS * self.machine.queue_jobs)
        m.submodules.engine = ResetInserter(reset)(engine)
        m.submodules.queue = ResetInserter(reset)(queue)
        connect(m, queue.r_stream, engine.commands)

        self._answer_registers(m, engine.progress, queue, reset)
        self._answer_activations(m, engine)
        self._write_weights(m, engine.weights)
        self._write_parameters(m, engine.parameters)
        return m

    def _offset(self):
        return self.host.address[: ceil_log2(REGION_BYTES)]

    def _is_request(self, region: Region, write: int):
        number = self.host.address[ceil_log2(REGION_BYTES) :]
        is_there = number == region // REGION_BYTES
        return self.host.valid & is_there & (self.host.write == write)

    def _answer_registers(self, m, progress, queue, reset):
        cycles = Signal(32)
        m.d.sync += cycles.eq(Mux(reset, 0, cycles + 1))
        writes = self._is_request(Region.REGISTERS, 1)
        is_command = self._offset() == Register.COMMAND
        is_control = self._offset() == Register.CONTROL
        m.d.comb += [
            queue.w_data.eq(self.host.write_data),
            queue.w_en.eq(writes & is_command),
        ]
        m.d.comb += [
            self.clearing.eq(writes & is_control & self.host.write_data[0]),
            self.busy.eq(progress.busy | (queue.level != 0)),
        ]
        m.d.sync += reset.eq(self.clearing | self.clear)
        with m.If(writes):
            m.d.comb += self.host.ready.eq(~is_command | queue.w_rdy)
        with m.If(self._is_request(Region.REGISTERS, 0)):
            m.d.comb += self.host.ready.eq(1)
            with m.Switch(self._offset()):
                for address, value in self._readable(progress, queue, cycles).items():
                    with m.Case(address):
                        m.d.comb += self.host.read_data.eq(value)

    def _readable(self, progress, queue, cycles):
        values = {
            Register.IDENTITY: Const(IDENTITY, 32),
            Register.STATUS: Cat(self.busy, progress.refused),
            Register.ROOM: queue.depth - queue.level,
            Register.JOBS_DONE: progress.finished,
            Register.JOB_CYCLES: progress.job_cycles,
            Register.CYCLES: cycles,
            Register.BUSY_CYCLES: progress.busy_cycles,
        }
        for number, size in enumerate(self.machine.to_words()):
            values[Register.MACHINE + 4 * number] = Const(size, 32)
        return values

    def _answer_activations(self, m, engine):
        reads = self._is_request(Region.ACTIVATIONS, 0)
        writes = self._is_request(Region.ACTIVATIONS, 1)
        under_way = Signal(2)  # cycles since a read was made
        wrote = Signal()  # in the cycle before, which a read would not see
        m.d.comb += [
            engine.read.address.eq(self._offset()),
            engine.read_valid.eq(reads & (under_way == 0) & ~wrote),
            engine.write.address.eq(self._offset()),
            engine.write.data.eq(self.host.write_data),
            engine.write.mask.eq(Mux(writes, 0b1111, 0)),
        ]
        m.d.sync += [
            under_way.eq(Cat(engine.read_valid, under_way[0])),
            wrote.eq(writes & engine.write_ready),
        ]
        with m.If(reads):
            m.d.comb += [
                self.host.ready.eq(under_way[1]),
                self.host.read_data.eq(engine.read.data),
            ]
        with m.If(writes):
            m.d.comb += self.host.ready.eq(engine.write_ready)

    def _write_weights(self, m, weights):
        """A cycle after the request: it is far to that many block RAMs, and no job is as quick."""
        writes = self._is_request(Region.WEIGHTS, 1)
        for name, value in (("address", self._offset()[2:]), ("data", self.host.write_data)):
            late = Signal(value.shape(), name=f"weight_{name}", reset_less=True)
            m.d.sync += late.eq(value)
            m.d.comb += getattr(weights, name).eq(late)
        enable = Signal(name="weight_enable")
        m.d.sync += enable.eq(writes)
        m.d.comb += weights.enable.eq(enable)
        with m.If(writes | self._is_request(Region.WEIGHTS, 0)):
            m.d.comb += self.host.ready.eq(1)

    def _write_parameters(self, m, parameters):
        """A channel's three words come in order, and the last one writes them."""
        address = self._offset()
        field_bits = ceil_log2(PARAMETER_BYTES)
        tile_bits = ceil_log2(self.machine.parameter_tile_bytes)
        writes = self._is_request(Region.PARAMETERS, 1)
        bias = Signal(32, reset_less=True)
        multiplier = Signal(31, reset_less=True)
        field = address[2:field_bits]
        m.d.comb += [
            parameters.column.eq(address[field_bits:tile_bits]),
            parameters.tile.eq(address[tile_bits:]),
            parameters.data.bias.eq(bias),
            parameters.data.multiplier.eq(multiplier),
            parameters.data.shift.eq(self.host.write_data),
            parameters.enable.eq(writes & (field == 2)),
        ]
        with m.If(writes):
            m.d.comb += self.host.ready.eq(1)
            with m.If(field == 0):
                m.d.sync += bias.eq(self.host.write_data)
            with m.If(field == 1):
                m.d.sync += multiplier.eq(self.host.write_data)
        with m.If(self._is_request(Region.PARAMETERS, 0)):
            m.d.comb += self.host.ready.eq(1)
