"""What `hearth run` tells of its runs: lines for people, one JSON object for programs."""

from __future__ import annotations

import json
import resource
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import hearth
from hearth.headless.executor import RunRecord
from hearth.headless.whole_files import write_whole

Entry = tuple[Mapping[str, Any], RunRecord]
"""Which run it was, and what it did."""


def lines(record: RunRecord) -> list[str]:
    """One line for the run, and one for each file and text."""
    done = [node for node in record.nodes if not node.unchanged]
    parts = [_duration(record), f"{len(done)} of {len(record.nodes)} nodes"]
    parts += [f"{record.count('opened')} loads", f"{record.count('hit')} hits"]
    said = [
        f"  node {id_}: {line}" for id_, text in record.texts.items() for line in text.split("\n")
    ]
    return [", ".join(parts), *said, *(f"  {path}" for path in record.files)]


def _duration(record: RunRecord) -> str:
    seconds, computing = f"{record.seconds:.2f} s", f"{record.computing_seconds:.2f} s"
    return seconds if seconds == computing else f"{seconds} ({computing} without its files)"


def write(path: Path, device: str, entries: Sequence[Entry]) -> None:
    """Writes the report as JSON."""
    body = {
        "hearth": hearth.__version__,
        "device": device,
        "seconds": _all_seconds([record for _, record in entries]),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "cache": hearth.runtime().cache.stats(),
        "config": {"source": hearth.runtime().config_source, "values": hearth.runtime().config},
        "runs": [{**which, **_run(record)} for which, record in entries],
    }
    text = json.dumps(body, indent=2, default=str) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))


def _all_seconds(records: Sequence[RunRecord]) -> float:
    """From the begin of the first run to the last file. Less than the sum where runs overlap."""
    if not records:
        return 0.0
    return max(each.began + each.seconds for each in records) - records[0].began


def _run(record: RunRecord) -> dict[str, Any]:
    return {
        "seconds": record.seconds,
        "computing_seconds": record.computing_seconds,
        "loads": record.count("opened"),
        "hits": record.count("hit"),
        "files": [str(path) for path in record.files],
        "texts": record.texts,
        "nodes": [asdict(node) for node in record.nodes],
        "events": [
            {key: value for key, value in event.items() if value} for event in record.events
        ],
    }
