"""The command `hearth`: one module a subcommand."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Protocol, cast

import hearth
from hearth.cli_check import printable
from hearth.interrupts import INTERRUPTED, ending_at_once


class Command(Protocol):
    """What the module of a subcommand has."""

    HELP: str  # one line

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares its arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Does it; returns the exit code."""


# Name -> module. To add a subcommand: write its module, add it here.
COMMANDS = {
    "bench": "hearth.cli_bench",
    "check": "hearth.cli_check",
    "doctor": "hearth.cli_doctor",
    "keeper": "hearth.cli_keeper",
    "run": "hearth.cli_run",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one subcommand; returns its exit code."""
    _open_closed_streams()
    try:
        with ending_at_once():
            command, chosen = _chosen(arguments)
        code = command.run(chosen)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("hearth: interrupted", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # that is `| head`, and nothing to tell
            place = f"{printable(str(error.filename))}: " if error.filename else ""
            print(f"hearth: {place}{error.strerror or error}", file=sys.stderr)
        # What could not be written is not to be tried again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1


def _open_closed_streams() -> None:
    """A job may be started without some. A file would get their numbers, and what native code
    prints would be written into it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


def _chosen(arguments: Sequence[str] | None) -> tuple[Command, argparse.Namespace]:
    parser = argparse.ArgumentParser(prog="hearth", description="Keeps diffusion models warm.")
    parser.add_argument("--version", action="version", version=f"hearth {hearth.__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands: dict[str, Command] = {}
    parsers: dict[str, argparse.ArgumentParser] = {}
    for name, module in COMMANDS.items():
        command = commands[name] = cast(Command, importlib.import_module(module))
        parsers[name] = subparsers.add_parser(name, help=command.HELP, description=command.HELP)
        command.add_arguments(parsers[name])
    chosen, unknown = parser.parse_known_args(arguments)
    if unknown:  # with the usage of the command, which parse_args() does not show
        parsers[chosen.command].error(f"unrecognized arguments: {' '.join(unknown)}")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for terminals without our letters
    return commands[chosen.command], chosen
