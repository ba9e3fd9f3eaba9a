"""A Ray to work with: the cluster that is there, or a local one."""

from __future__ import annotations

from typing import Any

from ...runtime.errors import ToolError

ATTEMPTS = 3  # Ray gives a local start 30 s, which a busy machine may miss


def start(ray: Any) -> None:
    """Connect, or start a local Ray; nothing is done if this process has one."""
    for attempt in range(1, ATTEMPTS + 1):
        if ray.is_initialized():
            return
        try:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        except Exception as error:  # what Ray raises here has no class of its own
            ray.shutdown()
            if attempt == ATTEMPTS:
                why = str(error).partition(". ")[0]
                raise ToolError(f"Ray did not start: {why}; try `ray start --head`") from None
