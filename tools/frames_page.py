"""Measure the figures of docs/frames.md, and write them there.

    python -m midge.tools.frames_page

Every answer is compared with the reference's for the whole window; a model that is missing is left
out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..runtime.backend import build
from ..runtime.errors import ExecutionError, ModelError
from ..runtime.graph import DTYPES, Tensor
from ..runtime.ops import total_macs
from ..runtime.options import Options
from ..runtime.plan_cache import compile_cached
from ..runtime.program import Program
from .zoo import find_model

PAGE = Path(__file__).parent.parent / "docs" / "frames.md"
TARGET = "cortex-m4"
COUNT = 100  # frames that are compared
MODELS = (("str_ww_ref_model", 1), ("kws_ref_model", 2), ("micro_speech_quantized", 2))
HEAD = f"""# Frames

A model that listens sees the last second or so, again and again, and most of what it computes it
has computed before. With `--frames N` an inference takes N new rows of the input and answers for
the whole window, with the same bits:

```
midge run str_ww_ref_model --target cortex-m4 --frames 1
```

Each layer keeps the rows that later ones still need in a state, moves them up and makes the new
rows only; a layer of stride s makes one for s rows of its input, so N must be a multiple of the
strides' product. Rows that padding reaches are made anew, and so is what needs the whole window
(means, dense layers). States start, and start again after a reset, as if the zero point had come
for ever. `Interpreter(path, frames=N)` takes them by `set_tensor` and `invoke`, or with
`input_by_row=True` by `push_rows`; in C they are the input of `midge_<name>_run`, or with
`--input-by-row` those of `midge_<name>_push_rows`.

Measured by `python -m midge.tools.frames_page`, which writes this page: multiplications, guest
instructions in QEMU and arena bytes (with `--int8-io`; states included) on `{TARGET}`, of an
inference on the whole window and of one on new frames. {COUNT} random frames one after the other,
each answer compared with the reference's on the whole window.

| model | frames | MACs: window | new frames | instructions: window | new frames | ratio | arena: window | new frames | state |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
"""  # noqa: E501


def rows() -> Iterator[str]:
    for name, frames in MODELS:
        try:
            model = find_model(name)
        except ModelError as error:
            print(error, file=sys.stderr)
            continue
        whole = compile_cached(model, TARGET, Options(int8_io=True))
        sliding = compile_cached(model, TARGET, Options(int8_io=True, frames=frames))
        reference = compile_cached(model, "reference", Options(int8_io=True))
        before, after = _instructions(whole), _instructions(sliding, reference)
        state = sum(value.nbytes for value in sliding.state.values())
        counts = (frames, total_macs(whole.graph), total_macs(sliding.graph), before, after)
        sizes = (whole.arena_bytes, sliding.arena_bytes, state)
        cells = [f"{n:,}" for n in counts] + [f"{before / after:.1f}"] + [f"{n:,}" for n in sizes]
        yield f"| `{name}` | {' | '.join(cells)} |\n"


def _instructions(program: Program, reference: Program | None = None) -> int:
    """Of the last of many inferences, or of one if there is nothing to compare them with."""
    taken = [[_draw(program.inputs[0], seed)] for seed in range(COUNT if reference else 1)]
    executor = build(program)
    try:
        answers = executor.run_many(taken)  # type: ignore[attr-defined]
        if reference is not None:
            _compare(taken, answers, reference)
        count = executor.measurement.instructions
    finally:
        executor.close()
    assert count is not None
    return count


def _compare(
    taken: list[list[np.ndarray]], answers: list[list[np.ndarray]], reference: Program
) -> None:
    window, executor = reference.inputs[0], build(reference)
    seen = np.full(window.elements, window.zero_point, DTYPES[window.dtype])
    for number, ((frames,), answer) in enumerate(zip(taken, answers, strict=True)):
        seen = np.concatenate([seen[frames.size :], frames.reshape(-1)])
        for ours, wanted in zip(answer, executor.run([seen.reshape(window.shape)]), strict=True):
            if ours.tobytes() != wanted.tobytes():
                raise ExecutionError(f"frame {number}: the answer is not that of the whole window")


def _draw(tensor: Tensor, seed: int) -> np.ndarray:
    rng, limits = np.random.default_rng(seed), np.iinfo(DTYPES[tensor.dtype])
    return rng.integers(limits.min, limits.max, tensor.shape, limits.dtype, endpoint=True)


def main() -> int:
    """Write the page."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    PAGE.write_text(HEAD + "".join(rows()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
