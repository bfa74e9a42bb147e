"""`hearth run`: executes ComfyUI workflows in API format, without ComfyUI."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path
from typing import Any

import hearth
from hearth.cli_check import named, printable
from hearth.errors import HearthError
from hearth.headless import allocator
from hearth.headless.ahead import read_ahead
from hearth.headless.faults import RefusedError
from hearth.headless.request import Job, Request, prepare
from hearth.interrupts import ending_at_once

HELP = "run ComfyUI workflows (API format) without ComfyUI, on hearth's own Z-Image engine"
_VARIABLE = "HEARTH_CONFIG"
_REFUSED = 2
_FAILED = 1
_SHOWN_FAULTS = 100
_NUMBERS = {
    "parity": "on a GPU: round where ComfyUI does; slower",
    "fp8": "on a GPU, experimental: multiply in 8-bit floats; faster, other images",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `hearth run`."""
    add = parser.add_argument
    add("workflows", nargs="+", type=named, metavar="WORKFLOW.json", help="run in turn")
    add(
        "--set",
        action="append",
        default=[],
        metavar="NODE.INPUT=VALUE",
        help="change an input of every workflow; may be repeated",
    )
    add("--models", type=named, default=_models(), metavar="DIR", help="ComfyUI's models folder")
    add("--out", type=named, default=Path("output"), metavar="DIR", help="default: output")
    add("--repeat", type=int, default=1, metavar="N", help="default: 1")
    add("--prompts", type=named, metavar="FILE", help="a run for each line, as positive prompt")
    add("--latent-out", type=named, metavar="FILE.safetensors", help="also write the latents")
    add("--json", type=named, metavar="REPORT", help="also write what happened")
    add("--tokenizer", type=named, metavar="PATH", help="Qwen's tokenizer, where it is not found")
    by_default = f"hearth.json; default: the one that {_VARIABLE} names"
    add("--config", type=named, metavar="FILE", help=by_default)
    add("--device", choices=("cpu", "cuda"), help="default: a GPU where there is one")
    numbers = parser.add_mutually_exclusive_group()
    for name, meaning in _NUMBERS.items():
        numbers.add_argument(
            f"--{name}", action="store_const", dest="numbers", const=name, help=meaning
        )
    parser.set_defaults(numbers="fast")


def run(arguments: argparse.Namespace) -> int:
    """0; 1 when a run failed, 2 when it was refused before anything was loaded."""
    try:
        with ending_at_once():
            job = _prepared(_request(arguments))
            if job is None:
                return _REFUSED
            # Computing imports torch; what is refused is not to wait for that.
            run_job = _import_job().run_job
        run_job(job)
    except HearthError as error:
        print(f"hearth: {printable(str(error))}", file=sys.stderr)
        return _FAILED
    return 0


def _request(arguments: argparse.Namespace) -> Request:
    variable = os.environ.get(_VARIABLE)
    from_variable = arguments.config is None and bool(variable)
    return Request(
        workflows=arguments.workflows,
        settings=arguments.set,
        models=arguments.models,
        out=arguments.out,
        repeat=arguments.repeat,
        prompts=arguments.prompts,
        latent_out=arguments.latent_out,
        report=arguments.json,
        tokenizer=arguments.tokenizer,
        config=Path(variable or "") if from_variable else arguments.config,
        config_named_by=_VARIABLE if from_variable else "--config",
        device=arguments.device,
        numbers=arguments.numbers,
    )


def _prepared(request: Request) -> Job | None:
    """None when it is refused; that is told. The models' files are being read ahead after this."""
    try:
        job = prepare(request)
    except RefusedError as refused:
        for fault in refused.faults[:_SHOWN_FAULTS]:
            print(f"hearth: {fault.line()}", file=sys.stderr)
        if len(refused.faults) > _SHOWN_FAULTS:
            more = len(refused.faults) - _SHOWN_FAULTS
            print(f"hearth: {more} more such lines", file=sys.stderr)
        return None
    for note in (note for plan in job.plans for note in plan.notes):
        print(f"hearth: {printable(note)}", file=sys.stderr)
    if request.config is not None and job.config is not None:
        hearth.runtime().configure(job.config, request.config.name)
    read_ahead(job.plans, job.models)
    os.environ.update(allocator.settings(os.environ))
    return job


def _import_job() -> Any:
    try:
        return importlib.import_module("hearth.headless.job")
    except ImportError as error:  # too little memory for it, or a torch that is broken
        raise HearthError(f"what computes cannot be imported: {error}") from error


def _models() -> Path:
    comfyui = os.environ.get("COMFYUI_PATH")
    return Path(comfyui, "models") if comfyui else Path("models")
