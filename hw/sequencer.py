"""Takes jobs from the command queue, one at a time, and reads the next one meanwhile."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .commands import JOB_WORDS, VERSION, Opcode
from .layouts import JOB

PROGRESS = wiring.Signature(
    {
        "busy": Out(1),
        "refused": Out(1),  # a job was not of a known kind
        "finished": Out(32),  # jobs, the refused ones too
        "job_cycles": Out(32),  # of the last job that ran, from its `start` to its `done`
        "busy_cycles": Out(32),  # in which a job ran
    }
)


class Sequencer(wiring.Component):
    """Shifts a job's words in, copies them to `job`, pulses `start` and waits for `done`.

    `job` holds still from `start` to `done`; the next job's words are read meanwhile. A job starts
    `LATENCY` cycles after its last word and after the `done` before it, whichever is later. One of
    unknown opcode or version is dropped.
    """

    LATENCY = 2

    commands: In(stream.Signature(32))
    job: Out(JOB)
    start: Out(1)
    done: In(1)
    progress: Out(PROGRESS)

    def elaborate(self, platform):
        m = Module()
        words = Signal(range(JOB_WORDS + 1))
        incoming = Signal(JOB, reset_less=True)
        job = Signal(JOB, name="job_taken", reset_less=True)
        cycles = Signal(32)
        running = Signal()
        take = Signal()
        complete = words == JOB_WORDS
        is_known = (
            (self.job.opcode >= min(Opcode))
            & (self.job.opcode <= max(Opcode))
            & (self.job.version == VERSION)
        )
        m.d.comb += [
            self.job.eq(job),
            self.commands.ready.eq(~complete),
            self.progress.busy.eq(self.commands.valid | (words != 0) | running),
        ]
        m.d.sync += cycles.eq(Mux(self.start, 1, cycles + 1))
        with m.If(self.commands.valid & self.commands.ready):
            later = Cat(incoming.as_value()[32:], self.commands.payload)
            m.d.sync += [incoming.as_value().eq(later), words.eq(words + 1)]
        with m.If(take):
            m.d.sync += [job.eq(incoming), words.eq(0), running.eq(1)]
        with m.FSM():
            with m.State("wait"):
                m.d.comb += take.eq(complete)
                with m.If(complete):
                    m.next = "start"
            with m.State("start"):
                m.d.comb += self.start.eq(is_known)
                m.next = "run"
                with m.If(~is_known):
                    m.d.sync += self.progress.refused.eq(1)
                    self._finish(m, running)
            with m.State("run"):
                m.d.sync += self.progress.busy_cycles.eq(self.progress.busy_cycles + 1)
                with m.If(self.done):
                    m.d.sync += self.progress.job_cycles.eq(cycles)
                    self._finish(m, running)
        return m

    def _finish(self, m, running):
        m.d.sync += [self.progress.finished.eq(self.progress.finished + 1), running.eq(0)]
        m.next = "wait"
