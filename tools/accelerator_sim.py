"""One inference in the accelerator's simulation: what was counted beside what the compiler expects.

The accelerator counts a stretch of layers as a whole, from start to interrupt. What a layer of it
takes is counted too: afterwards its jobs run again one by one, and take together what they took.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from ..hw.jobs import AnyJob, Job
from ..hw.machine import TAPS, Machine
from ..runtime.errors import TargetError
from ..runtime.graph import Node
from ..runtime.ops import macs
from ..runtime.program import Call, Program
from .arguments import compile_for, load_inputs
from .roofline_page import roofline_page

if TYPE_CHECKING:
    from ..sim.waves import Wish

BEAT_BYTES = 4  # of the AXI master, at most one a cycle


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Run the model once on `fpga-sim`, on random input; the counts do not depend on it."""
    from ..sim.cxxrtl import QUICK
    from ..sim.waves import OBSERVED, parse_wish
    from ..targets.fpga.backend import FpgaExecutor

    wish = parse_wish(args.wave) if args.wave else None
    program = compile_for(args, "fpga-sim")
    machine = Machine(rows=args.rows, columns=args.columns)
    executor = FpgaExecutor(program, machine, recipe=OBSERVED if wish else QUICK)
    try:
        inputs = load_inputs(program.graph, None, 0)
        wave = None
        if wish:
            wave = _record(executor, inputs, wish, Path(args.output or f"{wish.block}.vcd"))
        else:
            executor.run(inputs)
        result = describe(executor)
    finally:
        executor.close()
    if args.html:
        page = roofline_page(result, Path(args.model).name)
        Path(args.html).write_text(page, encoding="utf-8")
    return result | {"wave": wave, "html": args.html}


def _record(executor: Any, inputs: Any, wish: Wish, path: Path) -> dict[str, Any]:
    """Run with a waveform; where it is, and in which of its cycles each part ran."""
    from ..sim.waves import recording

    if executor.board is None:
        raise TargetError("nothing of this model runs on the accelerator: there is no waveform")
    start = executor.board.cycles
    with recording(executor.board, wish, path) as signals:
        executor.run(inputs)
    return {
        "block": wish.block,
        "signals": len(signals),
        "file": str(path),
        "view": str(path.with_suffix(".gtkw")),
        "parts": [
            {"calls": list(cost.items), "cycles": [at - start for at in cost.span]}
            for cost in executor.costs
            if cost.cycles
        ],
    }


def describe(executor: Any) -> dict[str, Any]:
    """The answer of `midge sim` from an `FpgaExecutor` that has run; runs its jobs once more."""
    machine: Machine = executor.machine
    layers = list(_layers(executor))
    cycles = sum(cost.cycles for cost in executor.costs)
    counters = [cost.counters for cost in executor.costs if cost.counters]
    chip = [layer for layer in layers if layer["engine"] != "host"]
    on_array = sum(layer["macs"] for layer in chip if layer["engine"] == "array")
    products = sum(layer["macs"] for layer in chip)
    return {
        "target": "fpga-sim",
        "rows": machine.rows,
        "columns": machine.columns,
        "cycles": cycles,
        "modelled_cycles": modelled(executor),
        "stretch_cycles": sum(counter.cycles for counter in counters),
        "busy_cycles": sum(counter.busy for counter in counters),
        "memory_bytes_per_cycle": BEAT_BYTES,
        "macs": products,
        "macs_per_cycle": products / cycles if cycles else None,
        "utilisation": on_array / (cycles * machine.rows * machine.columns) if cycles else None,
        "stalls": {
            "memory": sum(counter.memory_stalls for counter in counters),
            "engine": sum(counter.engine_stalls for counter in counters),
        },
        "layers": layers,
        "remarks": [*executor.remarks, *_about_tiles(executor)],
    }


def modelled(executor: Any) -> int:
    """Cycles of an inference by the cost model, as those that are counted: with the transfers of a
    stretch, without those of a layer in tiles."""
    from ..targets.fpga.backend import Resident
    from ..targets.fpga.cost import estimate_cycles, estimate_run

    cycles = 0
    for part in executor.parts:
        if isinstance(part, Resident):
            cycles += estimate_run(part.stretch)
        else:
            jobs = [job for tile in executor.tiles.get(part, ()) for job in tile.jobs]
            cycles += sum(estimate_cycles(job, executor.machine) for job in jobs)
    return cycles


def _about_tiles(executor: Any) -> list[str]:
    number = sum(part in executor.tiles for part in executor.parts if isinstance(part, int))
    why = "too large for a stretch: of these the jobs are counted, not the transfers"
    return [f"{number} layer(s) ran in tiles, {why}"] if number else []


def _layers(executor: Any) -> Iterator[dict[str, Any]]:
    from ..targets.fpga.backend import Resident

    program, machine = executor.program, executor.machine
    for part, cost in zip(executor.parts, executor.costs, strict=True):
        counted = executor.count_jobs(part) if isinstance(part, Resident) else []
        for number in cost.items:
            item = program.items[number]
            if isinstance(part, Resident):
                stretch = part.stretch
                own = [at for at, node in enumerate(stretch.nodes) if node == item.node]
                jobs = [stretch.jobs[at] for at in own]
                cycles = sum(counted[at] for at in own)
                yield _layer(program, item.node, jobs, machine, cycles)
            elif number in executor.tiles:
                jobs = [job for tile in executor.tiles[number] for job in tile.jobs]
                yield _layer(program, item.node, jobs, machine, cost.cycles)
            else:
                calls = (item,) if isinstance(item, Call) else item.body
                for node in dict.fromkeys(call.node for call in calls):
                    yield _layer(program, node, [], machine, None)


def _layer(
    program: Program, number: int, jobs: list[AnyJob], machine: Machine, counted: int | None
) -> dict[str, Any]:
    """A layer's row. `utilisation` is of the multipliers of the engine that it runs on."""
    from ..targets.fpga.cost import estimate_cycles

    node = program.graph.nodes[number]
    products = macs(program.graph, node)
    modelled = sum(estimate_cycles(job, machine) for job in jobs) if jobs else None
    engine = "host" if not jobs else "array" if isinstance(jobs[0], Job) else "vector"
    multipliers = (TAPS if engine == "vector" else machine.rows) * machine.columns
    return {
        "node": number,
        "operator": node.op,
        "name": node.name or program.graph.output(node).name,
        "engine": engine,
        "macs": products,
        "bytes": _moved(program, node),
        "modelled_cycles": modelled,
        "counted_cycles": counted,
        "macs_per_cycle": products / counted if counted and products else None,
        "utilisation": products / counted / multipliers if counted and products else None,
    }


def _moved(program: Program, node: Node) -> int:
    """Bytes of the layer's inputs, outputs and constants, each once."""
    present = {index for index in (*node.operands, *node.outputs) if index is not None}
    return sum(program.graph.tensors[index].bytes for index in present)


def show(result: dict[str, Any], console: Console) -> None:
    """A row a layer, then the totals."""
    titles = ("node", "operator", "engine", "MACs", "cycles, modelled", "cycles, counted",
              "MACs/cycle", "use of engine")  # fmt: skip
    table = Table(*titles)
    for layer in result["layers"]:
        table.add_row(
            str(layer["node"]), layer["operator"], layer["engine"], f"{layer['macs']:,}",
            _number(layer["modelled_cycles"]), _number(layer["counted_cycles"]),
            _number(layer["macs_per_cycle"], ".1f"), _number(layer["utilisation"], ".0%"),
        )  # fmt: skip
    console.print(table)
    size = f"{result['rows']}x{result['columns']}"
    if not result["cycles"]:
        console.print(f"nothing ran on the accelerator ({size}): the host runs every layer")
        return
    console.print(
        f"counted ({size}): {result['cycles']:,} cycles, {result['macs_per_cycle']:.1f} MACs a "
        f"cycle, {result['utilisation']:.1%} of the array's multiplications; "
        f"modelled: {result['modelled_cycles']:,} cycles",
        highlight=False,
    )
    console.print(
        f"counted: a job ran in {result['busy_cycles']:,} cycles; the queue waited "
        f"{result['stalls']['memory']:,} for memory and {result['stalls']['engine']:,} for the "
        "engine to finish or take jobs (layers in tiles left out)",
        highlight=False,
    )
    for remark in result["remarks"]:
        console.print(remark, markup=False)
    if result["wave"]:
        _show_wave(result["wave"], console)


def _show_wave(wave: dict[str, Any], console: Console) -> None:
    for part in wave["parts"]:
        calls, (began, ended) = part["calls"], part["cycles"]
        console.print(
            f"calls {calls[0]} to {calls[-1]}: cycles {began:,} to {ended:,} of the waveform, "
            "loading of weights and the processor's accesses included",
            highlight=False,
        )
    console.print(
        f"{wave['file']}: {wave['signals']} signals of {wave['block']}; gtkwave {wave['view']}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _number(value: float | None, form: str = ",") -> str:
    return "" if value is None else format(value, form)
