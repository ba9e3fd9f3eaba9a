"""Gives the sequencer command words and ends of jobs, against a model of when jobs start."""

import random

import cocotb
from bench import DATA, settled, start, value
from cocotb.triggers import FallingEdge


class Model:
    """A job starts `latency` cycles after its last word and after the end of the job before."""

    def __init__(self, jobs, job_words, latency):
        self._jobs, self._words, self._latency = jobs, job_words, latency
        self._complete = []  # cycles of last words
        self._taken = 0
        self._free = -latency
        self.job = None  # the one that runs: its number of all jobs
        self.began = self.finished = self.refused = self.busy_cycles = self.job_cycles = 0

    def starts(self, cycle):
        """Whether a known job starts now."""
        if self.job is not None or self.finished == len(self._complete):
            return False
        if cycle != max(self._complete[self.finished], self._free) + self._latency:
            return False
        if not self._jobs[self.finished][1]:
            self.refused, self._free = 1, cycle
            self.finished += 1
            return False
        self.job, self.began = self.finished, cycle
        return True

    def take(self, cycle):
        self._taken += 1
        if self._taken % self._words == 0:
            self._complete.append(cycle)

    def end(self, cycle):
        self.job_cycles = cycle - self.began
        self.busy_cycles += self.job_cycles
        self.job, self._free = None, cycle
        self.finished += 1

    def counters(self):
        return {
            "refused": self.refused, "finished": self.finished, "job_cycles": self.job_cycles,
            "busy_cycles": self.busy_cycles,
        }  # fmt: skip


@cocotb.test()
@cocotb.parametrize(pattern=list(DATA["patterns"]))
async def jobs_start_in_time(dut, pattern):
    """All jobs twice; what is unknown is dropped, and a job holds still while it runs."""
    rng = random.Random(pattern)
    comes, ends = DATA["patterns"][pattern]
    jobs = 2 * DATA["jobs"]
    model = Model(jobs, DATA["job_words"], DATA["latency"])
    pending = [word for words, _ in jobs for word in words]
    await start(dut, "commands__valid", "commands__payload", "done")
    offered = False
    for cycle in range(40 * len(pending)):
        offered = bool(pending) and (offered or rng.random() < comes)
        running = model.job is not None
        done = rng.random() < ends / 4 if running else False
        word = pending[0] if offered else rng.getrandbits(32)
        await settled(dut, commands__valid=offered, commands__payload=word, done=done)
        counters = model.counters() | {"busy_cycles": None}
        for name, wanted in counters.items():
            if wanted is not None:
                assert value(getattr(dut, f"progress__{name}")) == wanted, (cycle, name)
        starts = model.starts(cycle)
        assert value(dut.start) == starts, cycle
        if model.job is not None:
            words = jobs[model.job][0]
            assert value(dut.job) == sum(word << 32 * at for at, word in enumerate(words)), cycle
        if offered and value(dut.commands__ready):
            pending.pop(0)
            offered = False
            model.take(cycle)
        assert value(dut.progress__busy) or not (offered or running)
        if done:
            model.end(cycle)
        await FallingEdge(dut.clk)
        if model.finished == len(jobs):
            break
    await settled(dut, done=0)
    for name, wanted in model.counters().items():
        assert value(getattr(dut, f"progress__{name}")) == wanted, name
    assert model.finished == len(jobs) and not value(dut.progress__busy)
