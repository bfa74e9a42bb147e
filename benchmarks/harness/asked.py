"""What the commands that measure rows are asked for, held against what there is."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path


def refuse_unknown(parser: argparse.ArgumentParser, asked: str, there: Iterable[str]) -> None:
    """Ends the process with 2 where a list with commas names what is not there."""
    known = list(there)
    unknown = sorted(set(asked.split(",")) - set(known))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")


def refuse_measured(parser: argparse.ArgumentParser, out: Path, *, append: bool) -> None:
    """Ends it likewise where the folder has lines of an earlier call that this is not to go on."""
    if (out / "rows.jsonl").exists() and not append:
        parser.error(f"{out.name} has figures already; add --append, or take another --out")
