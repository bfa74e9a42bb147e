"""Makes the tables of JSON lines from `python -m benchmarks.rows`, and compares pixels.

A table for each machine and commit: figures of different ones are not put beside each other.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median, quantiles

from benchmarks.rows import file_loads
from benchmarks.rows.catalogue import ROWS, Row, Shown
from benchmarks.rows.lines import KEY, Entry
from benchmarks.rows.session import Samples

_MACHINE = ("gpu", "host", "commit", "torch")


def read(paths: Iterable[Path]) -> list[Entry]:
    """All lines of all files; of two for one thing the later, a failure only where nothing else
    is there."""
    texts = [path.read_text(encoding="utf-8") for path in paths]
    found: dict[tuple[object, ...], Entry] = {}
    for entry in (json.loads(line) for text in texts for line in text.splitlines()):
        key = tuple(entry.get(name) for name in KEY)
        if "error" not in entry or key not in found:
            found[key] = entry
    return list(found.values())


def machines(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """The lines by machine and commit, in words."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        words = ", ".join(f"{name} {entry.get(name)}" for name in _MACHINE)
        found.setdefault(words, []).append(entry)
    return found


def table(entries: Sequence[Entry]) -> list[list[str]]:
    """Cells of what servers were measured on, a column per variant; the first line is the
    heading. Of several process starts all samples count."""
    of_servers = [entry for entry in entries if entry["row"] != file_loads.ROW]
    variants = list(dict.fromkeys(entry["variant"] for entry in of_servers))
    caches = list(dict.fromkeys(entry["page_cache"] for entry in of_servers))
    lines = [["what", "page cache", *variants, "wanted"]]
    for row in ROWS:
        for cache in caches:
            mine = [e for e in of_servers if (e["row"], e["page_cache"]) == (row.name, cache)]
            cells = [_cell(row, [e for e in mine if e["variant"] == name]) for name in variants]
            if mine:
                lines.append([row.what, cache, *cells, row.wanted])
    return lines


def pixel_faults(entries: Sequence[Entry]) -> list[str]:
    """Images of the same workflow and seed that are not the same in every variant."""
    seen: dict[str, tuple[str, str]] = {}
    faults = []
    for entry in entries:
        for image, pixels in entry.get("pixels", {}).items():
            variant, first = seen.setdefault(image, (entry["variant"], pixels))
            if first != pixels:
                faults.append(f"{image}: {entry['variant']} differs from {variant}")
    return faults


def compared(entries: Sequence[Entry]) -> int:
    """How many images were made by more than one variant."""
    makers: dict[str, set[str]] = {}
    for entry in entries:
        for image in entry.get("pixels", {}):
            makers.setdefault(image, set()).add(entry["variant"])
    return sum(len(variants) > 1 for variants in makers.values())


def _cell(row: Row, entries: Sequence[Entry]) -> str:
    measured = [entry for entry in entries if "samples" in entry]
    if not measured:
        return "failed" if entries else "–"
    samples: Samples = {}
    for entry in measured:
        for name, values in entry["samples"].items():
            samples.setdefault(name, []).extend(values)
    if row.shown in ("added", "total") and "same" not in samples:
        return "by an earlier rule"
    text = _SHOWN[row.shown](samples)
    if row.shown != "memory" and "anonymous_gib" in samples:
        text += f"; {median(samples['anonymous_gib']):.1f} GiB"
    return text


def _seconds(samples: Samples) -> str:
    seconds = samples["seconds"]
    return f"{median(seconds):.2f} (worst {max(seconds):.2f})"


def _added(samples: Samples) -> str:
    over = [seconds - median(samples["same"]) for seconds in samples["seconds"]]
    return f"{median(over):+.2f} (worst {max(over):+.2f})"


def _start(samples: Samples) -> str:
    pairs = zip(samples["seconds"], samples["fifth"], strict=True)
    ratios = [first / fifth for first, fifth in pairs]
    return (
        f"{median(samples['start']):.1f} (worst {max(samples['start']):.1f}), "
        f"ready {median(samples['ready']):.1f} (worst {max(samples['ready']):.1f}), "
        f"then {_seconds(samples)}, {median(ratios):.2f} x the fifth"
    )


def _memory(samples: Samples) -> str:
    return f"{median(samples['anonymous_gib']):.1f} GiB"


def _steps(samples: Samples) -> str:
    alone, beside = median(samples["alone"]), median(samples["seconds"])
    return f"{beside * 1000:.1f} ms, {(beside / alone - 1) * 100:+.1f} % (alone {alone * 1000:.1f})"


def _tail(samples: Samples) -> str:
    seconds, middle = samples["seconds"], median(samples["seconds"])
    p95 = quantiles(seconds, n=20)[-1] if len(seconds) > 1 else middle
    ratios = f"P95 / P50 {p95 / middle:.2f}, worst / P50 {max(seconds) / middle:.2f}"
    return f"{len(seconds)} requests: P50 {middle:.3f}, {ratios}"


def _total(samples: Samples) -> str:
    """By how much a sequence took longer than as many requests of one model."""
    total, count = sum(samples["total"]), len(samples["seconds"])
    over = total - count * median(samples["same"])
    return f"{total:.1f} in all ({over:+.1f} over {count} of one model)"


_SHOWN: dict[Shown, Callable[[Samples], str]] = {
    "seconds": _seconds,
    "added": _added,
    "start": _start,
    "memory": _memory,
    "steps": _steps,
    "tail": _tail,
    "total": _total,
}


def _print(lines: Sequence[Sequence[str]]) -> None:
    heading, *rest = lines
    for cells in (heading, ["---"] * len(heading), *rest):
        print("| " + " | ".join(cells) + " |")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables in Markdown; 1 when pixels differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rows.report", description=__doc__)
    parser.add_argument("lines", nargs="+", type=Path, help="rows.jsonl of one or more runs")
    faults: list[str] = []
    for words, entries in machines(read(parser.parse_args(arguments).lines)).items():
        print(f"\n{words}; seconds, median and worst; “+” is over images of one model in between\n")
        _print(table(entries))
        for entry in entries:
            if entry["row"] == file_loads.ROW and "bench" in entry:
                print()
                _print(file_loads.table(entry["bench"]))
        faults += pixel_faults(entries)
        different = len(pixel_faults(entries))
        print(f"\n{compared(entries)} images made by more than one variant; {different} differ.")
        for command in dict.fromkeys(entry.get("command", "") for entry in entries):
            print(f"\n    {command}")
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
