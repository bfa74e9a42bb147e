"""Carries out a checked request in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from hearth import engine
from hearth.cli_check import printable
from hearth.errors import HearthError
from hearth.headless import report, trace
from hearth.headless.executor import Executor, RunRecord
from hearth.headless.image_writer import ImageWriter
from hearth.headless.progress import listener
from hearth.headless.request import Job
from hearth.headless.told_runs import TellingListener, ToldRuns
from hearth.headless.whole_files import said_of, write_whole
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
                trace.tell(record)
                runs.add(run, record)  # so that it is told also when the next line fails
                _write_latents(job, number, record)
                engine.tidy()
    except BaseException:  # Ctrl-C, too: what was done before is told, and then what ended it
        try:
            _write_report(job, where, runs)
        except HearthError as error:
            print(f"hearth: {printable(str(error))}", file=sys.stderr)
        raise
    _write_report(job, where, runs)


def _write_report(job: Job, where: str, runs: ToldRuns) -> None:
    if job.request.report is not None:
        with said_of("--json", job.request.report):
            report.write(job.request.report, where, runs.entries)


def _write_latents(job: Job, number: int, record: RunRecord) -> None:
    """As ComfyUI's SaveLatent; of several runs each has its number in its name."""
    path, latents = job.request.latent_out, record.latents
    if path is None or latents is None:
        return
    if job.count > 1:
        path = path.with_name(f"{path.stem}_{number:05}_{path.suffix}")
    data = _packed(latents)
    with said_of("--latent-out", path):
        write_whole(path, lambda file: file.write(data))
    record.latents_file = path


def _packed(latents: Any) -> bytes:
    from safetensors.torch import save

    pack: Callable[..., bytes] = save
    latents = latents.cpu().contiguous()
    return pack({"latent_tensor": latents, "latent_format_version_0": torch.empty(0)})
