"""Whether two phases prove what the main job claims; pure, so testable without them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from benchmarks.main_job.phase import PhaseResult

# After these a model is not resident any more (or never was), and reading it again is right.
_LEAVING = frozenset({"evicted", "erased", "reloaded", "served_uncached", "fell_back"})


def faults(stock: PhaseResult, hearth: PhaseResult) -> list[str]:
    """One sentence per claim that does not hold; empty when all do."""
    found = pixel_faults(stock, hearth)
    if hearth.health is None:
        found.append("hearth did not answer at /hearth/health: it is not active in ComfyUI")
    else:
        found += repeated_reads(hearth)
    for phase in (stock, hearth):
        if phase.exit_code != 0:
            found.append(f"ComfyUI ended with code {phase.exit_code} ({phase.name})")
    return found


def pixel_faults(stock: PhaseResult, hearth: PhaseResult) -> list[str]:
    """Requests whose images differ between the phases."""
    return [
        f"pixels differ: {one.workflow}, seed {one.seed}"
        for one, other in zip(stock.requests, hearth.requests, strict=True)
        if one.pixels != other.pixels
    ]


def repeated_reads(phase: PhaseResult) -> list[str]:
    """Files of hearth's models that were read again although the model had not left the cache."""
    managed = {file for event in phase.events for file in files_of(event)}
    found = []
    for file in sorted(managed):
        left = sum(file in files_of(event) for event in phase.events if event["kind"] in _LEAVING)
        reads = phase.reads.get(file, 0)
        if reads > 1 + left:
            found.append(f"{file} was read {reads} times, but left the cache {left} times")
    return found


def files_of(event: dict[str, Any]) -> Iterable[str]:
    """Names of the files behind the model of an event; a dual loader's names are joined by `+`."""
    names = (name.strip() for name in str(event.get("model", "")).split("+"))
    return [PurePosixPath(name).name for name in names if name]


def distinct_images(phase: PhaseResult) -> int:
    """How many different images there are; 1 of many means the equality of pixels says nothing."""
    return len({pixels for request in phase.requests for pixels in request.pixels})
