"""One running ComfyUI that rows are measured on."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.harness.client import ComfyClient, Graph
from benchmarks.harness.comfy_server import ComfyServer
from benchmarks.harness.workflows import with_lora, with_seed
from benchmarks.main_job.phase import device_memory_used
from benchmarks.rows import page_cache
from benchmarks.rows.variants import Variant

Samples = dict[str, list[float]]

_TIMEOUT_SECONDS = 1800.0
_SECONDS_TO_UNLOAD = 3.0


@dataclass
class Session:
    """Sends requests and keeps what came back; `graphs` by letter, the same but for the model."""

    variant: Variant
    server: ComfyServer
    graphs: dict[str, Graph]
    start_seconds: float  # until ComfyUI answered
    ready_seconds: float  # until hearth was ready as well
    pixels: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    """Letters that were requested on this server."""

    def __post_init__(self) -> None:
        self.client = ComfyClient(self.server.url)

    def request(self, letter: str, seed: int) -> float:
        """Seconds from sending a request to its end; its pixels are kept for comparing."""
        graph = with_seed(self.graphs[letter], seed)
        started = time.time()
        result = self.client.wait(self.client.submit(graph), _TIMEOUT_SECONDS)
        if result.status != "success":
            raise RuntimeError(f"{self.variant.name}: {letter} failed: {result.error}")
        self.pixels[f"{letter}/{seed}"] = ",".join(result.pixels)
        self.used.add(letter)
        return _success_time(result.messages) - started

    @property
    def letters(self) -> list[str]:
        """Of the workflows as they were given."""
        return sorted(letter for letter in self.graphs if "+" not in letter)

    def prepare(self, letters: str) -> None:
        """Requests each of these once, unless that has been done; it does not count."""
        for letter in letters:
            if letter not in self.used:
                self.request(letter, 9000)

    def unused_letter(self) -> str:
        """The last workflow, which nobody has asked for yet; throws RuntimeError."""
        for letter in reversed(self.letters):
            if letter not in self.used:
                return letter
        raise RuntimeError("no workflow is left that this server has not run; give a third one")

    def drop_pages(self) -> None:
        """Takes the models out of the page cache, as far as nobody has them mapped."""
        page_cache.drop(self.server.spec.models)

    def with_lora(self, letter: str) -> str:
        """The letter of that graph with the first LoRA of the models folder on its model."""
        wanted = f"{letter}+lora"
        if wanted not in self.graphs:
            _, names = self.client.get_any("/models/loras")
            if not names:
                raise RuntimeError("there is no file in loras/")
            self.graphs[wanted] = with_lora(self.graphs[letter], names[0])
        return wanted

    def force_out_transformers(self) -> None:
        """Has every diffusion model leave VRAM, as another model's demand would."""
        status, _ = self.client.post("/spy/unload_diffusion_models", {})
        if status != 200:
            raise RuntimeError(f"the spy could not unload: {status}")

    def give_vram_back(self) -> None:
        """Has every model leave VRAM; ComfyUI does so between prompts, within a second."""
        self.client.free(unload_models=True, free_memory=False)
        time.sleep(_SECONDS_TO_UNLOAD)

    def memory(self) -> dict[str, float]:
        """GiB: anonymous and all RAM of the process, VRAM of the device."""
        host = self.server.host_memory()
        vram = device_memory_used()
        return {
            "anonymous_gib": round(host.anonymous / (1 << 30), 2),
            "resident_gib": round(host.resident / (1 << 30), 2),
            "vram_gib": -1.0 if vram is None else round(vram / (1 << 30), 2),
        }


def _success_time(messages: list[Any]) -> float:
    """When ComfyUI says it was done, in seconds of the system clock; no polling in it."""
    for kind, data in messages:
        if kind == "execution_success":
            return float(data["timestamp"]) / 1000.0
    raise RuntimeError("a request without its end in the history")


@contextmanager
def ballast(free_gib: float) -> Iterator[None]:
    """Another process that takes the device's memory but for `free_gib`."""
    command = [sys.executable, "-m", "benchmarks.rows.ballast", str(free_gib)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()
