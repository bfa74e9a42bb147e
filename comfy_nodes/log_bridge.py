"""hearth's log lines where ComfyUI's users look: in Python's logging, with hearth's name."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from .settings import Settings

_LOG = logging.getLogger("hearth")
_NAME = "hearth: "
_BATCH = 1000


def name_lines() -> None:
    """Has every line begin with hearth's name, which ComfyUI's log format leaves out."""
    if not any(isinstance(each, _NameFilter) for each in _LOG.filters):
        _LOG.addFilter(_NameFilter())


class LogBridge:
    """Writes what the native side logged, and a line for each event of a model. Thread-safe."""

    def __init__(self, runtime: Any, settings: Settings) -> None:
        self._runtime = runtime
        self._settings = settings
        self._lock = threading.Lock()
        self._told = 0

    def follow(self, config: Mapping[str, Any]) -> None:
        """Has `log.level` count for hearth's Python lines too; the native side keeps its own."""
        _LOG.setLevel(str(config["log"]["level"]).upper())

    def drain(self) -> None:
        """Writes all that is new since the last call."""
        # Here: name_lines() is called where hearth is not built, too.
        from hearth.event_text import describe, is_told

        with self._lock:
            for level, line in self._runtime.drain_log():
                _LOG.log(level, "%s", line)
            for event in self._runtime.cache.events(self._told, _BATCH):
                self._told = event["sequence"]
                if self._settings.trace_loads and is_told(event):
                    _LOG.info("%s", describe(event))


class _NameFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = f"{_NAME}{record.msg}"
        return True
