"""Runs steps, several at once too: says what runs and for how long, and why one failed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tools.dev.places import LOGS, ROOT

TAIL_LINES = 15
HEARTBEAT_SECONDS = 20.0
SPINNER = "|/-\\"
_COUNT = re.compile(r"\[ *\d+/\d+\]|\[ *\d+%\]|^ *\d+/\d+(?= Test)", re.MULTILINE)


class StepFailed(Exception):
    """A step that did not succeed; its text is for the person who typed the command."""


@dataclass(frozen=True)
class Step:
    """A command with a name, and what to try when it fails."""

    title: str
    command: Sequence[str | Path]
    hint: str
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = ROOT
    ok_codes: tuple[int, ...] = (0,)

    @property
    def log(self) -> Path:
        """Where all the command prints is kept."""
        return LOGS / (re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") + ".log")


class Progress:
    """The lines about running steps; may be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, tuple[float, Path | None]] = {}
        self._started = time.monotonic()
        self._tty = sys.stdout.isatty()
        self._ticker: threading.Thread | None = None
        self._is_aside = False

    def stand_aside(self) -> None:
        """From now on lines go to standard error: the other output is a program's, and may be
        JSON."""
        self._is_aside, self._tty = True, sys.stderr.isatty()

    def say(self, text: str) -> None:
        """Prints a line without tearing the line that shows what runs."""
        with self._lock:
            self._print(("\r\x1b[K" if self._tty else "") + text)

    @contextmanager
    def running(self, title: str, log: Path | None = None) -> Iterator[None]:
        """Shows `title` as running until the block ends, then one line with the seconds it took."""
        begin = time.monotonic()
        with self._lock:
            self._running[title] = (begin, log)
            if self._ticker is None:
                self._ticker = threading.Thread(target=self._tick, daemon=True)
                self._ticker.start()
        if not self._tty:
            self.say(f"[{self._elapsed()}] {title} …")
        verdict = "FAILED"
        try:
            yield
            verdict = "done"
        finally:
            with self._lock:
                self._running.pop(title, None)
            took = time.monotonic() - begin
            self.say(f"[{self._elapsed()}] {title}: {verdict} in {took:.0f} s")

    def _print(self, text: str, end: str = "\n") -> None:
        output = sys.stderr if self._is_aside else sys.stdout
        print(text, end=end, file=output, flush=True)

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._started:5.0f} s"

    def _tick(self) -> None:
        turn = 0
        while True:
            time.sleep(0.25 if self._tty else HEARTBEAT_SECONDS)
            turn += 1
            with self._lock:
                if not self._running:
                    continue
                now = time.monotonic()
                what = " | ".join(
                    f"{title}{_counted(log)} ({now - begin:.0f} s)"
                    for title, (begin, log) in self._running.items()
                )
                if self._tty:
                    self._print(f"\r\x1b[K{SPINNER[turn % 4]} {what}"[:110], end="")
                else:
                    self._print(f"[{self._elapsed()}]   still running: {what}")


def _counted(log: Path | None) -> str:
    """How far the tool says it is, as ninja's "[12/48]" and pytest's "[ 31%]"; or nothing."""
    if log is None or not log.is_file():
        return ""
    counts: list[str] = _COUNT.findall("\n".join(tail(log, 3)))
    return " " + counts[-1].replace(" ", "") if counts else ""


PROGRESS = Progress()


def end_all(number: int, _: object) -> None:
    """Ends whatever was started, then this process: a compiler left behind would go on alone."""
    for child in _descendants(os.getpid()):
        with suppress(OSError):
            os.kill(child, number)
    sys.exit(128 + number)


def _descendants(process: int) -> list[int]:
    """Children, and theirs, nearest first."""
    children = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name, in brackets, may hold anything.
            parent = status.read_text(errors="replace").rpartition(")")[2].split()[1]
            if int(parent) == process:
                children.append(int(status.parent.name))
    return [*children, *(each for child in children for each in _descendants(child))]


def say(text: str) -> None:
    """Prints one line about what happens."""
    PROGRESS.say(text)


def run_step(step: Step) -> int:
    """Runs the command with its output in `step.log`; returns its exit code, throws StepFailed."""
    with PROGRESS.running(step.title, step.log):
        code = _run_logged(step)
        if code not in step.ok_codes:
            raise StepFailed(_failure_text(step, code))
    return code


def _run_logged(step: Step) -> int:
    step.log.parent.mkdir(parents=True, exist_ok=True)
    command = [str(part) for part in step.command]
    with step.log.open("w", encoding="utf-8") as log:
        log.write("$ " + " ".join(command) + "\n")
        log.flush()
        try:
            return subprocess.run(
                command,
                cwd=step.cwd,
                env={**os.environ, **step.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
        except FileNotFoundError as error:
            log.write(f"{error}\n")
            return 127


def _failure_text(step: Step, code: int) -> str:
    lines = tail(step.log)
    return "\n".join(
        [
            f"Step failed: {step.title} (exit code {code}).",
            f"The last lines of {_shown(step.log)}:",
            *("    " + line for line in lines),
            f"What to try: {step.hint}",
        ]
    )


def tail(log: Path, lines: int = TAIL_LINES) -> list[str]:
    """The last lines of a log, however odd its bytes are."""
    text = log.read_text(encoding="utf-8", errors="replace")
    return [line for line in text.splitlines() if line.strip()][-lines:]


def _shown(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
