"""`hearth check`: tells whether checkpoint files are what their names promise."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from hearth.check import SET_SUFFIX, FileReport, Progress, check_file, find_files

HELP = "check checkpoint files: header, layout and size; with --deep every byte"

_MARKS = {"good": ("✓", "green"), "bad": ("✗", "red"), "unchecked": ("–", "dim")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `hearth check`."""
    parser.add_argument(
        "paths", nargs="+", type=named, metavar="FILE|DIR", help="folders are searched through"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line and file")
    parser.add_argument(
        "--deep", action="store_true", help="read every byte: SHA-256, NaN and infinite values"
    )
    parser.add_argument(
        "--root",
        action="append",
        default=[],
        metavar="DIR",
        help="refuse files that lie outside, links followed; may be repeated",
    )


def run(arguments: argparse.Namespace) -> int:
    """Checks all files; 0 when all that could be checked are good, there was at least one, and
    none was named that cannot be checked."""
    paths = list(map(os.fspath, arguments.paths))
    files = list(find_files(paths))
    sets = _shards_to_read(files, arguments.root) if arguments.deep else {}
    reports: list[FileReport] = []
    to_read = [*files, *(shard for shards in sets.values() for shard in shards)]
    with _progress(to_read, show=arguments.deep and sys.stderr.isatty()) as on_progress:
        for file in files:
            deep = arguments.deep and sets.get(file) != []
            report = check_file(file, deep=deep, roots=arguments.root, on_progress=on_progress)
            reports.append(report)
            if on_progress is not None and report.deep is None:
                on_progress(_size(file))  # nothing of it was read
            if arguments.json:
                print(json.dumps(_as_json(report)), flush=True)
    if not arguments.json:
        show = _show if sys.stdout.isatty() and has_rich() else _print
        show(reports, paths)
    states = [report.status for report in reports]
    is_good = "bad" not in states and "good" in states
    return 1 if _tell_named_in_vain(reports, paths) or not is_good else 0


def _shards_to_read(files: Sequence[Path], roots: Sequence[str]) -> dict[Path, list[Path]]:
    """Of each set the files to read for it: none where all are checked by themselves as well."""
    found: dict[Path, list[Path]] = {}
    for file in files:
        if file.name.lower().endswith(SET_SUFFIX):
            shards = [file.with_name(name) for name in check_file(file, roots=roots).shards]
            found[file] = [] if set(shards) <= set(files) else shards
    return found


def _tell_named_in_vain(reports: Sequence[FileReport], paths: Sequence[str]) -> bool:
    """Says which files were asked for by name and cannot be checked; whether there are any."""
    named = [
        report.path
        for report in reports
        if report.status == "unchecked" and report.path in map(_as_path, paths)
    ]
    for path in named:
        print(
            f"hearth: {printable(path)} was not checked: name only safetensors files, or the "
            "folder it lies in",
            file=sys.stderr,
        )
    return bool(named)


def _as_path(text: str) -> str:
    return os.fspath(Path(text))


def has_rich() -> bool:
    """Whether tables and bars can be drawn."""
    try:
        import rich  # noqa: F401
    except ImportError:
        return False
    return True


def _as_json(report: FileReport) -> dict[str, object]:
    values = dataclasses.asdict(report)
    # A name may hold bytes that are no text; JSON has to carry them all the same.
    values["path"] = os.fsencode(report.path).decode("utf-8", "backslashreplace")
    return values


@contextlib.contextmanager
def _progress(files: Sequence[Path], *, show: bool) -> Iterator[Progress | None]:
    if not show:
        yield None
        return
    total = sum(map(_size, files))
    if not has_rich():
        with _plain_progress(total) as advance:
            yield advance
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as RichProgress

    columns = (BarColumn(None), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=total)
        yield lambda size: bar.advance(task, size)


@contextlib.contextmanager
def _plain_progress(total: int) -> Iterator[Progress]:
    """One line that is written over, at each percent."""
    done, shown = 0, -1

    def advance(size: int) -> None:
        nonlocal done, shown
        done += size
        percent = min(100, 100 * done // max(total, 1))
        if percent > shown:
            shown = percent
            line = f"reading {human_size(total)}: {percent} %"
            print(f"\r{line}", end="", file=sys.stderr, flush=True)

    try:
        yield advance
    finally:
        print(file=sys.stderr)


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _show(reports: Sequence[FileReport], paths: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", max_width=max(20, console.width // 3))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    for report in reports:
        mark, style = _MARKS[report.status]
        table.add_row(
            Text(mark, style),
            Text(printable(_short_path(report.path, paths))),
            Text(human_size(report.size)),
            Text(_verdict(report), style if report.status != "good" else ""),
        )
    console.print(table)
    console.print(Text(_summary(reports), "bold"))


def _print(reports: Sequence[FileReport], paths: Sequence[str]) -> None:
    """One line a file and no wrapping, for pipes and where `rich` is not installed."""
    for report in reports:
        path = printable(_short_path(report.path, paths))
        first, *more = _verdict(report).splitlines()
        print(f"{_MARKS[report.status][0]} {path}  {human_size(report.size)}  {first}")
        for line in more:
            print(f"    {line}")
    print(_summary(reports))


def _verdict(report: FileReport) -> str:
    if report.status != "good":
        return printable(report.error)
    largest_first = sorted(report.dtypes, key=lambda name: -report.dtypes[name])
    what = f"{report.tensors} tensor{'' if report.tensors == 1 else 's'}"
    parts = [f"{what}, {' '.join(largest_first)}" if largest_first else what]
    if report.shards:
        parts[0] += f", {report.kind} file{'' if len(report.shards) == 1 else 's'}"
    parts += [f"note: {warning}" for warning in report.warnings]
    if report.deep is not None:
        parts += _deep_lines(report)
    return _printable_lines(parts)


def _deep_lines(report: FileReport) -> list[str]:
    deep = report.deep
    assert deep is not None
    lines = [f"sha256 {digest} {shard}" for shard, digest in deep.shards.items()]
    lines = lines or [f"sha256 {deep.sha256}"]
    if deep.worst:
        nan, infinite = sum(deep.nan.values()), sum(deep.infinite.values())
        tensor, most_nan, most_infinite = deep.worst[0]
        lines.append(
            f"note: {nan} NaN and {infinite} infinite values, most in {tensor} "
            f"({most_nan} NaN, {most_infinite} infinite); pictures may come out black"
        )
    else:
        lines.append("no NaN, nothing infinite")
    speed = report.size / deep.seconds if deep.seconds > 0 else 0.0
    lines[-1] += f"; read at {human_size(int(speed))}/s"
    return lines


def _summary(reports: Sequence[FileReport]) -> str:
    if not reports:
        return "No checkpoint files found."
    count = {state: sum(r.status == state for r in reports) for state in _MARKS}
    parts = [f"{count['good']} good", f"{count['bad']} bad"]
    if count["unchecked"]:
        parts.append(f"{count['unchecked']} not checked")
    return ", ".join(parts) + "."


def _short_path(path: str, given: Sequence[str]) -> str:
    """Relative to the folder that was named, where one was."""
    for folder in given:
        if os.path.isdir(folder) and path.startswith(os.path.join(folder, "")):
            return os.path.relpath(path, folder)
    return path


def named(text: str) -> Path:
    """A path; Path("") would be the current folder, and is a variable that was not set."""
    if not text:
        raise argparse.ArgumentTypeError("an empty name")
    return Path(text)


def printable(text: str) -> str:
    """Names come from files and disks: nothing in them may drive the terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _printable_lines(lines: Sequence[str]) -> str:
    return "\n".join(printable(line) for line in lines)


def human_size(size: int) -> str:
    """For people: 12.3 GB."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
