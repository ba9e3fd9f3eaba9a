"""The file in which `midge tune` keeps the fastest kernel of each layer on this machine.

It lies beside the caches, one for these sources and this processor: another version finds none, and
takes its defaults. What it says is part of every plan's name in the cache. Kernels to choose from
give the same bits, so that no content of the file can change an answer.
"""

from __future__ import annotations

import os

from .folders import plans_folder
from .surroundings import surroundings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def tuned_path() -> str:
    """Where the file is, or would be."""
    name = surroundings(("runtime", "kernels"), ("numba", "ortools"))[:24]
    return os.path.join(os.path.dirname(plans_folder()), f"tune-{name}.json")


def tuned_content() -> bytes:
    """What it says; nothing if there is none."""
    try:
        with open(tuned_path(), "rb") as file:
            return file.read()
    except OSError:
        return b""


def tuned_choices() -> Mapping[str, str]:
    """Layer -> name of the kernel to take. `ProgramError` for a file that says something else."""
    content = tuned_content()
    if not content:
        return {}
    import json  # of use to planning alone

    from .errors import ProgramError

    try:
        choices = json.loads(content)
    except ValueError:
        choices = None
    if not isinstance(choices, dict) or not all(isinstance(v, str) for v in choices.values()):
        raise ProgramError(
            f"{tuned_path()}: not what `midge tune` writes, the file is damaged; remove it, "
            "or run `midge tune` again"
        )
    return choices


def keep_choices(choices: Mapping[str, str]) -> str:
    """Write the file anew, in one step; answers where it is."""
    import json
    import tempfile

    path = tuned_path()
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix="tune-")
    with os.fdopen(handle, "w") as file:
        json.dump(dict(sorted(choices.items())), file, indent=1)
    os.replace(name, path)
    return path
