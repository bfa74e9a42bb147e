"""Drives ComfyUI over HTTP through `comfy_api_simplified`, a client package of another author.

Only what that package lacks (the answer to a refused prompt, /free, hearth's routes) is asked for
directly.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from comfy_api_simplified import ComfyApiWrapper
from comfy_api_simplified.exceptions import ComfyApiError
from PIL import Image

Graph = dict[str, dict[str, Any]]

_POLL_SECONDS = 0.01


class PromptFailedError(RuntimeError):
    """A prompt ended with an error or was interrupted; the message is ComfyUI's own."""


class PromptRefusedError(ComfyApiError):  # type: ignore[misc]  # of a package without types
    """ComfyUI did not take a graph; the message is its own, a line for each node at fault."""


@dataclass(frozen=True)
class RunResult:
    """What became of one prompt."""

    prompt_id: str
    status: str
    seconds: float
    pixels: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    cached_nodes: frozenset[str] = frozenset()
    error: str = ""
    messages: list[Any] = field(default_factory=list, repr=False)


class ComfyClient:
    """One ComfyUI as its users see it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._api = ComfyApiWrapper(url)

    def submit(self, graph: Graph) -> str:
        """Queues a graph and returns the prompt's id; throws PromptRefusedError."""
        try:
            return str(self._api.queue_prompt(graph)["prompt_id"])
        except ComfyApiError as error:
            # The package keeps the answer to itself; what was refused once is refused again.
            status, answer = self.post("/prompt", {"prompt": graph})
            if status == 200:
                return str(answer["prompt_id"])
            raise PromptRefusedError(_why_refused(status, answer)) from error

    def wait(self, prompt_id: str, timeout: float = 120.0) -> RunResult:
        """Waits for the end of a prompt, good or bad, and fetches its images."""
        started = time.monotonic()
        while time.monotonic() - started < timeout:
            entry = self._api.get_history(prompt_id).get(prompt_id)
            if entry is not None:
                return self._result(prompt_id, entry, time.monotonic() - started)
            time.sleep(_POLL_SECONDS)
        raise TimeoutError(f"prompt {prompt_id} did not end within {timeout:.0f} s")

    def run(self, graph: Graph, timeout: float = 120.0) -> RunResult:
        """Queues a graph, waits, and throws PromptFailedError unless it succeeded."""
        result = self.wait(self.submit(graph), timeout)
        if result.status != "success":
            raise PromptFailedError(result.error)
        return result

    def interrupt(self) -> None:
        """Interrupts the running prompt."""
        self._api.interrupt()

    def pending(self) -> int:
        """Prompts running and waiting."""
        queue = self._api.get_queue()
        return len(queue["queue_running"]) + len(queue["queue_pending"])

    def free(self, *, unload_models: bool = True, free_memory: bool = True) -> None:
        """Asks ComfyUI to give memory back; it acts between prompts."""
        self.post("/free", {"unload_models": unload_models, "free_memory": free_memory})

    def get(self, route: str) -> Any:
        """The JSON that a GET route answers with; throws HTTPError unless it is a success."""
        return json.loads(self.get_text(route))

    def get_text(self, route: str) -> str:
        """The text that a GET route answers with; throws HTTPError unless it is a success."""
        return str(self.get_bytes(route), "utf-8")

    def get_bytes(self, route: str) -> bytes:
        """What a GET route answers with; throws HTTPError unless it is a success."""
        with urllib.request.urlopen(self._url + route, timeout=30) as answer:
            return bytes(answer.read())

    def get_any(self, route: str) -> tuple[int, Any]:
        """Status and JSON of the answer to a GET, whatever the status."""
        return _exchange(urllib.request.Request(self._url + route))

    def post(self, route: str, body: object) -> tuple[int, Any]:
        """Status and JSON of the answer to a POST, a refusal included."""
        request = urllib.request.Request(
            self._url + route,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        return _exchange(request)

    def _result(self, prompt_id: str, entry: dict[str, Any], seconds: float) -> RunResult:
        messages = entry["status"]["messages"]
        images = [
            image for output in entry["outputs"].values() for image in output.get("images", [])
        ]
        return RunResult(
            prompt_id=prompt_id,
            status=entry["status"]["status_str"],
            seconds=seconds,
            pixels=tuple(self._pixel_hash(image) for image in images),
            files=tuple(str(image["filename"]) for image in images),
            cached_nodes=frozenset(
                node
                for kind, data in messages
                if kind == "execution_cached"
                for node in data["nodes"]
            ),
            error=_error_of(messages),
            messages=messages,
        )

    def _pixel_hash(self, image: dict[str, str]) -> str:
        data = self._api.get_image(image["filename"], image["subfolder"], image["type"])
        return pixel_hash(data)


def pixel_hash(png: bytes) -> str:
    """sha256 of the raw RGB values, so that PNG metadata does not count."""
    with Image.open(io.BytesIO(png)) as image:
        return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


def _why_refused(status: int, answer: Any) -> str:
    answer = answer if isinstance(answer, dict) else {}
    lines = [
        f"node {node_id} ({node.get('class_type')}): {_said(error)}"
        for node_id, node in (answer.get("node_errors") or {}).items()
        for error in node.get("errors", [])
    ]
    return "\n".join(lines) or _said(answer.get("error")) or f"ComfyUI answered {status}"


def _said(error: Any) -> str:
    if not isinstance(error, dict):
        return str(error or "")
    return ": ".join(filter(None, (str(error.get(name) or "") for name in ("message", "details"))))


def _exchange(request: urllib.request.Request) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status), _json_or_none(answer.read())
    except urllib.error.HTTPError as refusal:
        return int(refusal.code), _json_or_none(refusal.read())


def _json_or_none(body: bytes) -> Any:
    return json.loads(body) if body.strip() else None


def _error_of(messages: list[Any]) -> str:
    for kind, data in messages:
        if kind == "execution_error":
            return f"{data['exception_type']}: {data['exception_message']}".strip()
        if kind == "execution_interrupted":
            return "interrupted"
    return ""
