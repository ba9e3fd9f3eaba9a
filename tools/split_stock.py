"""Our client against a stock server: MLServer, which hosts the exported tail in ONNX Runtime.

    python -m midge.tools.split_stock digits --cut 6 --form exact --mlserver VENV/bin/mlserver

MLServer and ONNX Runtime live in an environment of their own (pip install mlserver onnxruntime). It
is started on the loopback, asked, and stopped; one JSON object says how far its answers were off.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ..runtime.backend import find_backend
from ..runtime.errors import ExecutionError
from ..runtime.pipeline import compile_graph
from ..targets.split.client import EdgeClient, LinkError
from ..targets.split.cut import cut_at
from ..targets.split.executor import SplitExecutor
from ..targets.split.onnx_tail import FORMS
from .arguments import random_inputs
from .cli import parse_and_run
from .split_plan import graph_of
from .zoo import OWN

READY_S = 120.0


def ask(model: str, cut: int, address: str, count: int) -> dict[str, object]:
    """`count` inputs (real digits for the digit model, else random ones) through one cut."""
    graph = graph_of(model)
    local = find_backend("host").build(compile_graph(graph))
    client = EdgeClient(address, "tail", deadline_s=60, checked=False)
    split = SplitExecutor(graph, cut_at(graph, cut), client)
    digits = np.load(OWN / "digits_inputs.npy") if model == "digits" else np.zeros((0,))
    remote, equal, worst = 0, 0, 0.0
    for number in range(count):
        known = number < len(digits)
        given = [digits[number : number + 1]] if known else random_inputs(graph, number)
        answers, expected = split.run(given), local.run(given)
        remote += split.exchange is not None and split.exchange.error is None
        far = [
            float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max(initial=0))
            for a, b in zip(answers, expected, strict=True)
        ]
        worst, equal = max(worst, *far), equal + (max(far) == 0)
    split.close()
    return {"inputs": count, "answered_there": remote, "equal_bits": equal, "worst": worst}


def wait_until_ready(address: str, process: subprocess.Popen[bytes]) -> None:
    """Until the server tells about the model; `ExecutionError` if it ends or never does."""
    from ..targets.split.protocol import messages

    ends = time.monotonic() + READY_S
    client = EdgeClient(address, "tail", deadline_s=1.0)
    while process.poll() is None and time.monotonic() < ends:
        try:
            client._call("ModelMetadata", messages.ModelMetadataRequest(name="tail"))
            break
        except LinkError:
            time.sleep(0.5)
    else:
        raise ExecutionError(f"MLServer did not serve the tail within {READY_S:.0f} s")
    client.close()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--cut", type=int, required=True)
    parser.add_argument("--form", choices=FORMS, default="exact")
    parser.add_argument("--mlserver", default="mlserver", help="its command")
    parser.add_argument("--port", type=int, default=8081)
    parser.add_argument("--inputs", type=int, default=100)
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="midge-mlserver-") as folder:
        where = ["--mlserver", str(Path(folder)), "--port", str(args.port), "--form", args.form]
        parse_and_run(["split", "export-tail", args.model, "--cut", str(args.cut), *where])
        quiet = subprocess.DEVNULL
        process = subprocess.Popen([args.mlserver, "start", folder], stdout=quiet, stderr=quiet)
        try:
            wait_until_ready(f"127.0.0.1:{args.port}", process)
            told = ask(args.model, args.cut, f"127.0.0.1:{args.port}", args.inputs)
        finally:
            process.terminate()
            process.wait()
    print(json.dumps({"model": args.model, "cut": args.cut, "form": args.form, **told}))
    return int(told["answered_there"] != args.inputs)


if __name__ == "__main__":
    sys.exit(main())
