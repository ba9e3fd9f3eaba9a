"""The whole road on one screen: model file -> graph -> schedule -> program."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from . import room
from .backend import Backend, find_backend
from .errors import PlanError, Refusal, UnsupportedModel
from .feeding import FEED, feed_call, feed_input
from .flash import check_flash, spend
from .frames import take_frames
from .graph import Graph, Node
from .importers import read_model
from .limits import in_memories, within
from .lowering import NUMPY_CALL, Lowered
from .options import Options
from .order import best_order
from .passes import PASSES
from .passes.by_winograd import by_winograd
from .passes.fold_constants import Evaluate, fold_constants
from .passes.strip_border import strip_border
from .places import is_view
from .planner import MOST_EXTRA, Planner
from .program import Program
from .rounding import in_fixed_point
from .strips import Point
from .verify import verify
from .while_loop import WHILE, in_parts, lower_while


def compile_model(
    source: str | Path | bytes,
    target: str = "host",
    options: Options | None = None,
    input_shapes: Mapping[int, Sequence[int]] | None = None,
) -> Program:
    """Compile a model file, or its content, for a target."""
    graph = read_model(source, input_shapes)
    name = "model" if isinstance(source, bytes) else str(source)
    return compile_graph(graph, target, options or Options(), name)


def compile_graph(
    graph: Graph, target: str = "host", options: Options | None = None, name: str = "model"
) -> Program:
    """Compile an imported graph for a target."""
    program = _compile_graph(graph, target, options or Options(), name)
    if options is not None and options.flash is not None:
        check_flash(len(program.constants), options.flash)
    return program


def _compile_graph(graph: Graph, target: str, options: Options, name: str) -> Program:
    backend = find_backend(target)
    graph = _by_rule_of(backend, rewrite(graph, options), options)
    refuse_unsupported(graph, backend, name)
    if options.frames is not None:
        graph = verify(take_frames(graph, options.frames, _evaluate()))
    graph = graph if options.segments else best_order(graph)
    own = backend.strategy
    if own is None and (options.input_by_row or options.strategy not in (None, "layers")):
        raise PlanError(
            f"target {target} takes whole inputs and runs layer by layer only; leave out "
            + ("input by row" if options.input_by_row else f"strategy {options.strategy!r}")
        )
    _check_extra_macs(options, own is not None, target)
    _check_memories(options, backend)
    _check_loops(graph, options)
    planner = _planner(feed_input(graph) if options.input_by_row else graph, backend, options)
    if options.segments:
        return planner.segments(options.segments)
    whole = own is not None and not options.input_by_row
    by_row = partial(_fed_planner, graph, backend, options) if whole else None
    fastest_first = ("layers", "rows") if own is not None else ("layers",)
    chosen = fastest_first if options.strategy is None else (options.strategy,)
    if options.memories:
        kinds = ("rows",) if options.input_by_row and options.strategy is None else chosen
        fewest = own == "auto" or options.input_by_row
        return in_memories(planner, kinds, options.max_extra_macs, by_row, fewest)
    if options.ram is not None:
        most = options.max_extra_macs
        if most is None:
            most = MOST_EXTRA if own is not None and options.strategy is None else 0.0
        return within(planner, options.ram, chosen, most, by_row)
    # A ring for the input is the very reason to feed it by row.
    wanted = "rows" if options.input_by_row else "auto" if options.max_extra_macs else own
    return planner.plan(options.strategy or wanted or "layers", options.max_extra_macs)


def pareto_curve(
    source: str | Path | bytes,
    target: str,
    options: Options,
    most_extra: float = 1.0,
    patches: bool = False,
) -> list[Point]:
    """Bytes of arena against extra arithmetic: see `Planner.pareto`, or `Planner.in_patches`.

    The input comes by row, or lies in the arena, as the options say; of two curves for one picture
    ask twice.
    """
    backend = find_backend(target)
    graph = _by_rule_of(backend, rewrite(read_model(source), options), options)
    refuse_unsupported(graph, backend, "model" if isinstance(source, bytes) else str(source))
    graph = best_order(graph)
    graph = feed_input(graph) if options.input_by_row else graph
    planner = _planner(graph, backend, options)
    return planner.in_patches(most_extra) if patches else planner.pareto(most_extra)


def _by_rule_of(backend: Backend, graph: Graph, options: Options) -> Graph:
    """The graph with the rounding that the target has, or that all have."""
    if backend.rounds_in_floats and not options.fixed_point:
        return graph
    return in_parts(in_fixed_point(graph), in_fixed_point)


def _check_extra_macs(options: Options, streams: bool, target: str) -> None:
    extra = options.max_extra_macs or 0.0
    if not 0 <= extra < math.inf:
        raise PlanError(f"max extra MACs must be a part of the model's, 0 or more, not {extra}")
    if extra and not streams:
        raise PlanError(f"target {target} computes nothing twice; leave out max extra MACs")
    if extra and options.strategy == "layers":
        raise PlanError("layer by layer nothing is computed twice; leave out max extra MACs")


def _check_memories(options: Options, backend: Backend) -> None:
    if not options.memories:
        return
    if options.ram is not None:
        raise PlanError("--ram limits one memory, --memory each of several; say one of the two")
    if not backend.several_memories:
        raise PlanError(f"target {backend.name} has one memory; leave out --memory")
    names = [grant.name for grant in options.memories]
    plain = all(re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) for name in names)
    if not plain or len({name.lower() for name in names}) < len(names):
        raise PlanError(
            "the memories need different names of ASCII letters, digits and _, in either case, not "
            + ", ".join(map(repr, names))
        )
    if any(grant.bytes <= 0 for grant in options.memories):
        raise PlanError("a memory has one byte or more; leave those out that have none")


def _check_loops(graph: Graph, options: Options) -> None:
    if not any(node.op == WHILE for node in graph.nodes):
        return
    for asked, name in ((options.input_by_row, "input by row"), (options.memories, "--memory")):
        if asked:
            raise PlanError(
                "the model has a loop that asks while it runs whether it goes on, or a "
                "CIRCULAR_BUFFER that ends inferences; such a model is planned for whole inputs in "
                f"one memory: leave out {name}"
            )


def _planner(graph: Graph, backend: Backend, options: Options) -> Planner:
    lower = partial(lower_nodes, backend=backend, flash=options.flash)
    return Planner(
        graph,
        lower(graph),
        backend.name,
        backend.alignment,
        options.exact,
        options.overlap,
        options.apart,
        lower,
        spare=_spare(backend, options),
        memories=options.memories,
    )


def _spare(backend: Backend, options: Options) -> Callable[[int], int]:
    """How many bytes faster kernels may have."""
    if options.frugal:
        return room.none
    hurried = options.strategy in (None, "layers", "fast") and not options.input_by_row
    if backend.strategy == "auto":  # a microcontroller
        return room.a_few if options.flash is None else room.more
    return room.plenty if hurried else room.some


def _fed_planner(graph: Graph, backend: Backend, options: Options) -> Planner | None:
    """For a plan that takes its input by row; None if the model has none that could be taken so."""
    try:
        return _planner(feed_input(graph), backend, options)
    except PlanError:
        return None


def lower_nodes(graph: Graph, backend: Backend, flash: int | None = None) -> dict[int, Lowered]:
    """The kernel call of each node, in order, that of an input fed by row first.

    Reshapes need none. What is to spare of so many bytes of `flash` goes to faster calls.
    """
    feeds = [i for i, node in enumerate(graph.nodes) if node.op == FEED]
    calls = {
        i: feed_call(graph, node, backend.progress_bytes if i == feeds[0] else 0)
        if node.op == FEED
        else lower_node(graph, node, backend)
        for i, node in enumerate(graph.nodes)
        if not is_alias(graph, i)
    }
    calls = calls if flash is None else spend(calls, flash)
    last = len(graph.nodes) - 1
    return {last: calls.pop(last)} | calls if feeds == [last] else calls


def lower_node(graph: Graph, node: Node, backend: Backend) -> Lowered:
    """The kernel call of a node; that of a loop is two programs, planned layer by layer."""
    if node.op != WHILE:
        return backend.lower(graph, node)
    parts = [
        replace(_planner(best_order(part), backend, Options()).plan("layers"), name=name)
        for part, name in zip(node.attrs.parts, ("condition", "body"), strict=True)
    ]
    native = all(call.kernel != NUMPY_CALL for part in parts for call in part.calls())
    return lower_while(graph, node, parts) if native else backend.lower(graph, node)


def rewrite(graph: Graph, options: Options) -> Graph:
    """All passes, the graph verified after each; in the parts of loops, too."""
    graph = in_parts(graph, lambda part: rewrite(part, replace(options, int8_io=False)))
    graph = verify(fold_constants(verify(graph), _evaluate()))
    for apply in PASSES:
        graph = verify(apply(graph))
    if options.winograd:
        graph = verify(by_winograd(graph))
    return verify(strip_border(graph)) if options.int8_io else graph


def _evaluate() -> Evaluate:
    """The arithmetic of the reference."""
    return find_backend("reference").evaluate  # type: ignore[attr-defined]


def refuse_unsupported(graph: Graph, backend: Backend, name: str) -> None:
    """Raise with every node that the backend refuses."""
    found = list(_refused(graph, backend))
    if found:
        raise UnsupportedModel(name, found, by=f"target {backend.name}")


def _refused(graph: Graph, backend: Backend) -> Iterator[Refusal]:
    for index, node in enumerate(graph.nodes):
        if node.op != "reshape" and is_alias(graph, index):  # a part of a tensor has no kernel
            continue
        refusal = backend.refuse(graph, node)
        found = [] if refusal is None else [refusal]
        if node.op == WHILE and not found:
            found = [refusal for part in node.attrs.parts for refusal in _refused(part, backend)]
        # Passes move nodes, and a loop's parts have their own; the user knows the file's numbers.
        number = index if node.origin is None else node.origin
        yield from (replace(refusal, node=number) for refusal in found)


def is_alias(graph: Graph, index: int) -> bool:
    """True for a reshape or a part of an activation: the same bytes seen otherwise, no call."""
    return is_view(graph, graph.nodes[index])
