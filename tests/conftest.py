"""What all tests share: the folder of other people's models, and a cache that stays."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent

# Compiled kernels are kept between runs, but apart from the user's own.
os.environ.setdefault("MIDGE_CACHE", str(ROOT / ".pytest_cache" / "midge"))

# A change passes or fails by what it changes: CI draws the same examples each time, people's own
# runs draw new ones. Compiling kernels in an example takes what it takes, so there is no deadline.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
hypothesis.settings.register_profile("people", deadline=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "people")

# Test argument -> files in the shared folder; the test runs once for each.
SHARED_FILES = {
    "shared_model": "models/*.tflite",
    "seanet_model": "op_tests/seanet/*/*.tflite",
    "larq_model": "*/larq/*.tflite",
}


def shared_folder() -> Path | None:
    """`$MIDGE_SHARED`, else `shared` beside the repository; None where there is neither."""
    folder = Path(os.environ.get("MIDGE_SHARED") or ROOT.parent / "shared")
    return folder if folder.is_dir() else None


WHY_SKIPPED = "needs the shared folder: set MIDGE_SHARED, or put it beside the repository"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared folder; the test is skipped where it is missing."""
    folder = shared_folder()
    if folder is None:
        pytest.skip(WHY_SKIPPED)
    return folder


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for argument, pattern in SHARED_FILES.items():
        if argument in metafunc.fixturenames:
            folder = shared_folder()
            found = sorted(folder.glob(pattern)) if folder else []
            if found:
                metafunc.parametrize(argument, found, ids=lambda path: path.stem)
            else:
                missing = pytest.param(None, marks=pytest.mark.skip(reason=WHY_SKIPPED))
                metafunc.parametrize(argument, [missing], ids=["none"])
