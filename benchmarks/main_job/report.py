"""What the main job shows: one table for people, one JSON file for machines."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.main_job.phase import PhaseResult, Request
from benchmarks.main_job.verdict import distinct_images

_MIB = 1 << 20
_TITLE = "ComfyUI without and with hearth; requests: median (worst), how many"


# What came before a request decides what it costs: the kinds, in the order of the table.
_TURNS = {
    "first": "first image",
    "first_use": "first use of a workflow",
    "switch": "switch to a workflow used before",
    "same": "same workflow again",
}


def by_turn(requests: Sequence[Request]) -> dict[str, list[float]]:
    """Seconds of the requests by what each had to do, in the order of `_TURNS`."""
    found: dict[str, list[float]] = {key: [] for key in _TURNS}
    seen: set[str] = set()
    before = ""
    for request in requests:
        if request.workflow == before:
            kind = "same"
        elif request.workflow in seen:
            kind = "switch"
        else:
            kind = "first_use" if seen else "first"
        found[kind].append(request.seconds)
        seen.add(request.workflow)
        before = request.workflow
    return found


def _median_and_worst(phase: PhaseResult, kind: str) -> str:
    seconds = by_turn(phase.requests)[kind]
    if not seconds:
        return "none"
    return f"{statistics.median(seconds):.2f} s ({max(seconds):.2f} s), n={len(seconds)}"


def spread(requests: Sequence[Request]) -> dict[str, float]:
    """P50, P95 and the worst of all requests of a phase, in seconds; nothing without any."""
    seconds = [request.seconds for request in requests]
    if not seconds:
        return {}
    p95 = statistics.quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else None
    return {
        "p50": statistics.median(seconds),
        "p95": seconds[0] if p95 is None else p95,
        "max": max(seconds),
    }


def _spread(phase: PhaseResult) -> str:
    found = spread(phase.requests)
    return " / ".join(f"{value:.2f}" for value in found.values()) + " s" if found else "none"


def print_table(console: Console, phases: Sequence[PhaseResult], places: dict[str, Path]) -> None:
    """Prints the one table; a column per phase."""
    table = Table(title=_TITLE, title_justify="left")
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
        (f"reads of {_label(file, files)}", lambda phase, file=file: str(phase.reads.get(file, 0)))  # type: ignore[misc]
        for file in files
    ]
    return [
        *rows,
        ("hits", lambda phase: _hits(phase)),
        ("requests", lambda phase: str(len(phase.requests))),
        ("different images", lambda phase: str(distinct_images(phase))),
        ("start until it answers", lambda phase: _seconds(phase.start_seconds)),
        *(
            (name, lambda phase, key=key: _median_and_worst(phase, key))
            for key, name in _TURNS.items()
        ),
        ("all: P50 / P95 / worst", _spread),
        ("host RAM, peak", lambda phase: _mib(phase.peak_resident)),
        ("  of it anonymous", lambda phase: _mib(phase.peak_anonymous)),
        ("VRAM in use, peak", lambda phase: _mib(phase.peak_vram)),
    ]


def _label(file: str, files: Sequence[str]) -> str:
    """The name without its folder, unless another file has it as well."""
    name = PurePosixPath(file).name
    return name if sum(PurePosixPath(each).name == name for each in files) == 1 else file


def _hits(phase: PhaseResult) -> str:
    return "-" if phase.health is None else str(phase.health["counters"]["hits"])


def _seconds(value: float) -> str:
    return f"{value:.2f} s"


def _mib(value: int | None) -> str:
    return "-" if value is None else f"{value / _MIB:,.0f} MiB"


def write_json(path: Path, phases: Sequence[PhaseResult], found: Sequence[str]) -> None:
    """Writes all that was seen, and the faults found in it."""
    turns = {phase.name: by_turn(phase.requests) for phase in phases}
    body = {
        "commit": commit(),
        "machine": machine(),
        "python": platform.python_version(),
        "faults": list(found),
        "seconds": turns,
        "all_requests": {phase.name: spread(phase.requests) for phase in phases},
        "phases": [asdict(phase) for phase in phases],
    }
    path.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")


def commit() -> str:
    """The commit of this checkout; `+` says that files were changed. Outside a repository what the
    file COMMIT says, else empty."""
    stamp = Path(__file__).resolve().parents[2] / "COMMIT"
    if stamp.exists():
        return stamp.read_text(encoding="ascii").strip()
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    try:
        done = subprocess.run(
            [*command, "--exclude=*"], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""  # no git here
    return done.stdout.strip()


def machine() -> dict[str, object]:
    """What the figures depend on: system, processor, cores, RAM in bytes, GPU."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return {
        "system": platform.platform(),
        "cpu": platform.machine(),
        "cores": os.cpu_count(),
        "ram_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpu": gpu,
        "torch": torch.__version__,
    }
