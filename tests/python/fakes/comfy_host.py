"""hearth's parts put together over the stand-ins, with the real native cache."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import hearth

from comfy_nodes.adapter import ComfyAdapter
from comfy_nodes.file_work import FileWork
from comfy_nodes.host import Host
from comfy_nodes.host_supply import HostSupply
from comfy_nodes.node_cache import ComfyNodeCache
from comfy_nodes.prompt_scope import Asker, PromptScope
from comfy_nodes.residents import ResidentModel, ResidentModels
from comfy_nodes.settings import Settings
from fakes.comfy_fakes import Management, Torch


@dataclass
class FakeRuntime:
    """A runtime of its own for each test; the real one is one per process."""

    executor: Any = field(default_factory=hearth.QueueExecutor)
    limits: Any = field(default_factory=hearth.CacheLimits)

    host_tier: Any = field(default_factory=lambda: hearth.runtime().host_tier)
    clock: Any = None

    def __post_init__(self) -> None:
        self.cache = hearth.ModelCache(self.limits, executor=self.executor, clock=self.clock)
        self.executor.adopt_current_thread()

    def kinds(self) -> list[str]:
        """Kinds of all events so far."""
        return [event["kind"] for event in self.cache.events()]

    def last(self, kind: str) -> dict[str, Any]:
        """The latest event of a kind."""
        events = [event for event in self.cache.events() if event["kind"] == kind]
        return dict(events[-1])


class NoThreads(FileWork):
    """Nothing is registered but by who asks."""

    def register(self, file: Any) -> None: ...


def wait_for_registering() -> None:
    """Until no thread of hearth's own has a file in hand."""
    for thread in threading.enumerate():
        if thread.name == "hearth registering":
            thread.join(60)
            assert not thread.is_alive(), "an earlier test has left a file that is never read"


def make_host(clock: Any = None, **limits: Any) -> Host:
    """A host whose executor is the calling thread; without `clock` time is the machine's."""
    runtime = FakeRuntime(limits=hearth.CacheLimits(**limits), clock=clock)
    adapter = ComfyAdapter(Management(), Torch())
    return Host(
        runtime=runtime,
        adapter=adapter,
        settings=Settings(),
        models=ResidentModels(adapter, ComfyNodeCache()),
        scope=PromptScope(runtime.cache),
        asker=lambda: Asker("7", "prompt"),
        supply=HostSupply(adapter, tier=None),
    )


def model_key(name: str, kind: str = "checkpoint") -> hearth.ModelKey:
    """A key nobody made from a file."""
    return hearth.ModelKey(kind, "CheckpointLoaderSimple", name)


def admit(host: Host, name: str, *outputs: Any) -> ResidentModel:
    """Loads a model of these outputs into the cache, idle afterwards."""
    key = model_key(name)

    def load() -> tuple[ResidentModel, dict[str, int]]:
        resident = ResidentModel(key, outputs, 100, host.models)
        host.models.add(resident)
        return resident, resident.bytes()

    handle = host.runtime.cache.acquire(key, load)
    resident: ResidentModel = handle.value
    handle.close()
    return resident
