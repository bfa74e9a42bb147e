"""One phase of the main job: one ComfyUI, the same requests in the same order."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from benchmarks.harness.client import ComfyClient, PromptRefusedError
from benchmarks.harness.comfy_server import ComfyServer, ServerSpec
from benchmarks.harness.hearth_face import HearthFace
from benchmarks.harness.workflows import with_seed
from benchmarks.main_job.arguments import Workflow
from benchmarks.main_job.stock_files import files_of_graph

_FIRST_SEED = 1000


@dataclass(frozen=True)
class Request:
    """One request and what came back."""

    workflow: str
    seed: int
    seconds: float
    pixels: tuple[str, ...]
    files: tuple[str, ...]


@dataclass
class PhaseResult:
    """All that one phase has shown; plain values, ready for JSON."""

    name: str
    comfyui: str = ""  # the version that it says it is
    start_seconds: float = 0.0
    requests: list[Request] = field(default_factory=list)
    reads: dict[str, int] = field(default_factory=dict)  # by folder/name
    stock_files: list[str] = field(default_factory=list)  # which stock loaders name, each once
    peak_resident: int = 0
    peak_anonymous: int = 0
    peak_vram: int | None = None
    health: dict[str, Any] | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    exit_code: int | None = None


def requests_of(workflows: Sequence[Workflow], repeat: int) -> list[tuple[Workflow, int]]:
    """A, B, A, B, ... with a new seed each round, so that no image comes from a node cache.

    Then the last one as often again: what a switch costs is seen beside requests without one.
    """
    turns = [(workflow, _FIRST_SEED + turn) for turn in range(repeat) for workflow in workflows]
    if len(workflows) > 1:
        turns += [(workflows[-1], _FIRST_SEED + repeat + again) for again in range(repeat)]
    return turns


def warm_up(
    spec: ServerSpec, workflows: Sequence[Workflow], advance: Callable[[str], None]
) -> None:
    """An image of each workflow that does not count: whatever runs first pays for Python's byte
    code and for files that are not in the page cache yet, and neither phase is to be that one."""
    with ComfyServer(spec) as server:
        client = ComfyClient(server.url)
        advance("not counted: ComfyUI started")
        for workflow in workflows:
            _request(client, workflow, _FIRST_SEED - 1)
            advance(f"not counted: {workflow.name}")


def run_phase(
    name: str,
    spec: ServerSpec,
    requests: Sequence[tuple[Workflow, int]],
    advance: Callable[[str], None],
) -> PhaseResult:
    """Starts ComfyUI, sends the requests one after the other, and stops it again."""
    named = {file for workflow, _ in requests for file in files_of_graph(workflow.graph)}
    result = PhaseResult(name, stock_files=sorted(named))
    started = monotonic()
    with ComfyServer(spec) as server:
        result.start_seconds = monotonic() - started
        client = ComfyClient(server.url)
        hearth = HearthFace(client)
        is_active = hearth.active
        result.comfyui = str(client.get("/system_stats")["system"]["comfyui_version"])
        advance(f"{name}: ComfyUI {result.comfyui} started")
        for workflow, seed in requests:
            result.requests.append(_request(client, workflow, seed))
            _note_memory(result, server)
            if is_active:
                _note_events(result, hearth)
            advance(f"{name}: {workflow.name}, seed {seed}")
        if is_active:
            result.health = hearth.health()
        result.reads = dict(Counter(server.read_files()))
    result.exit_code = server.exit_code
    return result


def _note_events(result: PhaseResult, hearth: HearthFace) -> None:
    # After each request: hearth remembers the newest only, and all are needed for the verdict.
    last = result.events[-1]["sequence"] if result.events else 0
    result.events += hearth.events(after=last)


def _request(client: ComfyClient, workflow: Workflow, seed: int) -> Request:
    started = monotonic()
    try:
        outcome = client.run(with_seed(workflow.graph, seed), timeout=1800.0)
    except PromptRefusedError as refusal:
        raise PromptRefusedError(f"{workflow.name}:\n{refusal}") from refusal
    seconds = monotonic() - started
    return Request(workflow.name, seed, seconds, outcome.pixels, outcome.files)


def _note_memory(result: PhaseResult, server: ComfyServer) -> None:
    memory = server.host_memory()
    result.peak_resident = max(result.peak_resident, memory.resident)
    result.peak_anonymous = max(result.peak_anonymous, memory.anonymous)
    vram = device_memory_used()
    if vram is not None:
        result.peak_vram = max(result.peak_vram or 0, vram)


def device_memory_used() -> int | None:
    """Bytes in use on the first NVIDIA device, by all processes; None without one."""
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False)
    lines = answer.stdout.split()
    return int(lines[0]) << 20 if answer.returncode == 0 and lines else None
