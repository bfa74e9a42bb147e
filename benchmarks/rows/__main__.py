"""Measures rows on servers, one after the other; see `--help`."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.harness.workflows import with_diffusion_model
from benchmarks.rows import file_loads
from benchmarks.rows.amounts import QUICK, Amounts
from benchmarks.rows.arguments import parse
from benchmarks.rows.catalogue import ROWS, Row
from benchmarks.rows.lines import Entry, Lines
from benchmarks.rows.machine import machine
from benchmarks.rows.measures import first_image
from benchmarks.rows.plan import Plan, Server, key_of, missing
from benchmarks.rows.session import Session
from benchmarks.rows.starting import Setting, running, start_once
from benchmarks.rows.variants import VARIANTS


class Run:
    """One call of the command."""

    def __init__(self, plan: Plan, setting: Setting, lines: Lines, limit: float) -> None:
        self._plan, self._setting, self._lines = plan, setting, lines
        self._end = time.monotonic() + limit
        self.failed = False
        self._started: set[str] = set()

    def servers(self) -> None:
        """All servers that something is missing of; what fails leaves the rest its turn."""
        for server in self._plan.servers():
            rows = missing(server, self._plan.amounts, self._lines)
            if not rows or self._is_over(f"{server.variant.name}, {server.page_cache}"):
                continue
            setting = replace(self._setting, page_cache=server.page_cache)
            try:
                self._start_once(setting, server, rows)
                with running(setting, server.variant) as session:
                    self._on(session, server, rows)
            except Exception as error:
                self._failed(error, **key_of(server, rows[0], self._plan.amounts))

    def file(self, models: Path) -> None:
        """The row that needs no ComfyUI."""
        key = {"variant": file_loads.VARIANT, "row": file_loads.ROW, "page_cache": "as said"}
        key |= {"amount": str(self._plan.amounts.count)}
        if self._lines.has(**key) or self._is_over(file_loads.ROW):
            return
        try:
            rows = file_loads.bench(file_loads.largest(models), self._plan.amounts.count)
        except Exception as error:
            self._failed(error, **key)
            return
        _say(self._lines.add(**key, bench=rows))

    def _start_once(self, setting: Setting, server: Server, rows: Sequence[Row]) -> None:
        if rows[0].measure is first_image and server.variant.name not in self._started:
            start_once(setting, server.variant)
            self._started.add(server.variant.name)

    def _on(self, session: Session, server: Server, rows: Sequence[Row]) -> None:
        for row in rows:
            key = key_of(server, row, self._plan.amounts)
            if self._is_over(f"{server.variant.name} {row.name}"):
                return
            try:
                session.prepare(row.uses)
                session.pixels.clear()
                samples = row.measure(session, self._plan.amounts)
            except Exception as error:
                self._failed(error, **key)
                continue
            about = {"pixels": dict(session.pixels), "reads": len(session.server.reads())}
            _say(self._lines.add(**key, samples=samples, **about))

    def _is_over(self, what: str) -> bool:
        over = time.monotonic() > self._end
        if over:
            self.failed = True
            print(f"{what}: not begun, the time is over; --append goes on", flush=True)
        return over

    def _failed(self, error: Exception, **key: Any) -> None:
        self.failed = True
        text = next(iter(str(error).splitlines()), "") or type(error).__name__
        _say(self._lines.add(**key, error=text))


def _say(entry: Entry) -> None:
    said = entry.get("error") or entry.get("samples") or "measured"
    if isinstance(said, dict):
        said = {name: [round(each, 3) for each in values] for name, values in said.items()}
    print(f"{entry['variant']} {entry['page_cache']} {entry['row']}: {said}", flush=True)


def _graph(wish: str) -> dict[str, Any]:
    file, _, model = wish.partition("=")
    graph: dict[str, Any] = json.loads(Path(file).read_text(encoding="utf-8"))
    return with_diffusion_model(graph, model) if model else graph


def _plan(given: argparse.Namespace) -> Plan:
    wanted = set(given.rows.split(","))
    usual = QUICK if given.quick else Amounts()
    return Plan(
        tuple(row for row in ROWS if row.name in wanted),
        tuple(VARIANTS[name] for name in given.variants.split(",")),
        tuple(given.page_cache.split(",")),
        Amounts(given.count or usual.count, given.loop or usual.loop, given.rounds or usual.rounds),
        given.starts,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when everything was measured; what failed is a line in the file, too."""
    names = [*(row.name for row in ROWS), file_loads.ROW]
    given = parse(arguments, names, VARIANTS)
    graphs = {chr(ord("A") + place): _graph(each) for place, each in enumerate(given.workflow)}
    given.out.mkdir(parents=True, exist_ok=True)
    words = sys.argv[1:] if arguments is None else arguments
    command = shlex.join(["python", "-m", "benchmarks.rows", *words])
    lines = Lines(given.out / "rows.jsonl", machine() | {"command": command})
    setting = Setting(graphs, given.models, given.out, cpu=given.cpu)
    run = Run(_plan(given), setting, lines, given.limit)
    if file_loads.ROW in given.rows.split(","):
        run.file(given.models)
    run.servers()
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
