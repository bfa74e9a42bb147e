"""The trace of loads while workflows run: the lines that ComfyUI's log would have."""

from __future__ import annotations

import logging
import sys

import hearth
from hearth.event_text import describe, is_told, one_line
from hearth.headless.executor import RunRecord


def tell(record: RunRecord) -> None:
    """Writes what the native side logged, and a line for each event of a model, to stderr."""
    runtime = hearth.runtime()
    lines = [one_line(line) for level, line in runtime.drain_log()]
    log = runtime.config["log"]
    if log["trace_loads"] and logging.getLevelName(log["level"].upper()) <= logging.INFO:
        lines += [describe(event) for event in record.events if is_told(event)]
    for line in lines:
        print(f"hearth: {line}", file=sys.stderr, flush=True)
