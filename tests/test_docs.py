"""Generated pages say what the code says, and the README's commands exist."""

from __future__ import annotations

import re
from pathlib import Path

from midge.tools.cli import VERBS
from midge.tools.operators_page import PAGE, page

README = Path(__file__).parent.parent / "README.md"


def test_the_operators_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run python -m midge.tools.operators_page"


def test_every_verb_of_the_readme_exists() -> None:
    text = README.read_text()
    assert "make demo" in text and "make test" in text
    named = set(re.findall(r"^midge (\w+)", text, re.MULTILINE))
    assert named and named <= set(VERBS)


def test_files_that_the_readme_names_exist() -> None:
    for path in re.findall(r"\]\(([\w/.]+)\)", README.read_text()):
        assert (README.parent / path).exists(), path
