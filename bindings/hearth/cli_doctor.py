"""`hearth doctor`: what on this machine is in hearth's way, and what to do."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence

import hearth
from hearth.cli_check import has_rich, printable
from hearth.doctor import LEVELS, Finding, examine

HELP = "look at driver, memory, disks, ComfyUI and config; say what to do"

_MARKS = {"ok": ("✓", "green"), "note": ("·", "dim"), "warning": ("!", "yellow")}
_MARKS["problem"] = ("✗", "red")
_SCHEMA = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `hearth doctor`."""
    parser.add_argument(
        "--models", nargs="+", default=[], metavar="DIR", help="folders (default: ComfyUI's models)"
    )
    parser.add_argument("--comfyui", metavar="DIR", help="ComfyUI's folder (default: looked for)")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Looks at everything; 0 when there is no problem, 1 otherwise."""
    findings = examine(arguments.models, arguments.comfyui)
    if arguments.json:
        print(json.dumps(as_json(findings)))
    elif sys.stdout.isatty() and has_rich():
        _show(findings)
    else:
        _print(findings)
    return 1 if any(finding.level == "problem" for finding in findings) else 0


def as_json(findings: Sequence[Finding]) -> dict[str, object]:
    """The object that programs read; `schema` counts up when a key changes its meaning."""
    return {
        "schema": _SCHEMA,
        "hearth": hearth.__version__,
        "counts": {level: sum(f.level == level for f in findings) for level in LEVELS},
        "findings": [dataclasses.asdict(finding) for finding in findings],
    }


def _show(findings: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    for finding in findings:
        mark, style = _MARKS[finding.level]
        said = Text(printable(finding.what), style if finding.level != "ok" else "")
        if finding.todo:
            said.append(f"\n→ {printable(finding.todo)}", "default")
        table.add_row(Text(mark, style), Text(finding.check), said)
    console = Console(highlight=False)
    console.print(table)
    console.print(Text(_summary(findings), "bold"))


def _print(findings: Sequence[Finding]) -> None:
    """One line a finding and one for what to do, for pipes and where `rich` is not installed."""
    for finding in findings:
        mark = _MARKS[finding.level][0]
        print(f"{mark} {finding.check:<12} {printable(finding.what)}")
        if finding.todo:
            print(f"{'':<14} → {printable(finding.todo)}")
    print(_summary(findings))


def _summary(findings: Sequence[Finding]) -> str:
    count = {level: sum(f.level == level for f in findings) for level in LEVELS}
    return (
        f"{count['problem']} problem{'' if count['problem'] == 1 else 's'}, "
        f"{count['warning']} warning{'' if count['warning'] == 1 else 's'}, "
        f"{count['note']} note{'' if count['note'] == 1 else 's'}, {count['ok']} ok."
    )
