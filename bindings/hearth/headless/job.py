"""Carries out a checked request in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from hearth import engine
from hearth.cli_check import printable
from hearth.headless import report, trace
from hearth.headless.executor import Executor, RunRecord
from hearth.headless.progress import listener
from hearth.headless.request import Job
from hearth.headless.whole_files import write_whole
from hearth.headless.work import Place


def run_job(job: Job) -> None:
    """Every run of the job, and its report. Raises HearthError; what was written before stays."""
    where = job.request.device or ("cuda" if torch.cuda.is_available() else "cpu")
    engine.start()
    fast = where != "cpu" and not job.request.parity
    place = Place(job.models, job.request.out, where, fast, job.tokenizer)
    entries: list[report.Entry] = []
    try:
        with listener(job.count) as on_progress:
            executor = Executor(place, on_progress)
            for number, run in enumerate(job.runs(), start=1):
                record = executor.run(run.plan)
                which = {"workflow": run.plan.graph.name, "prompt": run.prompt}
                entries.append((which, record))
                _write_latents(job, number, record)
                trace.tell(record)
                _tell(job, number, run.plan.graph.name, record)
                engine.tidy()
    finally:
        if job.request.report is not None:
            report.write(job.request.report, where, entries)


def _tell(job: Job, number: int, name: str, record: RunRecord) -> None:
    first, *more = report.lines(record)
    print(printable(f"{name}, run {number} of {job.count}: {first}"))
    for line in more:
        print(printable(line), flush=True)


def _write_latents(job: Job, number: int, record: RunRecord) -> None:
    """As ComfyUI's SaveLatent; of several runs each has its number in its name."""
    path, latents = job.request.latent_out, record.latents
    if path is None or latents is None:
        return
    if job.count > 1:
        path = path.with_name(f"{path.stem}_{number:05}_{path.suffix}")
    data = _packed(latents)
    write_whole(path, lambda file: file.write(data))
    record.files.append(path)


def _packed(latents: Any) -> bytes:
    from safetensors.torch import save

    pack: Callable[..., bytes] = save
    return pack({"latent_tensor": latents.contiguous(), "latent_format_version_0": torch.empty(0)})
