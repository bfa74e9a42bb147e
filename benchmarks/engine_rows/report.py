"""The table of docs/engine_performance.md from JSON lines: a column a maker, the target last."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.engine_rows.catalogue import ROWS
from benchmarks.engine_rows.makers import VARIANTS

Entry = Mapping[str, Any]

_TARGETS = {
    "new_prompt": "<= 0.75",
    "sustained": "<= 0.70",
    "small": "stock / 2.5",
    "open_loop": "P95 <= 0.9",
    "pairs": "P95 <= 0.9 each second",
}


def table(entries: Sequence[Entry], folder: Path) -> list[list[str]]:
    """Cells; the first line is the heading. Images are looked for in `folder`."""
    found = {(entry["row"], entry["variant"]): entry for entry in entries}
    names = [name for name in VARIANTS if any(key[1] == name for key in found)]
    lines = [["seconds", *names, "wanted"]]
    for row in ROWS:
        cells = [_cell(row.name, found.get((row.name, name)), folder) for name in names]
        if any(cells):
            lines.append([row.what, *cells, _TARGETS.get(row.name, "")])
    peaks = [
        max(e["peak_vram_gib"] for key, e in found.items() if key[1] == name) for name in names
    ]
    lines.append(["peak VRAM, GiB", *[f"{peak:.1f}" for peak in peaks], "<= stock"])
    return lines


def psnr(one: Path, other: Path) -> float:
    """Of two images of one size, in decibels; infinite for equal ones."""
    import numpy
    from PIL import Image

    first, second = (numpy.asarray(Image.open(path).convert("RGB"), float) for path in (one, other))
    error = float(((first - second) ** 2).mean())
    return float("inf") if error == 0 else float(10 * numpy.log10(255.0**2 / error))


def _cell(row: str, entry: Entry | None, folder: Path) -> str:
    if entry is None:
        return ""
    samples = entry["samples"]
    if row == "image":
        stock = folder / "stock.png"
        return f"{psnr(folder / samples['file'], stock):.1f} dB" if stock.exists() else ""
    if row == "sustained":
        return f"{samples['each']:.3f}"
    seconds = samples["seconds"]
    if row in ("open_loop", "pairs"):
        high = quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]
        return f"P50 {median(seconds):.2f}, P95 {high:.2f}, worst {max(seconds):.2f}"
    return f"{median(seconds):.3f} ({max(seconds):.3f})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table as Markdown, and the parts of an image where a maker tells them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lines", type=Path, help="rows.jsonl")
    given = parser.parse_args(arguments)
    entries = [json.loads(line) for line in given.lines.read_text(encoding="utf-8").splitlines()]
    heading, *rows = table(entries, given.lines.parent)
    for line in (heading, ["---"] * len(heading), *rows):
        print("| " + " | ".join(line) + " |")
    for entry in entries:
        if parts := entry["samples"].get("parts"):
            said = ", ".join(f"{name} {value:.3f}" for name, value in parts.items() if value > 5e-4)
            print(f"\n{entry['variant']}, {entry['row']}: {said}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
