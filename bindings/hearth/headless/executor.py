"""Executes plans one after the other; what has not changed since the last one is not computed."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import hearth
from hearth.headless import nodes_images, nodes_models, nodes_sampling
from hearth.headless.checks import Plan, PlannedNode
from hearth.headless.flow import Flow
from hearth.headless.loaders import path_of
from hearth.headless.out_of_memory import with_room
from hearth.headless.work import NodeFailedError, Place, RunState, Work, Writing

Tensor = Any
_FUNCTIONS: Mapping[str, Callable[[Work], tuple[Any, ...]]] = {
    **nodes_models.FUNCTIONS,
    **nodes_sampling.FUNCTIONS,
    **nodes_images.FUNCTIONS,
}
_MANY = 1_000_000


class Listener(Protocol):
    """Is told how far a run is."""

    def began(self, node: PlannedNode) -> None:
        """A node begins to work."""

    def stepped(self, done: int, total: int) -> None:
        """Of the node at work."""

    def ended(self, node: PlannedNode, seconds: float) -> None:
        """It is done."""


@dataclass(frozen=True)
class NodeRecord:
    """One node of a run."""

    id: str
    class_name: str
    seconds: float
    unchanged: bool
    """Its outputs are those of the run before; it did nothing."""


@dataclass
class RunRecord:
    """What one run did. Complete once `complete` has returned."""

    seconds: float = 0.0
    """From its begin until the last of its images is on disk."""
    computing_seconds: float = 0.0
    """From its begin until the next run could begin: its last images may still be written."""
    nodes: list[NodeRecord] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    """Of the cache, as the trace has them."""
    files: list[Path] = field(default_factory=list)
    """Under the names that they have got."""
    latents_file: Path | None = None
    """One more file."""
    texts: dict[str, str] = field(default_factory=dict)
    latents: Tensor = None
    began: float = field(default_factory=time.perf_counter)
    writing: list[Writing] = field(default_factory=list)

    def is_written(self) -> bool:
        """Whether `complete` need not wait."""
        return all(file.done() for _, file in self.writing)

    def complete(self) -> None:
        """Waits for the files. Raises NodeFailedError when one could not be written."""
        self.seconds, self.files = self.computing_seconds, []
        for node, file in self.writing:
            try:
                written = file.result()
            except Exception as error:
                raise NodeFailedError(node, error) from error
            self.seconds = max(self.seconds, written.at - self.began)
            self.files.append(written.path)
        if self.latents_file is not None:
            self.files.append(self.latents_file)

    def count(self, kind: str) -> int:
        """How many events of this kind there were."""
        return sum(event["kind"] == kind for event in self.events)


class Executor:
    """One process's runs. REQUIRES: the thread that called engine.start()."""

    def __init__(self, place: Place, listener: Listener) -> None:
        self._place = place
        self._listener = listener
        self._outputs: dict[str, tuple[Any, ...]] = {}
        self._anew = 0

    def run(self, plan: Plan) -> RunRecord:
        """Runs a plan; a model is in use until the last node that a link brings it to has ended, so
        that a text encoder can make room for what comes after it. Its images may still be written
        when this returns. Raises NodeFailedError."""
        state = RunState(self._place, plan.graph.raw)
        record, before = RunRecord(), _last_event()
        signatures: dict[str, str] = {}
        flow = Flow(list(plan.nodes.values()))
        try:
            for node in flow.nodes:
                signatures[node.id] = self._signature(node, signatures, flow)
                record.nodes.append(self._run_node(node, state, signatures))
                outputs = self._outputs[signatures[node.id]]
                state.models.keep_only(flow.needed_after(node, outputs))
        finally:
            state.models.close()
            kept = set(signatures.values())
            self._outputs = {key: out for key, out in self._outputs.items() if key in kept}
            record.computing_seconds = time.perf_counter() - record.began
            record.events = hearth.runtime().cache.events(before, _MANY)
        record.writing = state.writing
        record.texts, record.latents = state.texts, state.latents
        return record

    def _run_node(
        self, node: PlannedNode, state: RunState, signatures: Mapping[str, str]
    ) -> NodeRecord:
        signature = signatures[node.id]
        if signature in self._outputs:
            return NodeRecord(node.id, node.class_name, 0.0, unchanged=True)
        began = time.perf_counter()
        self._listener.began(node)
        inputs = dict(node.values)
        for name, link in node.links.items():
            inputs[name] = self._outputs[signatures[link.node]][link.output]
        try:
            work = Work(node, inputs, state, self._listener.stepped)
            self._outputs[signature] = with_room(work, _FUNCTIONS[node.class_name])
        except Exception as error:  # whatever it is, the job's answer is one line
            raise NodeFailedError(node, error) from error
        seconds = time.perf_counter() - began
        self._listener.ended(node, seconds)
        return NodeRecord(node.id, node.class_name, seconds, unchanged=False)

    def _signature(self, node: PlannedNode, signatures: Mapping[str, str], flow: Flow) -> str:
        """Equal for what gives equal outputs: the node, its values, all that leads to it, files."""
        parts: list[Any] = [node.class_name, sorted(node.values.items())]
        for name, link in sorted(node.links.items()):
            made = flow.origin(link)
            parts.append([name, signatures[made.node], made.output])
        path = path_of(node.class_name, node.values, self._place.models)
        if path is not None:
            parts.append(_stamp(node, path))
        if node.node_class.runs_anew:
            self._anew += 1
            parts.append(self._anew)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _stamp(node: PlannedNode, path: Path) -> list[int]:
    try:
        state = os.stat(path)
    except OSError as error:
        raise NodeFailedError(node, error) from error
    return [state.st_size, state.st_mtime_ns, state.st_ino]


def _last_event() -> int:
    events = hearth.runtime().cache.events(0, _MANY)
    return int(events[-1]["sequence"]) if events else 0
