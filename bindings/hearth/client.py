"""A few lines for scripts: prewarm, submit, wait, fetch images, over ComfyUI's HTTP API.

    client = Client("http://127.0.0.1:8188")
    client.prewarm(models=["sd3.safetensors"])
    result = client.run(load_workflow("portrait.json"))
    for image in result.images:
        image.save("out")

Only the standard library is used, so this file also works alone, where hearth is not installed.
"""

from __future__ import annotations

import functools
import http.client
import itertools
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

Graph = dict[str, dict[str, Any]]

_POLL_SECONDS = 0.05
_REQUEST_SECONDS = 30.0
# The queue comes with every graph in it, so it is not asked for in every poll.
_POLLS_PER_LOOK = 20
DEFAULT_SECONDS = 600.0


class ClientError(RuntimeError):
    """The root of what this module raises; the message says what to do."""


class ServerNotRunningError(ClientError, ConnectionError):
    """Nobody answers at that address."""


class AddressError(ClientError, ValueError):
    """That is no address of a server, or no token."""


class HearthMissingError(ClientError):
    """ComfyUI answers, but hearth is not active in it."""


class RequestRefusedError(ClientError, ValueError):
    """The server will not do it. `status` is the HTTP status, `answer` its JSON."""

    def __init__(self, message: str, status: int, answer: Any) -> None:
        super().__init__(message)
        self.status = status
        self.answer = answer


class NodeFailedError(ClientError):
    """A node raised an error while the prompt ran."""

    def __init__(self, node_id: str, node_class: str, exception: str, message: str) -> None:
        super().__init__(f"node {node_id} ({node_class}) failed with {exception}: {message}")
        self.node_id = node_id
        self.node_class = node_class
        self.exception = exception


class PromptInterruptedError(ClientError):
    """Somebody interrupted the prompt."""


class PromptLostError(ClientError):
    """The server does not know the prompt: deleted from the queue, or gone with a restart."""


class ClientTimeoutError(ClientError, TimeoutError):
    """It did not end in time; it goes on at the server."""


class PrewarmFailedError(ClientError):
    """Something could not be prewarmed; `items` are all that were asked for."""

    def __init__(self, message: str, items: list[dict[str, Any]]) -> None:
        super().__init__(message)
        self.items = items


@dataclass(frozen=True)
class Image:
    """One image that a prompt saved or showed."""

    filename: str
    subfolder: str
    folder: str
    node_id: str
    _read: Callable[[], bytes] = field(repr=False, compare=False)
    _saved: dict[Path, tuple[str, str, str]] = field(
        default_factory=dict, repr=False, compare=False
    )
    """Which images of the same result are in which files by now."""

    def read(self) -> bytes:
        """The file's bytes, fetched now."""
        return self._read()

    def save(self, folder: str | Path) -> Path:
        """Writes the file into a folder, below it into its subfolder, both made if needed; its
        path. Where another image of the same result has that name, it gets a number behind it."""
        planned = Path(folder, *_parts(self.subfolder), *_parts(self.filename)[-1:])
        if planned == Path(folder, *_parts(self.subfolder)):
            raise ClientError(f'the image "{self.filename}" of node {self.node_id} has no name')
        data, path = self.read(), planned
        me = (self.folder, self.subfolder, self.filename)
        for number in itertools.count(2):
            if self._saved.setdefault(path.absolute(), me) == me:
                break
            path = planned.with_name(f"{planned.stem}-{number}{planned.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path


@dataclass(frozen=True)
class Result:
    """What a prompt that ended well left behind."""

    prompt_id: str
    images: tuple[Image, ...]
    outputs: Mapping[str, Any] = field(repr=False)


class Client:
    """One ComfyUI. Every call may raise ServerNotRunningError.

    `token` is what the environment variable of `api.token_env` holds at the server.
    """

    def __init__(self, url: str = "http://127.0.0.1:8188", token: str | None = None) -> None:
        _check_address(url)
        self.url = url.rstrip("/")
        self._authorization = None if token is None else _authorization(token)

    def wait_until_ready(self, timeout_s: float = DEFAULT_SECONDS) -> None:
        """Returns when hearth has tried all that it prewarms at start, also while ComfyUI itself is
        still starting. Raises ClientTimeoutError."""
        why = ""
        try:
            for _ in _polls(timeout_s, f"hearth at {self.url} is not ready"):
                try:
                    if self._ask("/hearth/ready", ok=(200, 503))["ready"]:
                        return
                    why = ""
                except ServerNotRunningError as error:
                    why = f": {error}"
        except ClientTimeoutError as late:
            raise ClientTimeoutError(f"{late}{why}") from None

    def prewarm(
        self,
        models: Iterable[str] = (),
        workflow: str | Graph | None = None,
        *,
        dummy_inference: bool = True,
        timeout_s: float = DEFAULT_SECONDS,
    ) -> list[dict[str, Any]]:
        """Has models and a workflow loaded, and waits for it. One dict an item: name, kind, state,
        error, seconds. Raises PrewarmFailedError, HearthMissingError, ClientTimeoutError."""
        body: dict[str, Any] = {"models": list(models), "dummy_inference": dummy_inference}
        if workflow is not None:
            body["workflow"] = workflow
        items: list[dict[str, Any]] = self._ask("/hearth/prewarm", body, ok=(200, 202))["items"]
        wanted = {(item["id"], item["name"]) for item in items}
        for _ in _polls(timeout_s, "the prewarm did not end"):
            if all(item["state"] in ("done", "failed") for item in items):
                break
            told = self._ask("/hearth/ready", ok=(200, 503))["prewarm"]["items"]
            items = [item for item in told if (item["id"], item["name"]) in wanted]
            if len(items) < len(wanted):
                raise PrewarmFailedError("ComfyUI knows of it no more; was it restarted?", items)
        failed = [f"{item['name']}: {item['error']}" for item in items if item["error"]]
        if failed:
            raise PrewarmFailedError("not prewarmed: " + "; ".join(failed), items)
        return items

    def submit(self, graph: Graph) -> str:
        """Queues a graph in API format; the prompt's id. Raises RequestRefusedError."""
        return str(self._ask("/prompt", {"prompt": graph})["prompt_id"])

    def wait(self, prompt_id: str, timeout_s: float = DEFAULT_SECONDS) -> Result:
        """The result of a prompt once it has ended. Raises NodeFailedError, PromptInterruptedError,
        PromptLostError, or ClientTimeoutError, after which the prompt still runs."""
        for poll in _polls(timeout_s, f"prompt {prompt_id} did not end"):
            # Asked first: a prompt goes from the queue to the history, never back.
            lost = poll % _POLLS_PER_LOOK == 1 and not self._is_queued(prompt_id)
            entry = self._ask(f"/history/{prompt_id}").get(prompt_id)
            if entry is not None:
                _raise_what_went_wrong(entry["status"]["messages"])
                return Result(prompt_id, tuple(self._images(entry["outputs"])), entry["outputs"])
            if lost:
                raise PromptLostError(
                    f"ComfyUI at {self.url} neither runs nor remembers prompt {prompt_id}: it was "
                    "taken from the queue, or ComfyUI was restarted; submit it again"
                )
        raise AssertionError("unreachable: _polls() raises")

    def run(self, graph: Graph, timeout_s: float = DEFAULT_SECONDS) -> Result:
        """submit() and wait()."""
        return self.wait(self.submit(graph), timeout_s)

    def get(self, route: str) -> Any:
        """The JSON of any GET route, e.g. "/hearth/models"."""
        return self._ask(route)

    def post(self, route: str, body: Mapping[str, Any]) -> Any:
        """The JSON of any POST route, e.g. "/hearth/evict"; raises RequestRefusedError."""
        return self._ask(route, body, ok=(200, 202))

    def _is_queued(self, prompt_id: str) -> bool:
        queue = self._ask("/queue")
        parts = (queue["queue_running"], queue["queue_pending"])
        return any(each[1] == prompt_id for part in parts for each in part)

    def _images(self, outputs: Mapping[str, Any]) -> Iterator[Image]:
        saved: dict[Path, tuple[str, str, str]] = {}
        for node_id, output in outputs.items():
            for each in output.get("images", ()):
                query = urllib.parse.urlencode(
                    {name: each[name] for name in ("filename", "subfolder", "type")}
                )
                read = functools.partial(self._file, f"/view?{query}")
                place = each["filename"], each["subfolder"], each["type"]
                yield Image(*place, node_id, read, saved)

    def _file(self, route: str) -> bytes:
        status, data = self._send(route, None)
        if status != 200:
            raise RequestRefusedError(f"{route}: HTTP {status}", status, None)
        return data

    def _ask(
        self, route: str, body: Mapping[str, Any] | None = None, ok: tuple[int, ...] = (200,)
    ) -> Any:
        status, data = self._send(route, body)
        try:
            answer = json.loads(data) if data.strip() else None
        except ValueError:
            answer = None
            if status in ok:
                raise RequestRefusedError(
                    f"what answers at {self.url} is no ComfyUI: {route} gave no JSON", status, None
                ) from None
        if status in (404, 405) and route.startswith("/hearth/") and answer is None:
            if self._send("/hearth/ready", None)[0] in (404, 405):
                raise HearthMissingError(
                    f"hearth is not active in the ComfyUI at {self.url}; its log says why"
                )
            method = "GET" if body is None else "POST"
            raise RequestRefusedError(
                f"{route}: hearth has no such route for {method}; GET /hearth/ names them all",
                status,
                None,
            )
        if status not in ok:
            raise RequestRefusedError(_why_refused(route, status, answer), status, answer)
        return answer

    def _send(self, route: str, body: Mapping[str, Any] | None) -> tuple[int, bytes]:
        try:
            request = urllib.request.Request(self.url + route)
        except ValueError as error:
            raise AddressError(f"{self.url}{route} is no address: {error}") from error
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if self._authorization is not None:
            request.add_header("Authorization", self._authorization)
        try:
            with urllib.request.urlopen(request, timeout=_REQUEST_SECONDS) as answer:
                return int(answer.status), bytes(answer.read())
        except urllib.error.HTTPError as refusal:
            return int(refusal.code), refusal.read()
        except (ValueError, http.client.InvalidURL) as error:
            raise AddressError(f"{self.url}{route} is no address: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise ServerNotRunningError(
                f"no ComfyUI answers at {self.url} ({reason}); start it, or give its address"
            ) from error


def load_workflow(path: str | Path) -> Graph:
    """A graph from a file in API format. Raises FileNotFoundError, ValueError."""
    graph = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(graph, dict) or isinstance(graph.get("nodes"), list):
        raise ValueError(f'{path} is not in API format: use "Export (API)" in ComfyUI\'s menu')
    return graph


def _check_address(url: str) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError as error:
        raise AddressError(f'"{url}" is no address: {error}') from error
    if url and "://" not in url:
        raise AddressError(f'"{url}" is no address: http:// is missing before it')
    if wrong:
        raise AddressError(f'"{url}" is no address; one is http://127.0.0.1:8188')


def _authorization(token: str) -> str:
    """The header: bytes of the token as the environment of the server holds them."""
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in token):
        raise AddressError("the token has a control character in it, e.g. the end of a line")
    try:
        return os.fsencode(f"Bearer {token}").decode("latin-1")
    except UnicodeEncodeError as error:
        raise AddressError(f"the token is no text: {error.reason}") from None


def _parts(place: str) -> tuple[str, ...]:
    """Names of a path that a server told, whatever it runs on. Raises ClientError for one that
    leads out of the folder that it is below."""
    parts = PurePosixPath(place.replace("\\", "/")).parts
    rooted = place.startswith(("/", "\\")) or PureWindowsPath(place).drive
    if rooted or ".." in parts or "\0" in place:
        raise ClientError(f'"{place}" leads out of the folder, so nothing is saved there')
    return parts


def _polls(timeout_s: float, what: str) -> Iterator[int]:
    """Counts now and then until the time is up, then raises ClientTimeoutError."""
    deadline = time.monotonic() + timeout_s
    for poll in itertools.count():
        yield poll
        if time.monotonic() > deadline:
            raise ClientTimeoutError(f"{what} within {timeout_s:g} s")
        time.sleep(_POLL_SECONDS)


def _why_refused(route: str, status: int, answer: Any) -> str:
    if not isinstance(answer, dict):
        return f"{route}: HTTP {status}"
    error = answer.get("error", "")
    said = [str(error.get("message", "")) if isinstance(error, dict) else str(error)]
    for node_id, node in (answer.get("node_errors") or {}).items():
        faults = "; ".join(f"{each['message']}: {each['details']}" for each in node["errors"])
        said.append(f"node {node_id} ({node['class_type']}): {faults}")
    said += [f"{fault['pointer'] or '/'}: {fault['message']}" for fault in answer.get("faults", ())]
    return f"{route}: " + ("\n  ".join(filter(None, said)) or f"HTTP {status}")


def _raise_what_went_wrong(messages: list[Any]) -> None:
    for kind, data in messages:
        if kind == "execution_error":
            raise NodeFailedError(
                str(data["node_id"]),
                str(data["node_type"]),
                str(data["exception_type"]),
                str(data["exception_message"]).strip(),
            )
        if kind == "execution_interrupted":
            raise PromptInterruptedError(
                f"node {data['node_id']} ({data['node_type']}) was interrupted"
            )
