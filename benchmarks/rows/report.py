"""Makes the table of JSON lines from `python -m benchmarks.rows`, and compares pixels."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.rows.catalogue import ADDED, ROWS, added

Entry = dict[str, Any]


def read(paths: Iterable[Path]) -> list[Entry]:
    """All lines of all files."""
    texts = [path.read_text(encoding="utf-8") for path in paths]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def table(entries: Sequence[Entry]) -> list[list[str]]:
    """A row of cells per measured row, a column per variant; the first line is the heading."""
    variants = list(dict.fromkeys(entry["variant"] for entry in entries))
    found = {(entry["row"], entry["variant"]): entry for entry in entries}
    lines = [["what", *variants]]
    for row in ROWS:
        if any(key[0] == row.name for key in found):
            cells = [_cell(row.name, variant, found) for variant in variants]
            lines.append([row.what, *cells])
    return lines


def pixel_faults(entries: Sequence[Entry]) -> list[str]:
    """Images of the same workflow and seed that are not the same in every variant."""
    seen: dict[str, tuple[str, str]] = {}
    faults = []
    for entry in entries:
        for image, pixels in entry["pixels"].items():
            variant, first = seen.setdefault(image, (entry["variant"], pixels))
            if first != pixels:
                faults.append(f"{image}: {entry['variant']} differs from {variant}")
    return faults


def compared(entries: Sequence[Entry]) -> int:
    """How many images were made by more than one variant."""
    makers: dict[str, set[str]] = {}
    for entry in entries:
        for image in entry["pixels"]:
            makers.setdefault(image, set()).add(entry["variant"])
    return sum(len(variants) > 1 for variants in makers.values())


def _cell(row: str, variant: str, found: dict[tuple[str, str], Entry]) -> str:
    entry = found.get((row, variant))
    if entry is None:
        return "–"
    samples = entry["samples"]
    base = found.get(("same_model", variant))
    text = _seconds(row, samples["seconds"], base)
    if "start" in samples:
        start, ready = median(samples["start"]), median(samples["ready"])
        text = f"{start:.1f}, ready {ready:.1f} (worst {max(samples['ready']):.1f}), then {text}"
    if "total" in samples:
        text = f"{samples['total'][0]:.1f} in all{_over(samples, base)}"
    if row == "closed_loop":
        text = _tail(samples["seconds"])
    if "anonymous_gib" in samples:
        text += f"; {samples['anonymous_gib'][0]:.1f} GiB"
    return text


def _over(samples: dict[str, list[float]], base: Entry | None) -> str:
    """By how much a sequence took longer than as many requests of one model."""
    if base is None:
        return ""
    count = len(samples["seconds"])
    over = samples["total"][0] - count * median(base["samples"]["seconds"])
    return f" ({over:+.1f} over {count} of one model)"


def _tail(seconds: list[float]) -> str:
    middle = median(seconds)
    p95 = quantiles(seconds, n=20)[-1]
    return f"P50 {middle:.3f}, P95 / P50 {p95 / middle:.2f}, max / P50 {max(seconds) / middle:.2f}"


def _seconds(row: str, seconds: list[float], base: Entry | None) -> str:
    if row in ADDED and base is not None:
        middle, worst = added(seconds, base["samples"]["seconds"])
        return f"{middle:+.2f} (worst {worst:+.2f})"
    return f"{median(seconds):.2f} (worst {max(seconds):.2f})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table in Markdown; 1 when pixels differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rows.report", description=__doc__)
    parser.add_argument("lines", type=Path, nargs="+", help="rows.jsonl files")
    entries = read(parser.parse_args(arguments).lines)
    heading, *lines = table(entries)
    print(_markdown(heading))
    print(_markdown(["---"] * len(heading)))
    for line in lines:
        print(_markdown(line))
    faults = pixel_faults(entries)
    print(f"\n{compared(entries)} images made by more than one variant; {len(faults)} differ.")
    for fault in faults:
        print(fault)
    return 1 if faults else 0


def _markdown(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
