"""The command line, apart from what it starts."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.harness.asked import refuse_measured, refuse_unknown

_DEFAULT_VARIANTS = "stock,cache_lru,cache_ram,hearth_prewarmed"
_CACHES = ("warm", "cold", "kept", "as_is")


def parse(
    arguments: Sequence[str] | None, rows: Sequence[str], variants: Iterable[str]
) -> argparse.Namespace:
    """The arguments; ends the process with 2 and a line saying what is wrong."""
    known = list(variants)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rows",
        description="Measures ComfyUI's ways of keeping models and hearth's beside each other, "
        "each in servers of its own; a JSON line a row, in rows.jsonl.",
    )
    parser.add_argument("--rows", default=",".join(rows), help=f"of {', '.join(rows)}")
    parser.add_argument("--variants", default=_DEFAULT_VARIANTS, help=f"of {', '.join(known)}")
    _add_places(parser)
    _add_amounts(parser)
    given = parser.parse_args(arguments)
    refuse_unknown(parser, given.rows, rows)
    refuse_unknown(parser, given.variants, known)
    refuse_unknown(parser, given.page_cache, _CACHES)
    refuse_measured(parser, given.out, append=given.append)
    return given


def _add_places(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--models", type=Path, required=True, help="models folder")
    add(
        "--workflow",
        action="append",
        required=True,
        help="A, then B, then C …; FILE=NAME has the diffusion model NAME in it instead",
    )
    add("--out", type=Path, required=True, help="folder; lines go to rows.jsonl")
    add(
        "--page-cache",
        default="warm",
        help=f"before each start; of {', '.join(_CACHES)}. Rows that are not about the start are "
        "measured in the first of them",
    )
    add("--append", action="store_true", help="go on; what was measured is skipped")
    add("--cpu", action="store_true")


def _add_amounts(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--quick", action="store_true", help="a look: 3 samples, 20 requests on end, 4 rounds")
    add("--count", type=_positive, help="samples a row (5)")
    add("--loop", type=_positive, help="requests on end (100)")
    add("--rounds", type=_positive, help="rounds over all workflows (20)")
    add("--starts", type=_positive, default=1, help="process starts of each variant, in turn")
    add("--limit", type=float, default=float("inf"), help="seconds after which no row begins")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("1 or more")
    return value
