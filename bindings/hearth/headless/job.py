"""Carries out a checked request in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from hearth import engine
from hearth.headless import report, trace
from hearth.headless.executor import Executor, RunRecord
from hearth.headless.image_writer import ImageWriter
from hearth.headless.progress import listener
from hearth.headless.request import Job
from hearth.headless.told_runs import TellingListener, ToldRuns
from hearth.headless.whole_files import write_whole
from hearth.headless.work import Place


def run_job(job: Job) -> None:
    """Every run of the job, and its report. Raises HearthError; what was written before stays."""
    where = job.request.device or ("cuda" if torch.cuda.is_available() else "cpu")
    engine.start()
    runs = ToldRuns(job.count)
    try:
        with listener(job.count) as shown, ImageWriter() as writer, runs:
            where_to = job.models, job.request.out
            place = Place(*where_to, where, job.request.numbers, job.tokenizer, writer)
            executor = Executor(place, TellingListener(shown, runs))
            for number, run in enumerate(job.runs(), start=1):
                record = executor.run(run.plan)
                _write_latents(job, number, record)
                trace.tell(record)
                runs.add(run, record)
                engine.tidy()
    finally:
        if job.request.report is not None:
            report.write(job.request.report, where, runs.entries)


def _write_latents(job: Job, number: int, record: RunRecord) -> None:
    """As ComfyUI's SaveLatent; of several runs each has its number in its name."""
    path, latents = job.request.latent_out, record.latents
    if path is None or latents is None:
        return
    if job.count > 1:
        path = path.with_name(f"{path.stem}_{number:05}_{path.suffix}")
    data = _packed(latents)
    write_whole(path, lambda file: file.write(data))
    record.latents_file = path


def _packed(latents: Any) -> bytes:
    from safetensors.torch import save

    pack: Callable[..., bytes] = save
    latents = latents.cpu().contiguous()
    return pack({"latent_tensor": latents, "latent_format_version_0": torch.empty(0)})
