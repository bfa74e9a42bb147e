"""How far the runs are: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hearth.cli_check import has_rich, printable
from hearth.headless.checks import PlannedNode
from hearth.headless.executor import Listener

# What takes less is not worth a line.
_SHORT_SECONDS = 0.05


@contextmanager
def listener(runs: int) -> Iterator[Listener]:
    """What is shown of so many runs until the block ends."""
    if not (sys.stderr.isatty() and has_rich()):
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn())
    with Progress(
        *columns,
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
    ) as bar:
        yield _Bar(bar)


class _Lines:
    def __init__(self) -> None:
        self._steps = 0

    def began(self, node: PlannedNode) -> None:
        self._steps = 0

    def stepped(self, done: int, total: int) -> None:
        self._steps = done

    def ended(self, node: PlannedNode, seconds: float) -> None:
        if seconds < _SHORT_SECONDS and not self._steps:
            return
        steps = f"{self._steps} steps, " if self._steps else ""
        line = f"node {node.id} ({node.class_name}): {steps}{seconds:.2f} s"
        print(printable(line), file=sys.stderr, flush=True)


class _Bar:
    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=1)

    def began(self, node: PlannedNode) -> None:
        text = printable(f"{node.id} {node.class_name}").replace("[", "\\[")
        self._bar.reset(self._task, description=text, total=1)

    def stepped(self, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total, refresh=True)

    def ended(self, node: PlannedNode, seconds: float) -> None:
        self._bar.update(self._task, completed=1, total=1)
