"""Measures the rows of the engine's page on each maker and appends a JSON line a row.

    python -m benchmarks.engine_rows --models MODELS --workflow examples/api/z_image_turbo.json \\
           --variants stock,compiled,hearth,headless --out OUT
    python -m benchmarks.engine_rows.report OUT/rows.jsonl

What the file has already is skipped; a maker that fails is named, and the others go on.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.engine_rows.catalogue import ROWS, Bench, Row
from benchmarks.engine_rows.makers import VARIANTS, Place, running
from benchmarks.main_job.phase import device_memory_used
from benchmarks.main_job.report import commit, machine

_BETWEEN_LOOKS = 0.25


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    rows = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine_rows", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--models", type=Path, required=True, help="models folder")
    parser.add_argument("--workflow", type=Path, required=True, help="of Z-Image, API format")
    parser.add_argument("--variants", default="stock,compiled,hearth,headless")
    parser.add_argument("--rows", default=",".join(rows), help=f"of {', '.join(rows)}")
    parser.add_argument("--count", type=int, default=5, help="samples a row")
    parser.add_argument("--seconds", type=float, default=100.0, help="of an open loop")
    parser.add_argument("--size", type=int, default=1024, help="pixels of a side")
    parser.add_argument("--out", type=Path, required=True, help="folder; lines go to rows.jsonl")
    parser.add_argument("--tokenizer", type=Path, help="Qwen's, where it is not found")
    parser.add_argument("--cpu", action="store_true")
    given = parser.parse_args(arguments)
    for asked, known in ((given.rows, rows), (given.variants, list(VARIANTS))):
        unknown = sorted(set(asked.split(",")) - set(known))
        if unknown:
            parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    return given


@contextmanager
def _peak_vram(peak: dict[str, int]) -> Iterator[None]:
    """Looks at the device's memory now and then; `peak` has the most of it, in bytes."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_BETWEEN_LOOKS):
            peak["bytes"] = max(peak.get("bytes", 0), device_memory_used() or 0)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield
    finally:
        ended.set()
        looker.join()


def _done(lines: Path) -> set[tuple[str, str]]:
    if not lines.exists():
        return set()
    entries = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    return {(entry["variant"], entry["row"]) for entry in entries}


def _measure(given: argparse.Namespace, name: str, lines: Path) -> None:
    wanted = set(given.rows.split(","))
    rows = [row for row in ROWS if row.name in wanted and (name, row.name) not in _done(lines)]
    if not rows:
        return
    graph = json.loads(given.workflow.read_text(encoding="utf-8"))
    place = Place(given.models, given.out, given.cpu, given.tokenizer)
    with running(VARIANTS[name], place) as maker:
        bench = Bench(maker, graph, given.count, given.seconds, given.out, name, given.size)
        for row in rows:
            _write(lines, _entry(given, row, bench))


def _entry(given: argparse.Namespace, row: Row, bench: Bench) -> dict[str, Any]:
    peak: dict[str, int] = {}
    began = time.monotonic()
    with _peak_vram(peak):
        samples = row.measure(bench)
    print(
        f"{bench.name} {row.name}: {time.monotonic() - began:.0f} s, {_shown(samples)}", flush=True
    )
    entry: dict[str, Any] = {"variant": bench.name, "row": row.name, "samples": samples}
    entry |= {"peak_vram_gib": round(peak.get("bytes", 0) / (1 << 30), 2)}
    entry |= {"size": given.size, "commit": commit(), "machine": machine()}
    return entry | {"command": " ".join(["python -m benchmarks.engine_rows", *sys.argv[1:]])}


def _shown(samples: dict[str, Any]) -> str:
    def short(value: Any) -> Any:
        if isinstance(value, float):
            return round(value, 3)
        if isinstance(value, list):
            return [short(each) for each in value]
        if isinstance(value, dict):
            return {key: short(each) for key, each in value.items()}
        return value

    return str(short(samples))


def _write(lines: Path, entry: dict[str, Any]) -> None:
    with lines.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every row of every maker was measured."""
    given = _parse(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in given.variants.split(","):
        try:
            _measure(given, name, given.out / "rows.jsonl")
        except Exception as error:  # the other makers are still worth their time
            failed = True
            print(f"{name}: FAILED: {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
