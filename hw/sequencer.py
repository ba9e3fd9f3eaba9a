"""Takes jobs from the command queue, one at a time."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .commands import CONV2D, JOB_WORDS, VERSION
from .layouts import JOB

PROGRESS = wiring.Signature(
    {
        "busy": Out(1),
        "refused": Out(1),  # a job was not of a known kind
        "finished": Out(32),  # jobs, the refused ones too
        "job_cycles": Out(32),  # of the last job that ran, from its first word to its `done`
    }
)


class Sequencer(wiring.Component):
    """Shifts a job's words into `job`, then pulses `start` and waits for `done`.

    `job` holds still from `start` to `done`. A job of unknown opcode or version is dropped.
    """

    commands: In(stream.Signature(32))
    job: Out(JOB)
    start: Out(1)
    done: In(1)
    progress: Out(PROGRESS)

    def elaborate(self, platform):
        m = Module()
        words = Signal(range(JOB_WORDS))
        cycles = Signal(32)
        is_known = (self.job.opcode == CONV2D) & (self.job.version == VERSION)
        m.d.sync += cycles.eq(Mux(self.progress.busy, cycles + 1, 1))
        with m.FSM():
            with m.State("fetch"):
                m.d.comb += [
                    self.commands.ready.eq(1),
                    self.progress.busy.eq(self.commands.valid | (words != 0)),
                ]
                with m.If(self.commands.valid):
                    later = Cat(self.job.as_value()[32:], self.commands.payload)
                    m.d.sync += [self.job.as_value().eq(later), words.eq(words + 1)]
                    with m.If(words == JOB_WORDS - 1):
                        m.d.sync += words.eq(0)
                        m.next = "start"
            with m.State("start"):
                m.d.comb += [self.progress.busy.eq(1), self.start.eq(is_known)]
                m.next = "run"
                with m.If(~is_known):
                    m.d.sync += self.progress.refused.eq(1)
                    self._finish(m)
            with m.State("run"):
                m.d.comb += self.progress.busy.eq(1)
                with m.If(self.done):
                    m.d.sync += self.progress.job_cycles.eq(cycles)
                    self._finish(m)
        return m

    def _finish(self, m):
        m.d.sync += self.progress.finished.eq(self.progress.finished + 1)
        m.next = "fetch"
