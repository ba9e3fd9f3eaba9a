"""The sequencer: which jobs start, when, with which words; what is counted."""

import numpy as np
import pytest
from hw_blocks import PATTERNS

from midge.hw.commands import JOB_WORDS, VERSION, Opcode


def test_jobs_start_in_time(run_cocotb):
    pytest.importorskip("amaranth")
    from midge.hw.sequencer import Sequencer

    rng, jobs = np.random.default_rng(1), []
    kinds = [(opcode, VERSION) for opcode in Opcode]
    kinds += [(0, VERSION), (max(Opcode) + 1, VERSION), (Opcode.CONV2D, VERSION + 1)]
    for place in rng.permutation(len(kinds)):
        opcode, version = kinds[place]
        words = rng.integers(0, 1 << 32, JOB_WORDS).tolist()
        words[0] = words[0] & 0xFFFF_0000 | version << 8 | opcode
        jobs.append((words, place < len(Opcode)))
    data = {
        "jobs": jobs, "job_words": JOB_WORDS, "latency": Sequencer.LATENCY, "patterns": PATTERNS
    }  # fmt: skip
    run_cocotb(Sequencer(), "cocotb_sequencer", data)
