"""What the main job shows: one table for people, one JSON file for machines."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.main_job.phase import PhaseResult
from benchmarks.main_job.verdict import distinct_images

_MIB = 1 << 20


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def print_table(console: Console, phases: Sequence[PhaseResult], places: dict[str, Path]) -> None:
    """Prints the one table; a column per phase."""
    table = Table(title="ComfyUI without and with hearth", title_justify="left")
    table.add_column("")
    for phase in phases:
        table.add_column(phase.name, justify="right")
    for label, cell in _rows(phases):
        table.add_row(label, *(cell(phase) for phase in phases))
    console.print(table)
    for label, place in places.items():
        console.print(f"{label}: {place}", soft_wrap=True, highlight=False)


def _rows(phases: Sequence[PhaseResult]) -> list[tuple[str, Callable[[PhaseResult], str]]]:
    files = sorted({file for phase in phases for file in phase.reads})
    rows: list[tuple[str, Callable[[PhaseResult], str]]] = [
        (f"reads of {file}", lambda phase, file=file: str(phase.reads.get(file, 0)))  # type: ignore[misc]
        for file in files
    ]
    return [
        *rows,
        ("hits", lambda phase: _hits(phase)),
        ("requests", lambda phase: str(len(phase.requests))),
        ("different images", lambda phase: str(distinct_images(phase))),
        ("latency P50", lambda phase: _seconds(quantile(phase.latencies, 0.5))),
        ("latency P95", lambda phase: _seconds(quantile(phase.latencies, 0.95))),
        ("latency max", lambda phase: _seconds(max(phase.latencies))),
        ("start until ready", lambda phase: _seconds(phase.start_seconds)),
        ("host RAM, peak", lambda phase: _mib(phase.peak_resident)),
        ("  of it anonymous", lambda phase: _mib(phase.peak_anonymous)),
        ("VRAM in use, peak", lambda phase: _mib(phase.peak_vram)),
    ]


def _hits(phase: PhaseResult) -> str:
    return "-" if phase.health is None else str(phase.count_events("hit"))


def _seconds(value: float) -> str:
    return f"{value:.2f} s"


def _mib(value: int | None) -> str:
    return "-" if value is None else f"{value / _MIB:,.0f} MiB"


def write_json(path: Path, phases: Sequence[PhaseResult], found: Sequence[str]) -> None:
    """Writes all that was seen, and the faults found in it."""
    body = {
        "machine": platform.platform(),
        "python": platform.python_version(),
        "faults": list(found),
        "phases": [asdict(phase) for phase in phases],
    }
    path.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
