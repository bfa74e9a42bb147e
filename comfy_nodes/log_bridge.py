"""Native log lines into Python's logging, where ComfyUI's users look."""

from __future__ import annotations

import logging
from typing import Any

_LOG = logging.getLogger("hearth")


def drain(runtime: Any) -> None:
    """Writes what the native side has logged since the last call."""
    for level, line in runtime.drain_log():
        _LOG.log(level, "%s", line)
