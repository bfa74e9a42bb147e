"""Command line of the main job without ComfyUI; see `--help`."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.harness import toy_zimage
from benchmarks.headless_job.arguments import parse
from benchmarks.main_job.report import commit, machine

_ROOT = Path(__file__).resolve().parents[2]
_IMAGE_SIZE, _STEPS = 96, 4
_MIB = 1 << 20
# What each column keeps: nothing, or all that there is.
_CONFIGS: dict[str, dict[str, Any]] = {
    "cold": {"keep_model_in_memory": False},
    "resident": {"max_cached_models": len(toy_zimage.TRANSFORMERS)},
}


@dataclass(frozen=True)
class Phase:
    """One process that made all images."""

    name: str
    seconds: float
    report: dict[str, Any]

    @property
    def runs(self) -> list[dict[str, Any]]:
        """The images in order."""
        found: list[dict[str, Any]] = self.report["runs"]
        return found

    def loads(self) -> Counter[str]:
        """How often each model was loaded."""
        events = [event for run in self.runs for event in run["events"]]
        return Counter(event["model"] for event in events if event["kind"] == "opened")

    def loading(self) -> list[float]:
        """Seconds of every load."""
        events = [event for run in self.runs for event in run["events"]]
        return [event.get("ms", 0.0) / 1000 for event in events if event["kind"] == "opened"]

    def pixels(self, out: Path) -> list[bytes]:
        """Of every image."""
        from PIL import Image

        files = [out / file for run in self.runs for file in run["files"]]
        return [Image.open(file).tobytes() for file in files]


def main(arguments: list[str] | None = None) -> int:
    """Runs both; 0 when the images are equal and nothing resident was loaded twice, else 1."""
    given = parse(sys.argv[1:] if arguments is None else arguments)
    console = Console()
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    out = (given.out or _ROOT / "runs" / stamp).resolve()
    console.print(
        "No ComfyUI found (COMFYUI_PATH names one): this is hearth's own Z-Image, at toy size, "
        "without the cache (cold) and with it (resident).\n"
        "Toy files load in milliseconds: what counts here is how often.",
        highlight=False,
        soft_wrap=True,
    )
    command = _prepare(out, given.repeat)
    phases = [_run(name, out, command) for name in _CONFIGS]
    faults = _faults(out, phases, given.repeat)
    _print(console, phases)
    report = out / "report.json"
    body = {"commit": commit(), "machine": machine(), "faults": faults}
    body["phases"] = {phase.name: phase.report for phase in phases}
    report.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
    console.print(f"images: {out / '*' / '*.png'}\nreport: {report}", soft_wrap=True)
    for fault in faults:
        console.print(f"[red]FAILED[/red] {fault}", highlight=False)
    if not faults:
        console.print("[green]OK[/green] same pixels, and no resident model was loaded twice")
    return 1 if faults else 0


def _prepare(out: Path, repeat: int) -> list[str]:
    """Writes models, workflows, prompts and configs; the command that runs them."""
    models = toy_zimage.write_all(out / "models")
    workflows = []
    for name in toy_zimage.TRANSFORMERS:
        graph = toy_zimage.graph(name, size=_IMAGE_SIZE, steps=_STEPS)
        workflows.append(out / f"{Path(name).stem}.json")
        workflows[-1].write_text(json.dumps(graph, indent=2), encoding="utf-8")
    prompts = out / "prompts.txt"
    lines = [f"a lighthouse in the snow, number {number}" for number in range(repeat)]
    prompts.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, config in _CONFIGS.items():
        (out / f"{name}.hearth.json").write_text(json.dumps(config), encoding="utf-8")
    command = [sys.executable, "-m", "hearth", "run", *map(str, workflows)]
    command += ["--models", str(models), "--tokenizer", str(models / toy_zimage.TOKENIZER)]
    return [*command, "--prompts", str(prompts), "--device", "cpu"]


def _run(name: str, out: Path, command: list[str]) -> Phase:
    print(f"{name}: see {out / name}.log", flush=True)
    options = ["--out", name, "--config", f"{name}.hearth.json", "--json", f"{name}.json"]
    env = {**os.environ, "PYTHONPATH": str(_ROOT / "bindings")}
    began = time.monotonic()
    with (out / f"{name}.log").open("w", encoding="utf-8") as log:
        # At toy size a second thread costs more than it brings.
        env.setdefault("OMP_NUM_THREADS", "1")
        done = subprocess.run([*command, *options], cwd=out, env=env, stdout=log, stderr=log)
    if done.returncode != 0:
        log_text = (out / f"{name}.log").read_text(encoding="utf-8")
        raise SystemExit(f"hearth run ended with {done.returncode}:\n{log_text[-2000:]}")
    report = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
    return Phase(name, time.monotonic() - began, report)


def _faults(out: Path, phases: list[Phase], repeat: int) -> list[str]:
    cold, resident = phases
    images = repeat * len(toy_zimage.TRANSFORMERS)
    found = []
    for phase in phases:
        if len(phase.pixels(out)) != images:
            found.append(f"{phase.name}: {len(phase.pixels(out))} images instead of {images}")
    if cold.pixels(out) != resident.pixels(out):
        found.append("the images of a resident model are others than those of one loaded anew")
    if len(set(resident.pixels(out))) != images:
        found.append("two of the images are the same")
    twice = [name for name, count in resident.loads().items() if count > 1]
    found += [f"{name} was loaded more than once and was to stay" for name in twice]
    return found


def _print(console: Console, phases: list[Phase]) -> None:
    table = Table(
        title="Three Z-Image checkpoints in turn, a new prompt each", title_justify="left"
    )
    table.add_column("")
    for phase in phases:
        table.add_column(phase.name, justify="right")
    for name in sorted({name for phase in phases for name in phase.loads()}):
        table.add_row(f"loads of {name}", *(str(phase.loads()[name]) for phase in phases))
    table.add_row("hits", *(str(sum(run["hits"] for run in phase.runs)) for phase in phases))
    table.add_row("a load: median (worst)", *(_milliseconds(phase.loading()) for phase in phases))
    table.add_row("images", *(str(len(phase.runs)) for phase in phases))
    table.add_row("all, with the start of Python", *(f"{phase.seconds:.1f} s" for phase in phases))
    table.add_row("first image", *(_milliseconds([p.runs[0]["seconds"]]) for p in phases))
    table.add_row(
        "further images: median (worst)",
        *(_milliseconds([run["seconds"] for run in phase.runs[1:]]) for phase in phases),
    )
    peaks = [phase.report["peak_rss_bytes"] for phase in phases]
    table.add_row("host RAM, peak", *(f"{peak / _MIB:,.0f} MiB" for peak in peaks))
    console.print(table)


def _milliseconds(seconds: list[float]) -> str:
    median, worst = statistics.median(seconds) * 1000, max(seconds) * 1000
    return f"{median:.0f} ms ({worst:.0f} ms)" if len(seconds) > 1 else f"{median:.0f} ms"


if __name__ == "__main__":
    sys.exit(main())
