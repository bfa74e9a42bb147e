"""Images by a ComfyUI, as a program asks for them: over HTTP, and told of the end by websocket."""

from __future__ import annotations

import copy
import shutil
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.engine_rows.makers import PARTS, Deadline, Made, Wish, changes, mean_step
from benchmarks.harness.listener import Listener
from benchmarks.harness.workflows import Graph, node
from benchmarks.rows.session import Session

_ENDS = ("execution_success", "execution_error", "execution_interrupted")
_SECONDS_TO_LOOK = 0.5
_LATENTS = "engine_rows"
Event = tuple[float, str, dict[str, Any]]
"""When it came, its type and its data."""


class ComfyMaker:
    """One running ComfyUI. It is not polled: that would take turns from its Python."""

    def __init__(
        self, session: Session, graph: Graph, listener: Listener, deadline: Deadline
    ) -> None:
        self.start_seconds = session.ready_seconds
        self._session, self._graph = session, graph
        self._listener, self._deadline = listener, deadline
        self._sent: dict[str, float] = {}
        self._events: dict[str, list[Event]] = defaultdict(list)
        self._changed = threading.Condition()
        listener.told = self._told

    def send(self, wish: Wish) -> str:
        """Posts the workflow to /prompt."""
        return self._post(_wished(self._graph, wish))

    def wait(self, ticket: str) -> Made:
        """Its end as ComfyUI dates it; nodes as the websocket tells of them."""
        events = self._wait(ticket)
        _, kind, data = events[-1]
        if kind != "execution_success":
            raise RuntimeError(_error_of(data) or kind)
        finished = float(data["timestamp"]) / 1000.0
        return Made(self._sent[ticket], finished, _parts(self._graph, events, finished))

    def keep(self, wish: Wish, folder: Path) -> None:
        """Once more with a SaveLatent."""
        graph = _wished(self._graph, wish)
        [sampler] = [name for name, each in graph.items() if each["class_type"] == "KSampler"]
        graph["latents"] = node("SaveLatent", samples=[sampler, 0], filename_prefix=_LATENTS)
        self._wait(self._post(graph))
        output = self._session.server.spec.base / "output"
        kept = folder / self._session.variant.name
        kept.mkdir(parents=True, exist_ok=True)
        shutil.copy(_newest(output, ".latent"), kept / "latents.safetensors")
        shutil.copy(_newest(output, ".png"), kept / "image.png")

    def _post(self, graph: Graph) -> str:
        sent = time.time()
        body = {"prompt": graph, "client_id": self._listener.client_id}
        status, answer = self._session.client.post("/prompt", body)
        if status != 200:
            raise RuntimeError(f"refused: {answer}")
        ticket = str(answer["prompt_id"])
        self._sent[ticket] = sent
        return ticket

    def _told(self, message: dict[str, Any]) -> None:
        now, data = time.time(), message["data"]
        if not (isinstance(data, dict) and data.get("prompt_id")):
            return
        with self._changed:
            self._events[data["prompt_id"]].append((now, message["type"], data))
            self._changed.notify_all()

    def _wait(self, ticket: str) -> list[Event]:
        def ends() -> list[int]:
            return [i for i, each in enumerate(self._events[ticket]) if each[1] in _ENDS]

        with self._changed:
            while not ends():
                left = self._deadline.left()
                if not self._listener.is_open:
                    raise RuntimeError("ComfyUI closed its websocket")
                self._changed.wait(min(left, _SECONDS_TO_LOOK))
            return self._events[ticket][: ends()[0] + 1]


def compiled(graph: Graph) -> Graph:
    """The graph with ComfyUI's TorchCompileModel before its sampler."""
    changed = copy.deepcopy(graph)
    [sampler] = [each for each in changed.values() if each["class_type"] == "KSampler"]
    model = sampler["inputs"]["model"]
    changed["compiled"] = node("TorchCompileModel", model=model, backend="inductor")
    sampler["inputs"]["model"] = ["compiled", 0]
    return changed


def _wished(graph: Graph, wish: Wish) -> Graph:
    changed = copy.deepcopy(graph)
    for name, input_, value in changes(graph, wish):
        changed[name]["inputs"][input_] = value
    return changed


def _parts(graph: Graph, events: list[Event], finished: float) -> dict[str, float]:
    began = [(when, data["node"]) for when, kind, data in events if kind == "executing"]
    ends = [when for when, _ in began[1:]] + [finished]
    seconds: dict[str, float] = {}
    for (when, name), end in zip(began, ends, strict=True):
        part = PARTS.get(graph[name]["class_type"]) if name in graph else None
        if part is not None:
            seconds[part] = seconds.get(part, 0.0) + end - when
    return seconds | mean_step(
        [(int(data["value"]), when) for when, kind, data in events if kind == "progress"]
    )


def _error_of(data: dict[str, Any]) -> str:
    lines = str(data.get("exception_message", "")).strip().splitlines()
    return f"{data.get('exception_type', '')}: {lines[0]}" if lines else ""


def _newest(folder: Path, ending: str) -> Path:
    return max(folder.glob(f"*{ending}"), key=lambda path: path.stat().st_mtime_ns)
