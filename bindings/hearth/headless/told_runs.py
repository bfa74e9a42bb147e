"""Runs as they become complete: one computes while the files of the one before are written."""

from __future__ import annotations

from collections import deque
from types import TracebackType

from hearth.cli_check import printable
from hearth.errors import HearthError
from hearth.headless import report
from hearth.headless.checks import PlannedNode
from hearth.headless.executor import Listener, RunRecord
from hearth.headless.request import Run


class ToldRuns:
    """Tells of each run when its files are there, in the order of the runs. As a context it waits
    for the last of them, also when it is left by an error: what was begun counts."""

    def __init__(self, count: int) -> None:
        self.entries: list[report.Entry] = []
        self._count = count
        self._computed: deque[tuple[Run, RunRecord]] = deque()

    def __enter__(self) -> ToldRuns:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            while self._computed:
                self._tell_next()
        except HearthError:
            if error is None:
                raise

    def add(self, run: Run, record: RunRecord) -> None:
        """Of a run that is computed. Waits for the one before, and raises NodeFailedError when a
        file of it could not be written."""
        while self._computed:
            self._tell_next()
        self._computed.append((run, record))

    def tell_written(self) -> None:
        """Tells of those that are complete by now. Raises as `add`."""
        while self._computed and self._computed[0][1].is_written():
            self._tell_next()

    def _tell_next(self) -> None:
        run, record = self._computed[0]
        record.complete()
        self._computed.popleft()
        name = run.plan.graph.name
        self.entries.append(({"workflow": name, "prompt": run.prompt}, record))
        first, *more = report.lines(record)
        print(printable(f"{name}, run {len(self.entries)} of {self._count}: {first}"))
        for line in more:
            print(printable(line), flush=True)


class TellingListener:
    """Also tells of the runs before, as soon as a node begins and they are complete."""

    def __init__(self, shown: Listener, runs: ToldRuns) -> None:
        self._shown = shown
        self._runs = runs

    def began(self, node: PlannedNode) -> None:
        self._runs.tell_written()
        self._shown.began(node)

    def stepped(self, done: int, total: int) -> None:
        self._shown.stepped(done, total)

    def ended(self, node: PlannedNode, seconds: float) -> None:
        self._shown.ended(node, seconds)
