"""The wheel holds what the tree holds, and the tree is imported under one name."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("runtime", "kernels", "hw", "sim", "targets", "tools")
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
LEFT_BY_TOOLS = ("*.pyc", "*.nbi", "*.nbc", "*.o", "*.so", "*~", "*.md")  # and pages for reading


def files_to_ship() -> list[Path]:
    """The files of the package, relative to the root."""
    found = [ROOT / "__init__.py", *ROOT.glob("py.typed")]
    for folder in FOLDERS:
        found += (path for path in (ROOT / folder).rglob("*") if path.is_file())
    relative = sorted(path.relative_to(ROOT) for path in found)
    return [
        path
        for path in relative
        if not any(
            part.startswith(".") or part in ("__pycache__", "sim_build") for part in path.parts
        )
        and not any(fnmatch(path.name, pattern) for pattern in LEFT_BY_TOOLS)
    ]


def package_of(path: Path) -> str:
    return ".".join(("midge", *path.parent.parts))


def test_every_package_is_listed():
    on_disk = {package_of(path) for path in files_to_ship()}
    assert sorted(SETUPTOOLS["packages"]) == sorted(on_disk)


@pytest.mark.parametrize("package", SETUPTOOLS["packages"])
def test_every_package_has_an_init(package):
    assert ROOT.joinpath(*package.split(".")[1:], "__init__.py").is_file()


def test_every_data_file_is_covered():
    data = SETUPTOOLS["package-data"]
    missing = [
        str(path)
        for path in files_to_ship()
        if path.suffix != ".py"
        and not any(
            fnmatch(path.name, pattern)
            for pattern in data.get("*", []) + data.get(package_of(path), [])
        )
    ]
    assert not missing, f"no pattern in [tool.setuptools.package-data] ships {missing}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel built from a copy of the tree, since a build leaves its own files behind."""
    setuptools = pytest.importorskip("setuptools", minversion="77")
    del setuptools
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    top = [ROOT / name for name in ("pyproject.toml", "LICENSE", "README.md")]
    for path in [*(path for path in top if path.exists()), *(ROOT / p for p in files_to_ship())]:
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(out))
    build = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, str(source)],
        capture_output=True,
        text=True,
    )
    assert build.returncode == 0, build.stdout + build.stderr
    (built,) = out.glob("midge-*.whl")
    return built


def test_wheel_holds_every_file(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("midge/")}
    assert held == {f"midge/{path.as_posix()}" for path in files_to_ship()}


def test_wheel_runs_the_command_line(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import midge.tools.cli;"
        "print(midge.__file__); sys.exit(midge.tools.cli.main(['--help']))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[0] == str(tmp_path / "midge" / "__init__.py")


def imported_names(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.append(node.module or "")
    return names


def test_no_folder_is_imported_as_a_top_level_module():
    sources = [path for path in files_to_ship() if path.suffix == ".py"]
    sources += [path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py")]
    wrong = [
        f"{path}: {name}"
        for path in sources
        for name in imported_names(ast.parse((ROOT / path).read_text(), filename=str(path)))
        if name.split(".")[0] in (*FOLDERS, "tests")
    ]
    assert not wrong


def test_no_module_is_loaded_under_a_second_name():
    """A second copy of a module has classes that `isinstance` does not know."""
    ours = {ROOT / path: path for path in files_to_ship()}
    twins = [
        name
        for name, module in list(sys.modules.items())
        if (file := getattr(module, "__file__", None))
        and Path(file) in ours
        and name.split(".")[0] != "midge"
        and name != "__main__"
    ]
    assert not twins
