"""What an eviction gives back: VRAM and RAM of a ComfyUI before and after hearth drops models.

Two workflows with a model each are run; then the limit falls to one model, a prompt comes, /free is
sent, and at last a model grows idle. After each step the memory in use is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.harness.client import ComfyClient
from benchmarks.harness.comfy_server import (
    REPOSITORY,
    SPY_PACK,
    ComfyServer,
    ServerSpec,
    find_comfy,
)
from benchmarks.harness.hearth_face import HearthConfig, HearthFace, wait_until
from benchmarks.harness.workflows import with_seed
from benchmarks.main_job.phase import device_memory_used

_GIB = 1 << 30
# An eviction of 20 GB takes about a second, and ComfyUI's own collection comes after it.
_SECONDS_BETWEEN_LOOKS = 3.0
_MOST_LOOKS = 6
_STILL_BYTES = 64 << 20


class Steps:
    """One server, and a row of memory after each thing done to it."""

    def __init__(self, server: ComfyServer, config: HearthConfig) -> None:
        self.client = ComfyClient(server.url)
        self.face = HearthFace(self.client)
        self.config = config
        self.rows: list[tuple[str, ...]] = []
        self._server = server

    def note(self, what: str) -> None:
        """Adds a row, once the memory in use has stood still for a while."""
        memory = self._server.host_memory()
        for _ in range(_MOST_LOOKS):
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            before, memory = memory, self._server.host_memory()
            if abs(memory.anonymous - before.anonymous) < _STILL_BYTES:
                break
        vram = device_memory_used()
        names = sorted(name.removesuffix(".safetensors") for name in self.face.resident())
        self.rows.append(
            (
                what,
                "-" if vram is None else f"{vram / _GIB:.1f}",
                f"{memory.anonymous / _GIB:.1f}",
                str(len(names)),
                str(len(self.face.lingering())),
                str(len(self._server.reads())),
            )
        )

    def apply(self, what: str, values: dict[str, Any], done: Callable[[], bool]) -> None:
        """Changes the config and waits for what must follow."""
        self.config.apply(self.face, values)
        wait_until(done, what)
        self.note(what)


def run(steps: Steps, graphs: list[dict[str, Any]]) -> None:
    """The steps, in order."""
    face = steps.face
    first, second = graphs
    steps.note("started")
    for seed, graph in enumerate((first, second, first, second)):
        steps.client.run(with_seed(graph, seed), timeout=600)
    steps.note("both workflows ran twice")
    everybody = len(face.resident())
    steps.apply(
        "max_cached_models 1",
        {"max_cached_models": 1},
        lambda: len(face.resident()) < everybody and not face.lingering(),
    )
    steps.client.run(with_seed(first, 10), timeout=600)
    steps.note("the other workflow ran")
    steps.client.free()
    wait_until(lambda: not face.resident() and not face.lingering(), "/free to empty the cache")
    steps.note("/free")
    steps.client.run(with_seed(first, 11), timeout=600)
    steps.note("a workflow ran")
    steps.apply("idle_seconds 1", {"unload": {"idle_seconds": 1.0}}, lambda: not face.resident())
    again = steps.client.run(with_seed(first, 11), timeout=600)
    answered = len(again.cached_nodes) == len(first)
    steps.note(f"same request, all {len(first)} nodes from ComfyUI's cache: {answered}")


def main() -> int:
    """Runs the steps and prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--workflow", type=Path, action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--comfy-flags", nargs=argparse.REMAINDER, default=[])
    given = parser.parse_args()
    if len(given.workflow) != 2:
        parser.error("give --workflow twice: two workflows with a model each")
    graphs = [json.loads(path.read_text(encoding="utf-8")) for path in given.workflow]
    given.out.mkdir(parents=True, exist_ok=True)
    config = HearthConfig((given.out / "hearth.json").resolve())
    config.write({"max_cached_models": 3})
    spec = ServerSpec(
        find_comfy(),
        given.out.resolve(),
        given.models.resolve(),
        packs={"spy": SPY_PACK, "hearth": REPOSITORY},
        flags=tuple(given.comfy_flags),
        env={"HEARTH_CONFIG": str(config.path)},
    )
    with ComfyServer(spec) as server:
        steps = Steps(server, config)
        run(steps, graphs)
    table = Table(title="Memory after each step, GiB")
    for column in ("step", "VRAM", "anonymous RAM", "resident", "lingering", "files read so far"):
        table.add_column(column)
    for row in steps.rows:
        table.add_row(*row)
    Console(width=140).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
