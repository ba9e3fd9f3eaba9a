"""Operators of a user's own, as docs/custom-operators.md has them, by entry point and by file."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from flatbuffers import flexbuffers
from onnx import TensorProto, helper
from tflite_writer import ModelBuilder

from midge.kernels import table
from midge.runtime import custom
from midge.runtime.backend import find_backend
from midge.runtime.errors import MidgeError, MissingTool, UnsupportedModel
from midge.runtime.ops import OPERATORS
from midge.runtime.pipeline import compile_model
from midge.tools.cli import parse_and_run

PAGE = Path(__file__).parent.parent / "docs" / "custom-operators.md"
FILES = ("soft_shrink.py", "soft_shrink_native.py", "soft_shrink.c")
SHAPE, ZERO_POINT, BY = (1, 4, 5, 3), -7, 9


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing that another test brought, and nothing left."""
    monkeypatch.setattr(custom, "_found", {})
    monkeypatch.setattr(custom, "_read", set())
    monkeypatch.setenv(custom.VARIABLE, "")
    for module in [name for name in sys.modules if "soft_shrink" in name or "midge_oper" in name]:
        monkeypatch.delitem(sys.modules, module)
    known = set(OPERATORS)
    yield
    for op in set(OPERATORS) - known:
        OPERATORS.pop(op)  # type: ignore[attr-defined]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The blocks of the page, as files."""
    for block in re.findall(r"```(?:python|c)\n(.*?)```", PAGE.read_text(), re.DOTALL):
        name = re.search(r"[\w]+\.\w+", block).group()  # type: ignore[union-attr]
        (tmp_path / name).write_text(block)
    assert all((tmp_path / name).is_file() for name in FILES)
    return tmp_path


@pytest.fixture
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same as a package that was installed."""
    entry = re.search(r"\[project\.entry-points[^\n]*\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert entry is not None
    metadata = folder / "soft_shrink-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: soft-shrink\nVersion: 1.0\n")
    line = entry.group(1).replace('"', "")
    (metadata / "entry_points.txt").write_text(f"[{custom.GROUP}]\n{line}")
    monkeypatch.syspath_prepend(folder)
    return folder


def soft_shrink(by: int = BY) -> bytes:
    builder = flexbuffers.Builder()
    with builder.Map():
        builder.Int("by", by)
    model = ModelBuilder()
    x, y = (model.tensor(SHAPE, "int8", 0.1, ZERO_POINT) for _ in range(2))
    options = bytes(builder.Finish())
    model.node("CUSTOM", [x], [y], custom_code="SoftShrink", custom_options=options)
    return model.build([x], [y])


def shrunk(x: np.ndarray) -> np.ndarray:
    value = x.astype(int) - ZERO_POINT
    return (np.sign(value) * np.maximum(abs(value) - BY, 0) + ZERO_POINT).astype(np.int8)


def soft_shrink_of_onnx() -> bytes:
    """Of numbers that QuantizeLinear makes, in a domain of one's own."""
    numbers = [
        helper.make_tensor("scale", TensorProto.FLOAT, (), [0.1]),
        helper.make_tensor("zero", TensorProto.INT8, (), [ZERO_POINT]),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("SoftShrink", ["q"], ["s"], domain="mine", by=BY),
        helper.make_node("DequantizeLinear", ["s", "scale", "zero"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, SHAPE) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "one", ends[:1], ends[1:], numbers)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("mine", 1)]
    return bytes(helper.make_model(graph, opset_imports=opsets).SerializeToString())


@pytest.mark.parametrize("target", ["reference", "host", "cortex-m4"])
def test_an_operator_of_onnx_runs_too(installed: Path, target: str) -> None:
    x = np.random.default_rng(4).uniform(-9, 9, SHAPE).astype(np.float32)
    program = compile_model(soft_shrink_of_onnx(), target)
    assert "soft_shrink_s8" in {call.kernel for call in program.calls()}
    try:
        executor = find_backend(target).build(program)
    except MissingTool as error:
        pytest.skip(str(error))
    (found,) = executor.run([x])
    executor.close()
    q = np.clip(np.rint(x / np.float32(0.1)) + ZERO_POINT, -128, 127)
    wanted = (shrunk(q).astype(np.int32) - ZERO_POINT).astype(np.float32) * np.float32(0.1)
    np.testing.assert_array_equal(found, wanted)


def test_an_operator_of_onnx_that_nobody_brought() -> None:
    with pytest.raises(UnsupportedModel, match=r"SoftShrink.*docs/custom-operators\.md"):
        compile_model(soft_shrink_of_onnx(), "reference")


@pytest.mark.parametrize("target", ["reference", "host", "cortex-m4", "cortex-m0", "fpga-sim"])
def test_an_installed_operator_runs_everywhere(installed: Path, target: str) -> None:
    x = np.random.default_rng(3).integers(-128, 128, SHAPE).astype(np.int8)
    program = compile_model(soft_shrink(), target)
    assert all(call.kernel == "soft_shrink_s8" for call in program.calls())
    try:
        executor = find_backend(target).build(program)
    except MissingTool as error:
        pytest.skip(str(error))
    with_program = executor.run([x])
    executor.close()
    np.testing.assert_array_equal(with_program[0], shrunk(x))


def test_a_file_by_its_name(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(soft_shrink())
    arguments = ["run", str(model), "--operators", str(folder / "soft_shrink.py"), "--target"]
    answers = {target: parse_and_run([*arguments, target]) for target in ("reference", "host")}
    assert len({answer["output_sha256"] for answer in answers.values()}) == 1


def test_a_saved_program_wants_its_operators_again(installed: Path) -> None:
    from midge.runtime.program_file import from_bytes, to_bytes

    content = to_bytes(compile_model(soft_shrink(), "reference"))
    assert from_bytes(content, "program").graph.nodes[0].attrs["by"] == BY


def test_check_tells_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(soft_shrink(by=-1))
    check = ["check", str(model), "--target", "cortex-m4"]
    (unknown,) = parse_and_run(check)["refused"]
    assert unknown["operator"] == "SoftShrink"
    assert "docs/custom-operators.md" in unknown["remedy"]
    (broken,) = parse_and_run([*check, "--operators", str(folder / "soft_shrink.py")])["refused"]
    assert broken["why"] == "SoftShrink must have an option `by` that is 0 or more."


def test_without_a_c_file_microcontrollers_refuse_it(installed: Path) -> None:
    path = installed / "soft_shrink.py"
    text = path.read_text().replace('        c=HERE / "soft_shrink.c",\n', "")
    path.write_text(text.replace("native=HERE", "native=None and HERE"))
    with pytest.raises(UnsupportedModel, match="there is no C kernel soft_shrink_s8"):
        compile_model(soft_shrink(), "cortex-m4")
    program = compile_model(soft_shrink(), "host")
    assert [call.kernel for call in program.calls()] == ["in_numpy"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "no such Python file"),
        ("1 / 0", "ZeroDivisionError"),
        ("", "no list OPERATORS"),
        ("OPERATORS = [1]", "no midge.kernels.custom.CustomOperator"),
    ],
)
def test_a_file_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, why: str
) -> None:
    path = tmp_path / "mine.py"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv(custom.VARIABLE, str(path))
    with pytest.raises(MidgeError, match=why):
        compile_model(soft_shrink(), "reference")


def test_two_operators_with_kernels_of_one_name(installed: Path) -> None:
    path = installed / "soft_shrink.py"
    text = f"from dataclasses import replace\n{path.read_text()}"
    path.write_text(f"{text}OPERATORS.append(replace(OPERATORS[0], name='Twin'))\n")
    with pytest.raises(MidgeError, match="kernels of one name"):
        compile_model(soft_shrink(), "reference")
    assert table.operation_of("custom.Twin") is None
