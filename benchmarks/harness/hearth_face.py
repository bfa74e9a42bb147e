"""hearth inside a running ComfyUI, seen through its routes; and its config file, written by tests."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.error import URLError

from benchmarks.harness.client import ComfyClient

_WAIT_SECONDS = 60.0
_POLL_SECONDS = 0.05


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

    def health(self) -> dict[str, Any]:
        """GET /hearth/health."""
        return dict(self._client.get("/hearth/health"))

    def models(self) -> list[dict[str, Any]]:
        """What hearth keeps, lingering models included."""
        return list(self._client.get("/hearth/models")["models"])

    def resident(self) -> set[str]:
        """Names of the models in the cache."""
        return {str(model["name"]) for model in self.models() if not model["lingering"]}

    def lingering(self) -> set[str]:
        """Names of the models that left the cache but are still held by a workflow."""
        return {str(model["name"]) for model in self.models() if model["lingering"]}

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        """Events with a sequence above `after`, oldest first."""
        return list(self._client.get(f"/hearth/events?after={after}")["events"])

    def last_event(self) -> int:
        """The sequence of the newest event; 0 when there is none."""
        events = self.events()
        return int(events[-1]["sequence"]) if events else 0


class HearthConfig:
    """A config file that HEARTH_CONFIG points at, and the wait until hearth has taken it up."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, values: Mapping[str, Any]) -> None:
        """Replaces the file."""
        self.write_text(json.dumps(values, indent=2))

    def write_text(self, text: str) -> None:
        """Replaces the file by any text, a faulty one included."""
        partial = self.path.with_suffix(".partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(self.path)

    def apply(self, face: HearthFace, values: Mapping[str, Any]) -> None:
        """Writes values and returns once /hearth/health shows them in force."""
        self.write(values)
        wait_until(
            lambda: _includes(face.health()["config"], values), f"hearth to take up {values}"
        )


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Polls until the condition holds; throws TimeoutError naming what did not happen."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {_WAIT_SECONDS:.0f} s in vain for {what}")
        time.sleep(_POLL_SECONDS)


def _includes(whole: Mapping[str, Any], part: Mapping[str, Any]) -> bool:
    for name, value in part.items():
        there = whole.get(name)
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            if not _includes(there, value):
                return False
        elif there != value:
            return False
    return True
