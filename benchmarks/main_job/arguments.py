"""The command line of the main job, apart from it: `./dev run --help` needs nothing built."""

from __future__ import annotations

import argparse
from pathlib import Path


def parse(arguments: list[str]) -> argparse.Namespace:
    """The arguments; ends the process with 2 and a line saying what is wrong, or after --help."""
    parser = argparse.ArgumentParser(
        prog="./dev run",
        description="Sends workflows to ComfyUI without and with hearth and compares.",
    )
    parser.add_argument("--models", type=Path, help="models folder (default: toy models are made)")
    parser.add_argument(
        "--workflow",
        type=Path,
        action="append",
        default=[],
        help="API-format graph; give it again for the next one in the turn",
    )
    parser.add_argument(
        "--repeat", type=int, default=3, help="turns through the workflows (default: 3)"
    )
    parser.add_argument("--out", type=Path, help="where to write (default: runs/<time>)")
    parser.add_argument("--cpu", action="store_true", help="run ComfyUI without the GPU")
    parser.add_argument(
        "--comfy-flags",
        nargs=argparse.REMAINDER,
        default=[],
        help="the rest of the line goes to ComfyUI, e.g. --cache-lru 100",
    )
    given = parser.parse_args(arguments)
    for workflow in given.workflow:
        if not workflow.is_file():
            parser.error(f"--workflow: there is no file {workflow.resolve()}")
    if given.models is not None and not given.workflow:
        parser.error("--models needs --workflow: which graphs use those models?")
    if given.repeat < 1:
        parser.error("--repeat must be 1 or more")
    return given
