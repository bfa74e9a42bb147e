"""Makes the table of docs/engine_performance.md of JSON lines, as Markdown on stdout."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

Entry = dict[str, Any]
Found = Mapping[tuple[str, str], Entry]
_ORDER = (
    *("stock", "compiled", "hearth", "engine"),
    *("headless", "headless_parity", "headless_fp8"),
)
_TITLES = {
    "stock": "ComfyUI",
    "compiled": "ComfyUI, TorchCompileModel",
    "hearth": "ComfyUI with hearth",
    "engine": "ComfyUI with hearth's engine nodes",
    "headless": "`hearth run`",
    "headless_parity": "`hearth run --parity`",
    "headless_fp8": "`hearth run --fp8`",
}
_WITH_TARGET = "headless"
_STOCK = "stock"
_NOTHING = "–"


@dataclass(frozen=True)
class Target:
    """What `hearth run` is to reach: `reached` gets the variant's value and ComfyUI's."""

    text: str
    value: Callable[[Found, str], float | None]
    reached: Callable[[float, float], bool]


@dataclass(frozen=True)
class TableRow:
    """One line of the table."""

    what: str
    row: str
    cell: Callable[[Entry], str | None]
    target: Target | None = None


def read(paths: Iterable[Path]) -> dict[tuple[str, str], Entry]:
    """By variant and row; of two that were measured the later one, a failure never for one."""
    found: dict[tuple[str, str], Entry] = {}
    for path in paths:
        for text in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(text)
            key = entry["variant"], entry["row"]
            if "error" not in entry or "error" in found.get(key, {"error": ""}):
                found[key] = entry
    return found


def table(found: Found) -> list[list[str]]:
    """Heading and rows of cells: what, a column a variant, what is wanted and whether it is so."""
    variants = [name for name in _ORDER if any(key[0] == name for key in found)]
    lines = [["", *(_TITLES[name] for name in variants), "wanted of `hearth run`"]]
    for row in _ROWS:
        cells = [_cell(row, name, found) for name in variants]
        if any(cell != _NOTHING for cell in cells):
            lines.append([row.what, *cells, _wanted(row.target, found)])
    return lines


def failures(found: Found) -> list[str]:
    """A line for each row that could not be measured."""
    return [
        f"{variant}, {row}: {entry['error']}"
        for (variant, row), entry in found.items()
        if "error" in entry
    ]


def summary(entry: Entry) -> str:
    """One row in short, for a log."""
    if "error" in entry:
        return f"FAILED: {entry['error']}"
    if "samples" not in entry:
        return _distance(entry) or ""
    parts = [f"{name} {_middle(values)}" for name, values in entry["samples"].items()]
    peak = entry.get("vram_gib")
    return ", ".join([*parts, *([f"VRAM {peak} GiB"] if peak else [])])


def _seconds(name: str) -> Callable[[Entry], str | None]:
    def cell(entry: Entry) -> str | None:
        values = entry["samples"].get(name)
        return _middle(values) if values else None

    return cell


def _first(entry: Entry) -> str | None:
    samples = entry["samples"]
    rest = ", ".join(f"{value:.2f}" for value in samples["seconds"])
    return f"{samples['ready'][0]:.1f}, then {rest}"


def _loop(entry: Entry) -> str | None:
    samples = entry["samples"]
    if "falls_behind" in samples:
        return f"falls behind: {samples['falls_behind'][0]:.2f} an image"
    seconds = samples["seconds"]
    return f"{median(seconds):.2f}, {_p95(seconds):.2f}, {max(seconds):.2f}"


def _distance(entry: Entry) -> str | None:
    psnr = entry["psnr_db"]
    shown = "images equal" if psnr is None else f"{psnr:.1f} dB"
    return f"{entry['latents_rel_l2']:.1e}, {shown}"


def _middle(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{median(values):.3f} ({max(values):.3f})"


def _p95(values: Sequence[float]) -> float:
    return quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]


def _value(
    row: str, name: str, of: Callable[[list[float]], float] = median
) -> Callable[[Found, str], float | None]:
    def value(found: Found, variant: str) -> float | None:
        values = found.get((variant, row), {}).get("samples", {}).get(name)
        return of(values) if values else None

    return value


def _peak(found: Found, variant: str) -> float | None:
    peaks = [entry.get("vram_gib") for (name, _), entry in found.items() if name == variant]
    return max((peak for peak in peaks if peak), default=None)


def _at_most(limit: float) -> Callable[[float, float], bool]:
    return lambda own, _: own <= limit


def _cell(row: TableRow, variant: str, found: Found) -> str:
    if row.row == "":
        peak = _peak(found, variant)
        return _NOTHING if peak is None else f"{peak:.1f}"
    entry = found.get((variant, row.row))
    if entry is None:
        return _NOTHING
    return "failed" if "error" in entry else row.cell(entry) or _NOTHING


def _wanted(target: Target | None, found: Found) -> str:
    if target is None:
        return ""
    own, stock = target.value(found, _WITH_TARGET), target.value(found, _STOCK)
    if own is None or (stock is None and "ComfyUI" in target.text):
        return target.text
    return f"{target.text}: {'yes' if target.reached(own, stock or 0.0) else 'no'}"


_ROWS = (
    TableRow("start until ready, then the first images", "first", _first),
    TableRow("the same prompt, a new seed", "same_prompt", _seconds("seconds")),
    TableRow(
        "a new prompt",
        "new_prompt",
        _seconds("seconds"),
        Target("0.75", _value("new_prompt", "seconds"), _at_most(0.75)),
    ),
    TableRow(
        "a new prompt, a second after the image before",
        "rested",
        _seconds("seconds"),
        Target("0.75", _value("rested", "seconds"), _at_most(0.75)),
    ),
    TableRow("of it: text encoder", "parts", _seconds("text")),
    TableRow("sampling", "parts", _seconds("sampling")),
    TableRow(
        "a step",
        "parts",
        _seconds("step"),
        Target("0.085", _value("parts", "step"), _at_most(0.085)),
    ),
    TableRow("VAE", "parts", _seconds("vae")),
    TableRow("PNG, until it is on disk", "parts", _seconds("png")),
    TableRow(
        "an image of many queued at once",
        "sustained",
        _seconds("an_image"),
        Target("0.70", _value("sustained", "an_image"), _at_most(0.70)),
    ),
    TableRow(
        "the small size, a new prompt",
        "small",
        _seconds("seconds"),
        Target(
            "ComfyUI's / 2.5",
            _value("small", "seconds"),
            lambda own, stock: stock >= 2.5 * own,
        ),
    ),
    TableRow(
        "one request a second: P50, P95, worst",
        "paced",
        _loop,
        Target("P95 0.9", _value("paced", "seconds", _p95), _at_most(0.9)),
    ),
    TableRow("two every two seconds: P50, P95, worst", "paired", _loop),
    TableRow(
        "VRAM, peak, GiB",
        "",
        lambda _: None,
        Target("ComfyUI's", _peak, lambda own, stock: own <= stock),
    ),
    TableRow("latents from ComfyUI's, rel. L2; image, PSNR", "distance", _distance),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table, what could not be measured, and what it was measured with."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engine_rows.report", description=__doc__
    )
    parser.add_argument("lines", type=Path, nargs="+", help="rows.jsonl files")
    found = read(parser.parse_args(arguments).lines)
    heading, *lines = table(found)
    for cells in (heading, ["---"] * len(heading), *lines):
        print("| " + " | ".join(cells) + " |")
    print()
    for line in failures(found):
        print(f"- not measured: {line}")
    keys = ("gpu", "torch", "python", "commit", "command")
    for about in dict.fromkeys(", ".join(entry[key] for key in keys) for entry in found.values()):
        print(f"- {about}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
