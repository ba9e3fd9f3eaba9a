"""Firmware of a board that runs the head of a cut model and asks a gateway for the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...runtime.errors import TargetError
from ...runtime.program import Program
from ..boards import Board
from .image import Image, board_config, check_board, check_memory, link_image

FILES = ("edge.c", "setup.c", "uplink.c", "console.c")


@dataclass(frozen=True)
class Patience:
    """How long the device waits for an acknowledgement, how often it sends, and for an answer."""

    acknowledge_us: int = 1_000_000
    tries: int = 30
    answer_us: int = 60_000_000


def build_edge_image(
    head: Program, answer_bytes: int, board: Board, folder: Path, patience: Patience = Patience()
) -> Image:
    """`head` sends all its outputs and gets `answer_bytes`; `TargetError` if it does not fit."""
    check_board(head, board)
    if not head.outputs or answer_bytes < 1:
        raise TargetError("something must cross the cut, and something must come back")
    check_memory(head, board, answer_bytes)
    config = "\n".join(_config_lines(head, answer_bytes, board, patience)) + "\n"
    return link_image(head, board, folder, config, FILES)


def _config_lines(
    head: Program, answer_bytes: int, board: Board, patience: Patience
) -> Iterator[str]:
    yield from board_config(board)
    yield f"#define MIDGE_CUT_TENSORS {len(head.outputs)}"
    yield f"#define MIDGE_CUT_BYTES {sum(tensor.bytes for tensor in head.outputs)}u"
    yield f"#define MIDGE_ANSWER_BYTES {answer_bytes}u"
    yield f"#define MIDGE_UPLINK_US {patience.acknowledge_us}u"
    yield f"#define MIDGE_UPLINK_TRIES {patience.tries}"
    yield f"#define MIDGE_UPLINK_ANSWER_US {patience.answer_us}u"
