"""Runs rows on variants and appends one JSON line per row; what the file has already is skipped."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.harness.client import ComfyClient
from benchmarks.harness.comfy_server import (
    REPOSITORY,
    SPY_PACK,
    ComfyServer,
    ServerSpec,
    find_comfy,
)
from benchmarks.harness.hearth_face import HearthConfig, HearthFace, wait_until
from benchmarks.harness.workflows import with_diffusion_model
from benchmarks.rows import page_cache
from benchmarks.rows.catalogue import ROWS, Row, Samples
from benchmarks.rows.session import Session
from benchmarks.rows.variants import VARIANTS, Variant


@dataclass(frozen=True)
class Plan:
    """What is to be measured, and where."""

    rows: tuple[Row, ...]
    graphs: dict[str, dict[str, Any]]
    models: Path
    out: Path
    count: int
    starts: int
    cold: bool
    cpu: bool


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rows", description=__doc__)
    parser.add_argument("--rows", default=",".join(names), help=f"of {', '.join(names)}")
    parser.add_argument("--variants", default="stock,hearth", help=f"of {', '.join(VARIANTS)}")
    parser.add_argument("--models", type=Path, required=True, help="models folder")
    parser.add_argument(
        "--workflow",
        action="append",
        required=True,
        help="A, then B, then C …; FILE=NAME has the diffusion model NAME in it instead",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder; lines go to rows.jsonl")
    parser.add_argument("--count", type=int, default=5, help="samples a row")
    parser.add_argument("--starts", type=int, default=1, help="process starts for first_image")
    parser.add_argument(
        "--cold", action="store_true", help="drop the models from the page cache before each start"
    )
    parser.add_argument("--cpu", action="store_true")
    given = parser.parse_args(arguments)
    for asked, known in ((given.rows, names), (given.variants, list(VARIANTS))):
        unknown = sorted(set(asked.split(",")) - set(known))
        if unknown:
            parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    return given


def _graph(wish: str) -> dict[str, Any]:
    file, _, model = wish.partition("=")
    graph: dict[str, Any] = json.loads(Path(file).read_text(encoding="utf-8"))
    return with_diffusion_model(graph, model) if model else graph


def _done(lines: Path) -> set[tuple[str, str]]:
    if not lines.exists():
        return set()
    entries = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    return {(entry["variant"], entry["row"]) for entry in entries}


def _machine() -> dict[str, str]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    stamp = REPOSITORY / "COMMIT"  # of a tree without its repository
    if not commit and stamp.exists():
        commit = stamp.read_text(encoding="ascii").strip()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {"commit": commit, "gpu": gpu, "torch": torch.__version__, "cpu": platform.machine()}


def _spec(plan: Plan, variant: Variant) -> ServerSpec:
    base = (plan.out / variant.name).resolve()
    base.mkdir(parents=True, exist_ok=True)
    packs, environment = {"spy": SPY_PACK}, dict(variant.environment)
    if variant.config is not None:
        config = HearthConfig(base / "hearth.json")
        config.write({**variant.config, **(_prewarm(plan) if variant.prewarm else {})})
        packs["hearth"] = REPOSITORY
        environment["HEARTH_CONFIG"] = str(config.path)
    flags = (*(("--cpu",) if plan.cpu else ()), *variant.flags)
    models = plan.models.resolve()
    return ServerSpec(find_comfy(), base, models, packs=packs, flags=flags, env=environment)


def _prewarm(plan: Plan) -> dict[str, Any]:
    workflow = plan.out / "prewarm.json"
    workflow.write_text(json.dumps(plan.graphs["A"]), encoding="utf-8")
    models = [
        str(node["inputs"]["unet_name"])
        for node in plan.graphs["B"].values()
        if node["class_type"] == "UNETLoader"
    ]
    return {"prewarm": {"workflows": [str(workflow.resolve())], "models": models}}


def _seconds_until_ready(server: ComfyServer, started: float) -> float:
    face = HearthFace(ComfyClient(server.url))
    wait_until(face.is_ready, "hearth to be ready")
    return time.monotonic() - started


@contextmanager
def _running(plan: Plan, variant: Variant) -> Iterator[Session]:
    (page_cache.drop if plan.cold else page_cache.fill)(plan.models)
    started = time.monotonic()
    with ComfyServer(_spec(plan, variant)) as server:
        answered = time.monotonic() - started
        ready = _seconds_until_ready(server, started) if variant.has_hearth else answered
        yield Session(variant, server, dict(plan.graphs), answered, ready)


def _first_images(plan: Plan, variant: Variant) -> list[Samples]:
    """Of all process starts but the last."""
    [row] = [row for row in ROWS if row.name == "first_image"]
    samples = []
    for _ in range(plan.starts - 1):
        with _running(plan, variant) as session:
            samples.append(row.measure(session, 1))
    return samples


def _flat(name: str, samples: Sequence[Samples]) -> list[float]:
    return [value for each in samples for value in each[name]]


def _measure(plan: Plan, variant: Variant, lines: Path, console: Console) -> None:
    done = _done(lines)
    rows = [row for row in plan.rows if (variant.name, row.name) not in done]
    if not rows:
        return
    earlier = _first_images(plan, variant) if rows[0].name == "first_image" else []
    with _running(plan, variant) as session:
        for row in rows:
            session.pixels.clear()
            samples = row.measure(session, plan.count)
            if row.name == "first_image":
                samples = {name: [*_flat(name, earlier), *samples[name]] for name in samples}
            entry: dict[str, Any] = {"variant": variant.name, "row": row.name, "samples": samples}
            entry |= {"pixels": session.pixels, "reads": len(session.server.reads())}
            entry |= {"page_cache": "cold" if plan.cold else "warm"} | _machine()
            with lines.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
            shown = {name: [round(each, 3) for each in values] for name, values in samples.items()}
            console.print(f"{variant.name} {row.name}: {shown}", highlight=False, soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every row of every variant was measured; a variant that fails is named."""
    given = _parse(arguments)
    graphs = {chr(ord("A") + place): _graph(each) for place, each in enumerate(given.workflow)}
    wanted = set(given.rows.split(","))
    rows = tuple(row for row in ROWS if row.name in wanted)
    wishes = (given.count, given.starts, given.cold, given.cpu)
    plan = Plan(rows, graphs, given.models, given.out, *wishes)
    plan.out.mkdir(parents=True, exist_ok=True)
    console, failed = Console(), False
    for name in given.variants.split(","):
        try:
            _measure(plan, VARIANTS[name], plan.out / "rows.jsonl", console)
        except Exception as error:  # the other variants are still worth their time
            failed = True
            console.print(f"{name}: FAILED: {error}", highlight=False, soft_wrap=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
