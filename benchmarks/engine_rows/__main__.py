"""Runs the rows on each variant and appends one JSON line a row; see `--help`."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.engine_rows import distances
from benchmarks.engine_rows.arguments import parse
from benchmarks.engine_rows.catalogue import ROWS, Amounts, Row, Session
from benchmarks.engine_rows.makers import Deadline, Maker
from benchmarks.engine_rows.report import read, summary, text
from benchmarks.engine_rows.variants import DEFAULT, VARIANTS, Wanted
from benchmarks.engine_rows.vram import VramWatch
from benchmarks.rows import page_cache
from benchmarks.rows.machine import machine
from benchmarks.rows.starting import Setting


@dataclass
class Lines:
    """The file of figures."""

    path: Path
    about: dict[str, Any]
    """What every line says: machine, versions, command."""
    entries: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.path.exists():
            texts = self.path.read_text(encoding="utf-8").splitlines()
            self.entries = [json.loads(text) for text in texts]

    def find(self, variant: str, row: str) -> dict[str, Any] | None:
        """What was measured; a failure is to be tried again."""
        for entry in self.entries:
            if (entry["variant"], entry["row"]) == (variant, row) and "error" not in entry:
                return entry
        return None

    def add(self, variant: str, row: str, **values: Any) -> None:
        """Appends and shows."""
        entry = {"variant": variant, "row": row, **values}
        self.entries.append(entry)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry | self.about) + "\n")
        print(f"{variant} {row}: {summary(entry)}", flush=True)


@dataclass(frozen=True)
class Plan:
    """All that is to be measured."""

    wanted: Wanted
    amounts: Amounts
    rows: tuple[Row, ...]
    limit: float

    @property
    def kept(self) -> Path:
        """Where images and latents to be compared lie."""
        return self.wanted.setting.out / "distance"


def _missing(plan: Plan, variant: str, lines: Lines) -> list[Row]:
    def is_there(row: Row) -> bool:
        if row.name == "distance":
            return variant in distances.complete(plan.kept, plan.amounts.seeds)
        return lines.find(variant, row.name) is not None

    return [row for row in plan.rows if not is_there(row)]


def _measure(plan: Plan, variant: str, lines: Lines) -> None:
    rows = _missing(plan, variant, lines)
    if not rows:
        return
    began, at = time.monotonic(), "first"
    opened: AbstractContextManager[Maker]
    try:
        opened = VARIANTS[variant](plan.wanted, Deadline(plan.limit))
        with VramWatch() as watch, opened as maker:
            session = Session(maker, plan.amounts, plan.kept)
            if sustained := lines.find(variant, "sustained"):
                session.pace = sustained["samples"]["an_image"][0]
            # Others need what it leaves behind.
            for row in [ROWS[0], *(row for row in rows if row is not ROWS[0])]:
                at = row.name
                samples = row.measure(session)
                peak = watch.take_peak_gib()
                if samples and row in rows:
                    lines.add(variant, row.name, samples=samples, vram_gib=peak)
    except Exception as error:  # the other variants are still worth their time
        text = next(iter(str(error).splitlines()), "") or type(error).__name__
        lines.add(variant, at, error=text)
    print(f"{variant}: {time.monotonic() - began:.0f} s in all", flush=True)


def _compare(plan: Plan, lines: Lines) -> None:
    for variant, found in distances.compare(plan.kept, plan.amounts.seeds).items():
        if lines.find(variant, "distance") is None:
            lines.add(variant, "distance", against="stock", **found)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every row of every variant was measured; what failed is a line in the file, too. The
    table of all lines is left beside them."""
    given = parse(arguments, [row.name for row in ROWS], VARIANTS, ",".join(DEFAULT))
    graph = json.loads(given.workflow.read_text(encoding="utf-8"))
    given.out.mkdir(parents=True, exist_ok=True)
    setting = Setting(
        {"A": graph},
        given.models,
        given.out,
        page_cache="as_is",
        cpu=given.cpu,
        flags=tuple(shlex.split(given.comfy_flags)),
        packs={path.name: path for path in given.pack},
    )
    loads = (given.loop_seconds, given.seeds, given.overloaded)
    amounts = Amounts(given.count, given.size, given.small, *loads)
    asked = set(given.rows.split(","))
    rows = tuple(row for row in ROWS if row.name in asked)
    plan = Plan(Wanted(setting, given.workflow, given.tokenizer), amounts, rows, given.limit)
    words = sys.argv[1:] if arguments is None else arguments
    command = shlex.join(["python", "-m", "benchmarks.engine_rows", *words])
    lines = Lines(given.out / "rows.jsonl", machine() | {"command": command})
    before = len(lines.entries)
    page_cache.fill(given.models)
    for variant in given.variants.split(","):
        _measure(plan, variant, lines)
    if "distance" in asked:
        _compare(plan, lines)
    (given.out / "table.md").write_text(text(read([lines.path])), encoding="utf-8")
    return 1 if any("error" in entry for entry in lines.entries[before:]) else 0


if __name__ == "__main__":
    sys.exit(main())
