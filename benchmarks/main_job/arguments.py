"""The command line of the main job, apart from it: `./dev run --help` needs nothing built."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Workflow:
    """A graph and the name it goes by in the table."""

    name: str
    graph: dict[str, dict[str, Any]]


def read_workflow(name: str) -> Workflow:
    """The API-format graph in a file; throws argparse.ArgumentTypeError."""
    path = Path(name)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {path.resolve()}")
    try:
        graph = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(
            f"{path}: not a workflow that can be read: {error}"
        ) from error
    nodes = list(graph.values()) if isinstance(graph, dict) else []
    if not nodes or not all(isinstance(node, dict) and "class_type" in node for node in nodes):
        raise argparse.ArgumentTypeError(
            f"{path}: not in API format. In ComfyUI: Workflow > Export (API), and give that file."
        )
    return Workflow(path.stem, graph)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The arguments; ends the process with 2 and a line saying what is wrong, or after --help."""
    parser = argparse.ArgumentParser(
        prog="./dev run",
        description="Sends workflows to ComfyUI without and with hearth and compares.",
    )
    parser.add_argument("--models", type=Path, help="models folder (default: toy models are made)")
    parser.add_argument(
        "--workflow",
        type=read_workflow,
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
    if given.models is not None and not given.workflow:
        parser.error("--models needs --workflow: which graphs use those models?")
    if given.models is not None and not given.models.is_dir():
        parser.error(
            f"--models {given.models}: there is no such folder. Give the one that has checkpoints, "
            "diffusion_models, vae and so on in it, as ComfyUI's own models folder."
        )
    if given.repeat < 1:
        parser.error("--repeat must be 1 or more")
    return given
