"""hearth in a running ComfyUI, seen through its routes, and the config file it reads."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from benchmarks.harness.client import ComfyClient

_WAIT_SECONDS = 20.0
_POLL_SECONDS = 0.05
_SOURCE = "HEARTH_CONFIG"  # what hearth calls the file


class HearthFace:
    """What hearth says of itself over HTTP."""

    def __init__(self, client: ComfyClient) -> None:
        self._client = client

    @property
    def active(self) -> bool:
        """Whether hearth answers at all; it does not where it is not installed."""
        try:
            self._client.get("/hearth/health")
        except URLError:
            return False
        return True

    def is_ready(self) -> bool:
        """Whether everything that was to be prewarmed at start has been tried."""
        try:
            return bool(self._client.get("/hearth/ready")["ready"])
        except HTTPError as refusal:
            if refusal.code == 503:
                return False
            raise

    def health(self) -> dict[str, Any]:
        """GET /hearth/health."""
        return dict(self._client.get("/hearth/health"))

    def config(self) -> dict[str, Any]:
        """The config values in force."""
        return dict(self.health()["config"]["in_force"])

    def config_faults(self) -> list[dict[str, Any]]:
        """What is wrong with the config file; empty when it is good."""
        return list(self.health()["config"]["faults"])

    def resident(self) -> set[str]:
        """Names of the models in the cache."""
        return self._names("resident")

    def lingering(self) -> set[str]:
        """Names of the models that left the cache but are still held by a workflow."""
        return self._names("lingering")

    def evict(self, name: str, *, free: bool = False) -> None:
        """Has one model dropped; with `free` out of ComfyUI's node cache as well."""
        self._client.post("/hearth/evict", {"name": name, "free": free})

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        """All events with a sequence above `after` that hearth still has, oldest first."""
        found: list[dict[str, Any]] = []
        while True:  # an answer has a limited number of them
            answer = self._client.get(f"/hearth/events?after={after}")
            if not answer["events"]:
                return found
            found += answer["events"]
            after = int(answer["last"])

    def last_event(self) -> int:
        """The sequence of the newest event; 0 when there is none."""
        events = self.events()
        return int(events[-1]["sequence"]) if events else 0

    def _names(self, kind: str) -> set[str]:
        return {str(model["name"]) for model in self._client.get("/hearth/models")[kind]}


class HearthConfig:
    """A config file that HEARTH_CONFIG points at, and the wait until hearth has taken it up."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, values: Mapping[str, Any]) -> None:
        """Replaces the file."""
        self.write_text(_text(values))

    def write_text(self, text: str) -> None:
        """Replaces the file by any text, a faulty one included."""
        partial = self.path.with_suffix(".partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(self.path)

    def apply(self, face: HearthFace, values: Mapping[str, Any]) -> None:
        """Puts values in force and returns once /hearth/health shows them so.

        A file that already says so is left alone: hearth would take up what was written at some
        later moment, over whatever a request has put in force meanwhile.
        """

        def in_force() -> bool:
            state = face.health()["config"]
            return state["source"] == _SOURCE and _includes(state["in_force"], values)

        if in_force() and self.path.read_text(encoding="utf-8") == _text(values):
            return
        self.write(values)
        wait_until(in_force, f"hearth to take up {values}")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Polls until the condition holds; throws TimeoutError naming what did not happen."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {_WAIT_SECONDS:.0f} s in vain for {what}")
        time.sleep(_POLL_SECONDS)


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=2)


def _includes(whole: Mapping[str, Any], part: Mapping[str, Any]) -> bool:
    for name, value in part.items():
        there = whole.get(name)
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            if not _includes(there, value):
                return False
        elif there != value:
            return False
    return True
