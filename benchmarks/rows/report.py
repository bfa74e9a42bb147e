"""Makes the table of JSON lines from `python -m benchmarks.rows`, and compares pixels."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.rows.catalogue import ROWS, added

_ADDED_ROWS = {"first_use", "switch_fits", "switch_moves", "switch_pressed"}

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
    text = _seconds(row, samples["seconds"], found.get(("same_model", variant)))
    if "start" in samples:
        text = f"{samples['start'][0]:.1f}, ready {samples['ready'][0]:.1f}, then {text}"
    if "total" in samples:
        text = f"{samples['total'][0]:.1f} in all, {text}"
    if "anonymous_gib" in samples:
        text += f"; {samples['anonymous_gib'][0]:.1f} GiB"
    return text


def _seconds(row: str, seconds: list[float], base: Entry | None) -> str:
    if row in _ADDED_ROWS and base is not None:
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
