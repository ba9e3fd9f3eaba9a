"""A model that is ready, in this process's memory: neither NumPy, Numba nor LLVM is needed."""

from __future__ import annotations

import ctypes
import mmap

from .native.loader import load_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..runtime.ready import Ready

LINE = 64  # the arena begins at one, and vectors may read one more than a tensor has


class MappedModel:
    """An arena of its own, and `invoke`, which makes an inference in it. See `prepare.py`.

    Not to be used by two threads at once.
    """

    def __init__(self, ready: Ready) -> None:
        header = ready.header
        self.header, self._file = header, ready.memory
        self.arena = mmap.mmap(-1, header["memory_bytes"] + LINE)
        base = ctypes.addressof(ctypes.c_char.from_buffer(ready.memory))
        at, size = header["code"]
        with memoryview(ready.memory) as view:
            code = load_code(view[at : at + size], header["slots"])
        self._kernels = (ctypes.c_int64 * len(header["kernels"]))(
            *(code + offset for offset in header["kernels"])
        )
        self._fields = {
            "arena": ctypes.addressof(ctypes.c_char.from_buffer(self.arena)),
            "constants": base + header["constants"][0],
            "kernels": ctypes.addressof(self._kernels),
            "dispatch": code + header["dispatch"],
        }
        words = [base + header[f"words{thread}"][0] for thread in range(header["threads"])]
        self.close: Callable[[], object] = _nothing
        self.invoke = self._team(base, code, words) if len(words) > 1 else self._alone(words[0])
        if header["endless"]:
            from .endless import guarded  # only loops of the model need it

            own = (ctypes.c_int32 * (header["words0"][1] // 4)).from_address(words[0])
            self.invoke = guarded(self.invoke, own, header["endless"])
        self.reset()

    def reset(self) -> None:
        """Set state tensors to their initial values."""
        for offset, value in self.header["state"]:
            self.arena[offset : offset + len(value)] = value

    def _alone(self, words: int) -> Callable[[], object]:
        fields, count = self._fields, self.header["words0"][1] // 4
        places = fields["arena"], fields["constants"], words, fields["kernels"]
        self._descriptor = (ctypes.c_int64 * 6)(*places, 0, count)
        dispatch = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(fields["dispatch"])  # without the GIL
        place = ctypes.c_void_p(ctypes.addressof(self._descriptor))
        return lambda: dispatch(place)

    def _team(self, base: int, code: int, words: list[int]) -> Callable[[], object]:
        from .threads import Team

        header = self.header
        fields = self._fields | {
            "phases": base + header["phases"][0],
            "phase_count": header["phases"][1] // 16,
            "entries": base + header["entries"][0],
        }
        held = (self._file, self.arena, self._kernels)
        team = Team(fields, words, code + header["lead"], code + header["follow"], held)
        self.close = team.close
        return team.run


def _nothing() -> None:
    pass
