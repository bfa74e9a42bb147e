"""Command line of the main job; see `--help`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.harness import toy_models
from benchmarks.harness.client import PromptFailedError, PromptRefusedError
from benchmarks.harness.comfy_server import (
    REPOSITORY,
    SPY_PACK,
    ComfyNotFoundError,
    ComfyStartError,
    ServerSpec,
    find_comfy,
)
from benchmarks.harness.workflows import sd3_graph
from benchmarks.main_job import report, verdict
from benchmarks.main_job.arguments import Workflow, parse
from benchmarks.main_job.phase import PhaseResult, requests_of, run_phase, warm_up

_CANNOT_RUN = 2
_FAILED = 1
_INTERRUPTED = 130


@dataclass(frozen=True)
class Job:
    """What is to be run, checked and complete."""

    comfy: Path
    models: Path
    out: Path
    workflows: list[Workflow]
    repeat: int
    flags: tuple[str, ...]


def _job(given: argparse.Namespace) -> Job:
    comfy = find_comfy()
    workflows = given.workflow or _toy_workflows()
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    out = (given.out or REPOSITORY / "runs" / stamp).resolve()
    out.mkdir(parents=True, exist_ok=True)
    flags = tuple(given.comfy_flags)
    if given.cpu or not torch.cuda.is_available():
        flags = ("--cpu", *flags)
    return Job(
        comfy=comfy,
        models=given.models or toy_models.write_all(out / "models"),
        out=out,
        workflows=workflows,
        repeat=given.repeat,
        flags=flags,
    )


def _toy_workflows() -> list[Workflow]:
    return [Workflow(letter.upper(), sd3_graph(f"toy_sd3_{letter}.safetensors")) for letter in "ab"]


def _run(job: Job, console: Console) -> int:
    phases = _phases(job, console)
    found = verdict.faults(*phases)
    report_path = job.out / "report.json"
    report.write_json(report_path, phases, found)
    places = {"images": job.out / "*" / "output", "report": report_path}
    report.print_table(console, phases, places)
    for fault in found:
        console.print(f"[red]FAILED[/red] {fault}", highlight=False)
    if not found:
        console.print("[green]OK[/green] same pixels, and no resident model was read twice")
    return _FAILED if found else 0


def _phases(job: Job, console: Console) -> tuple[PhaseResult, PhaseResult]:
    requests = requests_of(job.workflows, job.repeat)
    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        steps = 2 * (len(requests) + 1) + len(job.workflows) + 1
        task = bar.add_task("starting ComfyUI", total=steps)

        def advance(text: str) -> None:
            bar.update(task, advance=1, description=text)
            if not console.is_terminal:
                console.print(text, highlight=False, soft_wrap=True)

        def phase(name: str, **packs: Path) -> PhaseResult:
            base = job.out / name.replace(" ", "_")
            spec = ServerSpec(job.comfy, base, job.models, packs=packs, flags=job.flags)
            return run_phase(name, spec, requests, advance)

        with tempfile.TemporaryDirectory(prefix="hearth-run-") as base:
            stock = ServerSpec(job.comfy, Path(base), job.models, flags=job.flags)
            warm_up(stock, job.workflows, advance)
        alone = phase("ComfyUI alone", spy=SPY_PACK)
        return alone, phase("with hearth", spy=SPY_PACK, hearth=REPOSITORY)


def main(arguments: list[str] | None = None) -> int:
    """Runs the main job; 0 when its claims hold, 1 when not, 2 when it cannot be run."""
    given = parse(sys.argv[1:] if arguments is None else arguments)
    console = Console()
    try:
        return _run(_job(given), console)
    except ComfyNotFoundError as refusal:
        console.print(str(refusal), soft_wrap=True, highlight=False)
        return _CANNOT_RUN
    except PromptRefusedError as refusal:
        console.print("ComfyUI refuses a workflow:", highlight=False)
        console.print(str(refusal), soft_wrap=True, highlight=False, markup=False)
        if given.models is None and given.workflow:
            console.print("It has toy models only: --models DIR names your own.", highlight=False)
        return _CANNOT_RUN
    except (ComfyStartError, PromptFailedError, TimeoutError) as failure:
        console.print(f"[red]FAILED[/red] {failure}", soft_wrap=True, highlight=False)
        return _FAILED
    except KeyboardInterrupt:
        console.print("interrupted: nothing was compared; what was made is in --out, or runs/")
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
