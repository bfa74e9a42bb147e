"""hearth's log lines where ComfyUI's users look: in Python's logging, with hearth's name."""

from __future__ import annotations

import logging
from typing import Any

_LOG = logging.getLogger("hearth")
_NAME = "hearth: "


def name_lines() -> None:
    """Has every line begin with hearth's name, which ComfyUI's log format leaves out."""
    if not any(isinstance(each, _NameFilter) for each in _LOG.filters):
        _LOG.addFilter(_NameFilter())


def drain(runtime: Any) -> None:
    """Writes what the native side has logged since the last call."""
    for level, line in runtime.drain_log():
        _LOG.log(level, "%s", line)


class _NameFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = f"{_NAME}{record.msg}"
        return True
