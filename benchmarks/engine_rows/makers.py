"""Who makes images: a ComfyUI behind HTTP, or hearth without ComfyUI in a process of its own."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from benchmarks.harness.client import ComfyClient, Graph
from benchmarks.harness.comfy_server import (
    REPOSITORY,
    SPY_PACK,
    ComfyServer,
    ServerSpec,
    find_comfy,
)
from benchmarks.harness.hearth_face import HearthConfig, HearthFace, wait_until

_TIMEOUT_SECONDS = 600.0


class Maker(Protocol):
    """Takes requests at any time and answers them in turn."""

    def submit(self, graph: Graph) -> str:
        """Begins a request; returns what `done` knows it by."""

    def done(self, request: str) -> float:
        """Waits for its last file: when that was there, in seconds of the system clock."""

    def parts(self, request: str) -> Mapping[str, float]:
        """Seconds by class of node; empty where nobody tells."""

    def outputs(self) -> Path:
        """Where its images lie."""


@dataclass(frozen=True)
class Variant:
    """One maker. `numbers` is of a process without ComfyUI, `config` hearth's within one."""

    name: str
    numbers: str | None = None
    config: Mapping[str, Any] | None = None
    is_compiled: bool = False


VARIANTS = {
    each.name: each
    for each in (
        Variant("stock"),
        Variant("compiled", is_compiled=True),
        Variant("hearth", config={"max_cached_models": 8}),
        Variant("headless", numbers="fast"),
        Variant("headless_parity", numbers="parity"),
        Variant("headless_fp8", numbers="fp8"),
    )
}


class _Comfy:
    def __init__(self, server: ComfyServer, base: Path, is_compiled: bool) -> None:
        self._client = ComfyClient(server.url)
        self._base = base
        self._is_compiled = is_compiled

    def submit(self, graph: Graph) -> str:
        return self._client.submit(compiled(graph) if self._is_compiled else graph)

    def done(self, request: str) -> float:
        result = self._client.wait(request, _TIMEOUT_SECONDS)
        if result.status != "success":
            raise RuntimeError(f"a request failed: {result.error}")
        for kind, data in result.messages:
            if kind == "execution_success":
                return float(data["timestamp"]) / 1000.0
        raise RuntimeError("a request without its end in the history")

    def parts(self, request: str) -> Mapping[str, float]:
        del request
        return {}

    def outputs(self) -> Path:
        return self._base / "output"


@dataclass
class _Headless:
    process: subprocess.Popen[str]
    out: Path
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def listen(self) -> None:
        """Takes the answers, until there are no more."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if not line.startswith("{"):
                continue
            answer = json.loads(line)
            with self.changed:
                self.answers[answer["id"]] = answer
                self.changed.notify_all()
        with self.changed:
            self.answers["end"] = {}
            self.changed.notify_all()

    def submit(self, graph: Graph) -> str:
        name = str(next(self.numbers))
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"id": name, "graph": graph}) + "\n")
        self.process.stdin.flush()
        return name

    def done(self, request: str) -> float:
        answer = self._answer(request)
        if "error" in answer:
            raise RuntimeError(f"a request failed: {answer['error']}")
        return float(answer["done"])

    def parts(self, request: str) -> Mapping[str, float]:
        parts: dict[str, float] = self._answer(request)["parts"]
        return parts

    def outputs(self) -> Path:
        return self.out

    def _answer(self, request: str) -> dict[str, Any]:
        with self.changed:
            self.changed.wait_for(
                lambda: request in self.answers or "end" in self.answers, _TIMEOUT_SECONDS
            )
            if request not in self.answers:
                raise RuntimeError("the process without ComfyUI did not answer")
            return self.answers[request]


def compiled(graph: Graph) -> Graph:
    """The graph with ComfyUI's TorchCompileModel behind its loader of diffusion models."""
    [loader] = [name for name, node in graph.items() if node["class_type"] == "UNETLoader"]
    inputs = {"model": [loader, 0], "backend": "inductor"}
    between = {"class_type": "TorchCompileModel", "inputs": inputs}
    changed = {
        name: {
            **node,
            "inputs": {
                key: ["compiled", 0] if value == [loader, 0] else value
                for key, value in node["inputs"].items()
            },
        }
        for name, node in graph.items()
    }
    return {**changed, "compiled": between}


@dataclass(frozen=True)
class Place:
    """Where makers find models and leave images."""

    models: Path
    out: Path
    cpu: bool = False
    tokenizer: Path | None = None
    """Of a maker without ComfyUI, where it is not found."""


@contextmanager
def running(variant: Variant, place: Place) -> Iterator[Maker]:
    """A maker of this kind, started; it may still have to load."""
    base = (place.out / variant.name).resolve()
    base.mkdir(parents=True, exist_ok=True)
    make = _headless if variant.numbers else _comfy
    with make(variant, place, base) as maker:
        yield maker


@contextmanager
def _comfy(variant: Variant, place: Place, base: Path) -> Iterator[Maker]:
    packs, environment = {"spy": SPY_PACK}, {}
    if variant.config is not None:
        config = HearthConfig(base / "hearth.json")
        config.write(dict(variant.config))
        packs["hearth"] = REPOSITORY
        environment["HEARTH_CONFIG"] = str(config.path)
    flags = ("--cpu",) if place.cpu else ()
    models = place.models.resolve()
    spec = ServerSpec(find_comfy(), base, models, packs=packs, flags=flags, env=environment)
    with ComfyServer(spec) as server:
        if variant.config is not None:
            wait_until(HearthFace(ComfyClient(server.url)).is_ready, "hearth to be ready")
        yield _Comfy(server, base, variant.is_compiled)


@contextmanager
def _headless(variant: Variant, place: Place, base: Path) -> Iterator[Maker]:
    setting = {"models": str(place.models.resolve()), "out": str(base), "numbers": variant.numbers}
    setting["device"] = "cpu" if place.cpu else "cuda"
    if place.tokenizer is not None:
        setting["tokenizer"] = str(place.tokenizer.resolve())
    command = [sys.executable, "-m", "benchmarks.engine_rows.worker", json.dumps(setting)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (base / "worker.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stderr=log, cwd=REPOSITORY, **pipes)  # type: ignore[call-overload]
        maker = _Headless(process, base)
        listener = threading.Thread(target=maker.listen, daemon=True)
        listener.start()
        try:
            yield maker
        finally:
            process.terminate()
            process.wait()
            listener.join()
