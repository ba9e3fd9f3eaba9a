"""Shapes of what travels between the blocks."""

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data

from .commands import (
    ADDRESS_BITS,
    JOB_WORDS,
    LAYOUT,
    POSITION_BITS,
    ROW_BITS,
    VECTOR_LAYOUT,
    Field,
    Layout,
)
from .machine import Machine


def _job_layout(layout: Layout) -> data.StructLayout:
    """The command words laid end to end, with names for their unused bits."""
    members: dict[str, Shape] = {}
    for number, word in enumerate(layout + ((),) * (JOB_WORDS - len(layout))):
        for field in word:
            members[field.name] = _shape(field)
        if unused := 32 - sum(field.bits for field in word):
            members[f"unused_{number}"] = unsigned(unused)
    return data.StructLayout(members)


def _shape(field: Field) -> Shape:
    return signed(field.bits) if field.signed else unsigned(field.bits)


JOB = _job_layout(LAYOUT)
VECTOR_JOB = _job_layout(VECTOR_LAYOUT)  # another view of the same bits

PARAMETERS = data.StructLayout(
    # One output channel's: as wide as a block RAM goes.
    {"bias": signed(32), "multiplier": unsigned(31), "shift": signed(6)}
)


def parameter_index(machine: Machine) -> Shape:
    """Selects the parameters of a group of output channels."""
    return Shape.cast(range(machine.parameter_tiles))


def tile_layout(machine: Machine) -> data.StructLayout:
    """One pass over all output pixels with the weights of one array load."""
    return data.StructLayout(
        {
            "row": signed(ROW_BITS),  # of the image, for the first output pixel
            "row_address": unsigned(ADDRESS_BITS),  # of that row's first byte
            "position": signed(POSITION_BITS),  # of the first byte in that row
            "bytes": range(machine.rows + 1),  # of the segment; those after them are left out
            "first": unsigned(1),  # starts the sums of a group of output channels
            "last": unsigned(1),  # completes them
            "final": unsigned(1),  # ends the job
            "parameters": parameter_index(machine),
        }
    )


def tag_layout(machine: Machine) -> data.StructLayout:
    """What must be known of an activation vector when its sums come out."""
    return data.StructLayout(
        {
            "pixel": range(machine.accumulators),
            "parameters": parameter_index(machine),
            "first": unsigned(1),
            "last": unsigned(1),
            "end": unsigned(1),  # the tile's last pixel
            "final": unsigned(1),  # of the job's last tile
        }
    )
