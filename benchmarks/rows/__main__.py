"""Runs rows on variants and appends one JSON line per row; what the file has already is skipped."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from benchmarks.harness.workflows import with_diffusion_model
from benchmarks.rows.catalogue import ROWS, Row, Samples
from benchmarks.rows.machine import machine
from benchmarks.rows.starting import Setting, running
from benchmarks.rows.variants import VARIANTS, Variant


@dataclass(frozen=True)
class Plan:
    """What is to be measured, how often, and where."""

    rows: tuple[Row, ...]
    setting: Setting
    count: int
    starts: int


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rows", description=__doc__)
    parser.add_argument("--rows", default=",".join(names), help=f"of {', '.join(names)}")
    parser.add_argument("--variants", default="stock,hearth", help=f"of {', '.join(VARIANTS)}")
    parser.add_argument("--models", type=Path, required=True, help="models folder")
    parser.add_argument(
        "--workflow",
        action="append",
        required=True,
        help="A, then B, then C …; FILE=NAME has the diffusion model NAME in it instead",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder; lines go to rows.jsonl")
    parser.add_argument("--count", type=int, default=5, help="samples a row")
    parser.add_argument("--starts", type=int, default=1, help="process starts for first_image")
    parser.add_argument(
        "--cold", action="store_true", help="drop the models from the page cache before each start"
    )
    parser.add_argument("--cpu", action="store_true")
    given = parser.parse_args(arguments)
    for asked, known in ((given.rows, names), (given.variants, list(VARIANTS))):
        unknown = sorted(set(asked.split(",")) - set(known))
        if unknown:
            parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    return given


def _graph(wish: str) -> dict[str, Any]:
    file, _, model = wish.partition("=")
    graph: dict[str, Any] = json.loads(Path(file).read_text(encoding="utf-8"))
    return with_diffusion_model(graph, model) if model else graph


def _done(lines: Path) -> set[tuple[str, str]]:
    if not lines.exists():
        return set()
    entries = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    return {(entry["variant"], entry["row"]) for entry in entries}


def _first_images(plan: Plan, variant: Variant) -> list[Samples]:
    """Of all process starts but the last."""
    [row] = [row for row in ROWS if row.name == "first_image"]
    samples = []
    for _ in range(plan.starts - 1):
        with running(plan.setting, variant) as session:
            samples.append(row.measure(session, 1))
    return samples


def _flat(name: str, samples: Sequence[Samples]) -> list[float]:
    return [value for each in samples for value in each[name]]


def _measure(plan: Plan, variant: Variant, lines: Path, console: Console) -> None:
    done = _done(lines)
    rows = [row for row in plan.rows if (variant.name, row.name) not in done]
    if not rows:
        return
    earlier = _first_images(plan, variant) if rows[0].name == "first_image" else []
    with running(plan.setting, variant) as session:
        for row in rows:
            session.pixels.clear()
            samples = row.measure(session, plan.count)
            if row.name == "first_image":
                samples = {name: [*_flat(name, earlier), *samples[name]] for name in samples}
            entry: dict[str, Any] = {"variant": variant.name, "row": row.name, "samples": samples}
            entry |= {"pixels": session.pixels, "reads": len(session.server.reads())}
            entry |= {"page_cache": plan.setting.page_cache} | machine()
            with lines.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
            shown = {name: [round(each, 3) for each in values] for name, values in samples.items()}
            console.print(f"{variant.name} {row.name}: {shown}", highlight=False, soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every row of every variant was measured; a variant that fails is named."""
    given = _parse(arguments)
    graphs = {chr(ord("A") + place): _graph(each) for place, each in enumerate(given.workflow)}
    wanted = set(given.rows.split(","))
    rows = tuple(row for row in ROWS if row.name in wanted)
    given.out.mkdir(parents=True, exist_ok=True)
    cache: Literal["cold", "warm"] = "cold" if given.cold else "warm"
    setting = Setting(graphs, given.models, given.out, page_cache=cache, cpu=given.cpu)
    plan = Plan(rows, setting, given.count, given.starts)
    console, failed = Console(), False
    for name in given.variants.split(","):
        try:
            _measure(plan, VARIANTS[name], given.out / "rows.jsonl", console)
        except Exception as error:  # the other variants are still worth their time
            failed = True
            console.print(f"{name}: FAILED: {error}", highlight=False, soft_wrap=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
