"""Whether two phases prove what the main job claims; pure, so testable without them."""

from __future__ import annotations

from benchmarks.main_job.phase import PhaseResult
from benchmarks.main_job.stock_files import is_about

# After these a model is not resident any more (or never was), and reading it again is right.
_LEAVING = frozenset({"evicted", "erased", "reloaded", "served_uncached", "fell_back"})
# What hearth says of a file that it had read, or left to ComfyUI.
_READING = frozenset({"opened", "served_uncached", "fell_back"})


def faults(stock: PhaseResult, hearth: PhaseResult) -> list[str]:
    """One sentence per claim that does not hold; empty when all do."""
    found = pixel_faults(stock, hearth)
    if hearth.health is None:
        found.append("hearth did not answer at /hearth/health: it is not active in ComfyUI")
    else:
        found += unnoticed_reads(hearth) + repeated_reads(hearth)
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


def unnoticed_reads(phase: PhaseResult) -> list[str]:
    """Files of stock loaders that were read while hearth says nothing of having them read."""
    return [
        f"{file} was read ({phase.reads[file]} times), and hearth has no event of it: "
        "its loader is not served"
        for file in sorted(phase.stock_files)
        if phase.reads.get(file, 0) > 0 and not _count(phase, file, _READING)
    ]


def repeated_reads(phase: PhaseResult) -> list[str]:
    """Files of hearth's models that were read again although the model had not left the cache."""
    found = []
    for file, reads in sorted(phase.reads.items()):
        left = _count(phase, file, _LEAVING)
        if reads > 1 + left and _count(phase, file, _READING):
            found.append(f"{file} was read {reads} times, but left the cache {left} times")
    return found


def _count(phase: PhaseResult, file: str, kinds: frozenset[str]) -> int:
    return sum(event["kind"] in kinds and is_about(event, file) for event in phase.events)


def distinct_images(phase: PhaseResult) -> int:
    """How many different images there are; 1 of many means the equality of pixels says nothing."""
    return len({pixels for request in phase.requests for pixels in request.pixels})
