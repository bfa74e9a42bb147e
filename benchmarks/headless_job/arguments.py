"""Its command line, apart from it: `./dev run --help` needs nothing built."""

from __future__ import annotations

import argparse
from pathlib import Path

_FOR_COMFYUI = ("--models", "--workflow", "--cpu", "--comfy-flags")


def parse(arguments: list[str]) -> argparse.Namespace:
    """The arguments; ends the process with 2 and a line saying what is wrong, or after --help."""
    parser = argparse.ArgumentParser(
        prog="./dev run",
        description="Where no ComfyUI is found: three toy checkpoints of Z-Image's architecture in "
        "turn through `hearth run`, without and with the cache. With a ComfyUI "
        f"(COMFYUI_PATH) there are {', '.join(_FOR_COMFYUI)} as well.",
    )
    parser.add_argument("--repeat", type=int, default=20, help="images of each (default: 20)")
    parser.add_argument("--out", type=Path, help="where to write (default: runs/<time>)")
    given, others = parser.parse_known_args(arguments)
    if others and others[0].partition("=")[0] in _FOR_COMFYUI:
        parser.error(
            f"no ComfyUI was found, and without one there is no {others[0]}: set COMFYUI_PATH to "
            f"yours ({', '.join(_FOR_COMFYUI)} are for it)"
        )
    if others:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    if given.repeat < 1:
        parser.error("--repeat must be 1 or more")
    return given
