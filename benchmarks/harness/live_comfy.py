"""A running ComfyUI with hearth in it, as tests use it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness.client import ComfyClient, Graph, RunResult
from benchmarks.harness.comfy_server import ComfyServer
from benchmarks.harness.hearth_face import HearthConfig, HearthFace, wait_until

DEFAULTS: dict[str, Any] = {
    "keep_model_in_memory": True,
    "max_cached_models": 3,
    "budget": {"ram_gib": None},
    "unload": {"policy": "lru", "idle_seconds": None},
    "transparent": True,
}


@dataclass
class LiveComfy:
    """A running ComfyUI with all that a test asks it."""

    server: ComfyServer
    models: Path
    config: HearthConfig
    client: ComfyClient = field(init=False)
    hearth: HearthFace = field(init=False)

    def __post_init__(self) -> None:
        self.client = ComfyClient(self.server.url)
        self.hearth = HearthFace(self.client)

    def run(self, graph: Graph) -> RunResult:
        """Runs a graph to its good end."""
        return self.client.run(graph)

    def reads_during(self, work: Callable[[], object]) -> list[str]:
        """Names of the model files that the spy saw being read while `work` ran."""
        before = len(self.server.reads())
        work()
        return self.server.reads()[before:]

    def configure(self, **changes: Any) -> None:
        """Puts the test defaults with `changes` in force."""
        self.config.apply(self.hearth, DEFAULTS | changes)

    def wait_until_empty(self) -> None:
        """Waits until hearth neither keeps a model nor sees one lingering."""
        wait_until(
            lambda: not self.hearth.resident() | self.hearth.lingering(), "hearth's cache to empty"
        )

    def last_words(self) -> str:
        """hearth's newest events, the machine's free memory and the end of the server's log."""
        try:
            events = [json.dumps(event) for event in self.hearth.events()[-30:]]
        except OSError as dead:
            events = [f"no events: {dead}"]
        memory = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()[:3]
        return "\n".join([*events, *memory, *self.server.log_text().splitlines()[-40:]])

    def start_afresh(self, **changes: Any) -> None:
        """Empties hearth's cache and ComfyUI's own, then puts a config in force."""
        self.configure()
        self.client.free()
        self.wait_until_empty()
        if changes:  # the same file written again would be taken up later, in the middle of a test
            self.configure(**changes)


@dataclass
class FaultyStart:
    """A server that was started with a faulty config, and what it said of that."""

    live: LiveComfy
    health: dict[str, Any]


StartComfy = Callable[..., LiveComfy]
