"""`hearth bench load`: this machine's rates, hearth's and safetensors', on the user's own files."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hearth import device, host_files
from hearth.check import refuse_if_corrupt
from hearth.cli_check import has_rich, named, printable
from hearth.errors import HearthError
from hearth.load_bench import BytesDiffer, LoadBench, Row, clock, steps

HELP = "measure on your own files how fast they get into RAM and onto the GPU"

_WORDS = {
    "disk": "disk, {threads} threads",
    "host": "copy in RAM, {threads} threads",
    "bus": "bus, pinned memory (torch)",
    "read_ahead": "hearth: mapped and read, no copy",
    "register": "hearth: register with the GPU",
    "map_register_upload": "hearth: file to GPU, all included",
    "upload_registered": "hearth: host tier to GPU",
    "upload_ring": "hearth: through buffers to GPU",
    "safetensors": "safetensors to {device}, a copy",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `hearth bench`."""
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    load = what.add_parser("load", help=HELP, description=HELP)
    load.add_argument("files", nargs="+", type=named, metavar="FILE")
    load.add_argument("--repeat", type=_at_least(1), default=3, metavar="N", help="default: 3")
    load.add_argument("--device", type=_at_least(0), default=0, metavar="INDEX", help="which GPU")
    load.add_argument("--cold", action="store_true", help="also with the file's pages dropped")
    load.add_argument("--json", action="store_true", help="one JSON object a line and row")


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{least} or more")
        return value

    return number


def run(arguments: argparse.Namespace) -> int:
    """Measures all files; 0, or 1 when a file cannot be read or its bytes did not arrive."""
    machine = _machine(arguments.device)
    reason = str(machine["no_gpu"])
    benches = [
        LoadBench(path, reason, arguments.device, arguments.repeat, arguments.cold)
        for path in arguments.files
    ]
    rows: list[Row] = []

    def take(row: Row) -> None:
        rows.append(row)
        if arguments.json:
            print(json.dumps(row), flush=True)

    take(machine)
    code = 0
    for bench in benches:
        try:
            _measure(bench, take)
        except (BytesDiffer, HearthError, OSError) as error:
            print(f"hearth: {printable(str(error))}", file=sys.stderr)
            code = 1
    if not arguments.json:
        _print(rows)
    return code


def _machine(index: int) -> Row:
    found = device.probe()
    reason = "" if found.devices else found.reason or "the driver lists none"
    context: list[float] = []
    if not reason:
        with clock(context):
            device.open_device(index)
    return {
        "row": "machine",
        "driver_version": found.driver_version,
        "no_gpu": reason.rstrip("."),
        "devices": [vars(gpu) for gpu in found.devices],
        "context_seconds": context,
        "copies_span_ranges": not reason and device.devices().copies_span_ranges(),
    }


def _measure(bench: LoadBench, take: Callable[[Row], None]) -> None:
    refuse_if_corrupt(bench.path)
    host_files.tier().hold(bench.path).close()  # says what is wrong with it before any row
    todo = steps(bench)
    with _progress(bench, len(todo)) as advance:
        for step in todo:
            for row in step():
                take(row)
            advance()


@contextlib.contextmanager
def _progress(bench: LoadBench, total: int) -> Iterator[Callable[[], Any]]:
    if not (sys.stderr.isatty() and has_rich()):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(None), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(printable(bench.path.name), total=total)
        yield lambda: bar.advance(task)


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    """What it is, the page cache, GB/s, and median and worst seconds; or why it was left out."""
    words = _WORDS[row["row"]].format_map({"threads": "", "device": "GPU"} | row)
    if "left_out" in row:
        return words, row["cache"], "–", "not measured: " + printable(row["left_out"]), ""
    rate = "–" if row["gb_per_s"] is None else f"{row['gb_per_s']:.2f}"
    return words, row["cache"], rate, f"{row['seconds']:.3f}", f"{row['worst_seconds']:.3f}"


def _print(rows: Sequence[Row]) -> None:
    """A block a file; median and worst of the repeats."""
    machine, *measured = rows
    gpus = ", ".join(gpu["name"] for gpu in machine["devices"])
    print(gpus or f"Without a GPU: {machine['no_gpu']}. Only the host's part is measured.")
    for file in dict.fromkeys(row["file"] for row in measured):
        mine = [row for row in measured if row["file"] == file]
        size = next((row["bytes"] for row in mine if "bytes" in row and row["row"] != "bus"), 0)
        print(f"\n{printable(file)}, {size / 1e9:.2f} GB, median and worst")
        print(f"{'':<36}{'page cache':<11}{'GB/s':>8}{'s':>9}{'worst s':>9}")
        for row in mine:
            what, cache, rate, seconds, worst = _cells(row)
            if worst:
                print(f"{what:<36}{cache:<11}{rate:>8}{seconds:>9}{worst:>9}")
            else:
                print(f"{what:<36}{cache:<11}{seconds}")
