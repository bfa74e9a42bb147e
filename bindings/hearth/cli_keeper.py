"""`hearth keeper`: a process that keeps the pages of model files in RAM."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from hearth import keeper
from hearth.cli_check import human_size, printable
from hearth.errors import HearthError, NoKeeperError

HELP = "keep model files in RAM for a restarted ComfyUI: start, stop, status, run"

_NOT_RUNNING = 3  # as `systemctl status` has it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `hearth keeper`."""
    what = parser.add_subparsers(dest="what", required=True, metavar="start|stop|status|run")
    start = what.add_parser("start", help="start it, unless it is there; it outlives this shell")
    run = what.add_parser("run", help="be it, in the foreground; for systemd and containers")
    for each in (start, run):
        each.add_argument(
            "--max-bytes", type=_natural, metavar="N", help="keep no more than this in RAM"
        )
        each.add_argument(
            "--keep-free-bytes",
            type=_natural,
            default=0,
            metavar="N",
            help="free RAM to leave to others, at least; 2 GiB or an eighth of the RAM always stay",
        )
    # For start(): the process that serves is nobody's child to wait for.
    run.add_argument("--detached", action="store_true", help=argparse.SUPPRESS)
    what.add_parser("stop", help="end it; what it has locked is the system's again")
    status = what.add_parser("status", help="say what it keeps; exit code 3: it is not running")
    status.add_argument("--json", action="store_true", help="as one JSON object")
    for each in what.choices.values():
        each.add_argument("--folder", type=Path, default=None, help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Does what was asked; 0 when that went well."""
    try:
        return int(_ACTIONS[arguments.what](arguments))
    except HearthError as error:
        print(f"hearth keeper: {error}", file=sys.stderr)
        return _NOT_RUNNING if arguments.what == "status" else 1


def _natural(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) >= 1 << 63:
        raise argparse.ArgumentTypeError(f"{text} is no number of bytes")
    return int(text)


def _start(arguments: argparse.Namespace) -> int:
    process = keeper.start(
        arguments.folder,
        max_bytes=arguments.max_bytes,
        keep_free_bytes=arguments.keep_free_bytes,
    )
    print(f"hearth keeper: running, process {process}")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    if arguments.detached and os.fork() != 0:
        os._exit(0)
    keeper.run(
        arguments.folder or keeper.socket_folder(),
        (arguments.max_bytes, arguments.keep_free_bytes),
        lambda: print(f"hearth keeper: running, process {os.getpid()}", flush=True),
        lambda line: print(line, file=sys.stderr, flush=True),
    )
    return 0


def _stop(arguments: argparse.Namespace) -> int:
    try:
        there = keeper.connect(arguments.folder)
    except NoKeeperError:
        print("hearth keeper: none is running")
        return 0
    with there:
        there.stop()
    print("hearth keeper: stopped")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    with keeper.connect(arguments.folder) as there:
        status = there.status()
    print(json.dumps(status) if arguments.json else _shown(status))
    return 0


def _shown(status: dict[str, Any]) -> str:
    files, locked = status["files"], human_size(status["locked_bytes"])
    lines = [f"running, process {status['pid']}; {len(files)} files, {locked} locked"]
    for file in files:
        held = f"held by {file['clients']} ComfyUI" if file["clients"] else "waiting for a ComfyUI"
        part = f"{human_size(file['locked_bytes'])} of {human_size(file['size'])} locked"
        where = "registered with a GPU, so not locked" if file["registered"] else part
        lines.append(f"  {printable(file['name'])}: {where}; {held}")
    if status["advice"]:
        lines.append(f"note: {status['advice']}")
    return "\n".join(lines)


_ACTIONS = {"start": _start, "run": _run, "stop": _stop, "status": _status}
