"""The command line, apart from what it starts: `--help` needs no ComfyUI and no hearth."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.harness.asked import refuse_measured, refuse_unknown

_EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "api" / "z_image_turbo.json"


def parse(
    arguments: Sequence[str] | None, rows: Sequence[str], variants: Iterable[str], default: str
) -> argparse.Namespace:
    """The arguments; ends the process with 2 and a line saying what is wrong."""
    known = list(variants)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engine_rows",
        description="Measures ComfyUI, ComfyUI with hearth, with its engine's nodes too, hearth "
        "without ComfyUI, ComfyUI with its TorchCompileModel and with cuDNN's attention, each in "
        "one process of its own; a JSON line a row, and table.md.",
    )
    _add_places(parser)
    _add_amounts(parser)
    parser.add_argument("--rows", default=",".join(rows), help=f"of {', '.join(rows)}")
    parser.add_argument("--variants", default=default, help=f"of {', '.join(known)}")
    parser.add_argument("--append", action="store_true", help="go on; what was measured is skipped")
    given = parser.parse_args(arguments)
    refuse_unknown(parser, given.rows, rows)
    refuse_unknown(parser, given.variants, known)
    if min(given.count, given.seeds, given.loop_seconds) < 1 or given.limit <= 0:
        parser.error("--count, --seeds and --loop-seconds: 1 or more; --limit: more than 0")
    refuse_measured(parser, given.out, append=given.append)
    return given


def _add_places(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--models", type=Path, required=True, help="models folder")
    add("--workflow", type=Path, default=_EXAMPLE, help="default: examples/api/z_image_turbo.json")
    add("--out", type=Path, required=True, help="folder; lines go to rows.jsonl in it")
    add("--tokenizer", type=Path, help="for hearth without ComfyUI; default: that of ComfyUI")
    add("--pack", type=Path, action="append", default=[], help="node pack for every ComfyUI")
    add("--comfy-flags", default="", help="for every ComfyUI, as one text")
    add("--cpu", action="store_true")


def _add_amounts(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--count", type=int, default=5, help="images a row; twice as many are queued at once")
    add("--size", type=int, default=1024)
    add("--small", type=int, default=512)
    add("--loop-seconds", "--seconds", type=float, default=100.0, help="length of the open loops")
    add("--seeds", type=int, default=10, help="images that are compared between variants")
    add("--overloaded", action="store_true", help="open loops for who cannot keep pace, too")
    add("--limit", type=float, default=240.0, help="seconds a variant may take")
