"""Makes the table of docs/engine_performance.md of JSON lines, as Markdown on stdout."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

Entry = dict[str, Any]
Found = Mapping[tuple[str, str], Entry]
_ORDER = (
    *("stock", "cudnn", "compiled", "hearth", "engine"),
    *("headless", "headless_parity", "headless_fp8"),
)
_TITLES = {
    "stock": "ComfyUI",
    "cudnn": "ComfyUI, cuDNN's attention",
    "compiled": "ComfyUI, TorchCompileModel",
    "hearth": "ComfyUI with hearth",
    "engine": "ComfyUI with hearth's engine nodes",
    "headless": "`hearth run`",
    "headless_parity": "`hearth run --parity`",
    "headless_fp8": "`hearth run --fp8`",
}
_WITH_TARGET = "headless"
_STOCK, _CUDNN = "stock", "cudnn"
_MAY_ADD_DB = 3.0
_NOTHING = "–"


@dataclass(frozen=True)
class Target:
    """What `hearth run` is to reach: `reached` gets its value and that of `beside`."""

    text: str
    value: Callable[[Found, str], float | None]
    reached: Callable[[float, float], bool]
    beside: str = _STOCK


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
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
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
    psnr, seeds = entry["psnr_db"], len(entry["by_seed"])
    shown = "images equal"
    if psnr is not None:
        shown = f"{psnr:.1f} dB (worst {entry['worst_psnr_db']:.1f})"
    return f"{entry['latents_rel_l2']:.1e}, {shown}, {seeds} seeds"


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


def _psnr(found: Found, variant: str) -> float | None:
    """The mean of all seeds; no limit where all images are equal."""
    entry = found.get((variant, "distance"))
    if entry is None or "error" in entry:
        return None
    return math.inf if entry["psnr_db"] is None else float(entry["psnr_db"])


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
    own, stock = target.value(found, _WITH_TARGET), target.value(found, target.beside)
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
    TableRow(
        "latents from ComfyUI's, rel. L2; images, PSNR",
        "distance",
        _distance,
        Target(
            "ComfyUI with cuDNN's attention less 3 dB",
            _psnr,
            lambda own, swapped: own >= swapped - _MAY_ADD_DB,
            beside=_CUDNN,
        ),
    ),
)


def text(found: Found) -> str:
    """The table, what could not be measured, and what it was measured with."""
    heading, *rows = table(found)
    lines = ["| " + " | ".join(cells) + " |" for cells in (heading, ["---"] * len(heading), *rows)]
    lines += ["", *(f"- not measured: {line}" for line in failures(found))]
    keys = ("gpu", "torch", "python", "commit", "command")
    about = dict.fromkeys(", ".join(entry[key] for key in keys) for entry in found.values())
    return "\n".join([*lines, *(f"- {line}" for line in about)]) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the text."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engine_rows.report", description=__doc__
    )
    parser.add_argument("lines", type=Path, nargs="+", help="rows.jsonl files")
    print(text(read(parser.parse_args(arguments).lines)), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
