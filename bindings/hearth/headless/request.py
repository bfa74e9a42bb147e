"""What one `hearth run` asks for, checked as a whole: every fault at once, nothing loaded."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import hearth
from hearth import qwen_tokenizer
from hearth.headless import graph, needs, settings
from hearth.headless.checks import Plan, check
from hearth.headless.device_faults import faults_of_device
from hearth.headless.faults import Fault, RefusedError
from hearth.headless.model_files import faults_of_files, paths_of
from hearth.headless.model_lists import FOLDERS, ModelLists
from hearth.headless.places import faults_of_overwriting, faults_of_places, faults_of_prefixes
from hearth.text_files import read_config

_SAMPLERS = ("KSampler", "KSamplerAdvanced", "HearthKSampler", "HearthKSamplerAdvanced")


@dataclass(frozen=True)
class Request:
    """The command line as values."""

    workflows: Sequence[Path]
    settings: Sequence[str]
    models: Path
    out: Path
    repeat: int = 1
    prompts: Path | None = None
    latent_out: Path | None = None
    report: Path | None = None
    tokenizer: Path | None = None
    config: Path | None = None
    config_named_by: str = "--config"
    """The option or the variable of the environment that names it."""
    device: str | None = None
    """cpu or cuda; None: a GPU where there is one."""
    numbers: Literal["parity", "fast", "fp8"] = "fast"
    """On a GPU; as engine.Numbers, which would import torch."""

    @property
    def files(self) -> dict[str, Path]:
        """Those that are written, by their option; images have names of their own."""
        named = {"--latent-out": self.latent_out, "--json": self.report}
        return {option: path for option, path in named.items() if path is not None}

    @property
    def added_bytes(self) -> int:
        """What a run's latents add to the name where there are several runs."""
        is_one = self.repeat == 1 and len(self.workflows) == 1 and self.prompts is None
        return 0 if is_one else len("_00001_")


@dataclass(frozen=True)
class Run:
    """One execution of one workflow."""

    plan: Plan
    prompt: str | None
    """Of `--prompts`; None: as the workflow has it."""


@dataclass
class Job:
    """A request that can be run."""

    request: Request
    models: ModelLists
    plans: list[Plan]
    config: str | None = None
    """Text of the config file."""
    tokenizer: qwen_tokenizer.Tokenizer | None = None
    prompts: list[str] = field(default_factory=list)
    prompt_nodes: list[str] = field(default_factory=list)
    """For each plan the node whose text is replaced."""

    def runs(self) -> Iterator[Run]:
        """Every execution in order: prompt by prompt, and for each the workflows in turn."""
        for _ in range(self.request.repeat):
            for prompt in self.prompts or (None,):
                for number, plan in enumerate(self.plans):
                    if prompt is None:
                        yield Run(plan, None)
                    else:
                        yield Run(_with_text(plan, self.prompt_nodes[number], prompt), prompt)

    @property
    def count(self) -> int:
        """How many executions there are."""
        return self.request.repeat * max(1, len(self.prompts)) * len(self.plans)


def prepare(request: Request) -> Job:
    """Throws RefusedError with every fault of the request."""
    faults = _places(request)
    job = Job(request, ModelLists(request.models), [])
    for path in request.workflows:
        try:
            plan = _plan(path, request, job.models)
        except RefusedError as refused:
            faults += refused.faults
            continue
        job.plans.append(plan)
        faults += plan.faults
    whole = [plan for plan in job.plans if not plan.faults]
    if request.prompts is not None:
        faults += _take_prompts(job, request.prompts, whole)
    writes_latents = request.latent_out is not None
    if writes_latents and whole and not any(map(_samples, whole)):
        faults.append(Fault("--latent-out: no sampler is there whose latents could be written"))
    if job.models.is_there:
        faults += faults_of_files(whole, job.models)
        faults += faults_of_overwriting(request.files, _read_by(request, whole, job.models))
    faults += faults_of_prefixes(whole, request.out)
    faults += needs.missing_packages(whole, writes_latents=writes_latents)
    faults += _config_faults(job) + faults_of_device(request.device, request.numbers)
    job.tokenizer, further = needs.tokenizer_for(whole, job.prompts, request.tokenizer)
    if faults + further:
        raise RefusedError([*faults, *further])
    return job


def _take_prompts(job: Job, file: Path, whole: list[Plan]) -> list[Fault]:
    faults: list[Fault] = []
    try:
        job.prompts = settings.read_prompts(file)
    except RefusedError as refused:
        faults += refused.faults
    for plan in whole:
        try:
            job.prompt_nodes.append(settings.prompt_node(plan))
        except RefusedError as refused:
            faults += refused.faults
    return faults


def _plan(path: Path, request: Request, models: ModelLists) -> Plan:
    found = graph.read(path)
    faults = settings.apply(found, request.settings)
    plan = check(found, models)
    plan.faults += faults
    return plan


def _places(request: Request) -> list[Fault]:
    faults: list[Fault] = []
    if request.repeat < 1:
        faults.append(Fault(f"--repeat: 1 or more, not {request.repeat}"))
    if not os.path.isdir(request.models):  # Path.is_dir() throws where one may not look
        there = f"--models: there is no folder {request.models}"
        faults.append(Fault(f"{there}; name that of a ComfyUI, or set COMFYUI_PATH"))
    elif not ModelLists(request.models).is_there:
        folders = ", ".join(each for all_ in FOLDERS.values() for each in all_)
        faults.append(
            Fault(f"--models: {request.models} is no models folder; it has none of {folders}")
        )
    faults += faults_of_places(request.out, request.files, request.added_bytes)
    if request.latent_out is not None and request.latent_out.suffix != ".safetensors":
        faults.append(Fault(f"--latent-out: {request.latent_out.name} has to end in .safetensors"))
    return faults


def _read_by(request: Request, whole: list[Plan], models: ModelLists) -> Iterator[Path]:
    named = (*request.workflows, request.prompts, request.tokenizer, request.config)
    yield from (path for path in named if path is not None)
    yield from paths_of(whole, models)


def _config_faults(job: Job) -> list[Fault]:
    path = job.request.config
    if path is None:
        return []
    name = f"{job.request.config_named_by} {path}"
    try:
        job.config = read_config(path)
    except OSError as error:
        return [Fault(f"{name}: cannot be read: {error.strerror}")]
    except ValueError as fault:
        return [Fault(f"{name}: {fault}")]
    found = hearth.check_config(job.config)
    # A fault of the file as a whole is at no place in it.
    parts = [[name, one["pointer"], one["message"]] for one in found]
    return [Fault(": ".join(filter(None, each))) for each in parts]


def _samples(plan: Plan) -> bool:
    return any(node.class_name in _SAMPLERS for node in plan.nodes.values())


def _with_text(plan: Plan, node: str, text: str) -> Plan:
    changed: Any = copy.deepcopy(plan)
    changed.nodes[node].links.pop("text", None)
    changed.nodes[node].values["text"] = text
    changed.graph.set_input(node, "text", text)
    return changed  # type: ignore[no-any-return]
