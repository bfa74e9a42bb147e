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

# What users want to read of a model. Hits would be a line a request, and `fell_back` has told its
# own line where it happened.
_WORDS = {
    "opened": "opened",
    "weights_arrived": "weights arrived",
    "load_failed": "could not be loaded",
    "served_uncached": "is not kept",
    "reloaded": "was loaded anew",
    "evicted": "evicted",
    "demoted": "demoted",
    "erased": "dropped",
    "reclaimed": "taken back",
    "lingering": "lingers",
    "lingering_gone": "is gone",
}


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
        with self._lock:
            for level, line in self._runtime.drain_log():
                _LOG.log(level, "%s", line)
            for event in self._runtime.cache.events(self._told, _BATCH):
                self._told = event["sequence"]
                if self._settings.trace_loads and event["kind"] in _WORDS:
                    _LOG.info("%s", describe(event))


def describe(event: Mapping[str, Any]) -> str:
    """One line for people: what, which model, why, how big, how long, and who asked."""
    size = max(event["bytes"].values(), default=0)
    facts = [f"{size / 1e9:.2f} GB"] if size else []
    if event["ms"]:
        facts.append(f"{event['ms'] / 1000:.2f} s")
    if event["node"]:
        facts.append(f"node {event['node']}")
    details = f" ({', '.join(facts)})" if facts else ""
    reason = f": {event['reason']}" if event["reason"] else ""
    return one_line(f"{event['model']} {_WORDS[event['kind']]}{reason}{details}")


def one_line(text: str) -> str:
    """The text without what ends a line or drives a terminal: names of files may hold anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class _NameFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = f"{_NAME}{record.msg}"
        return True
