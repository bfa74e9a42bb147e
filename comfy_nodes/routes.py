"""HTTP under /hearth/: GET reads, POST asks the executor for a change."""

from __future__ import annotations

import asyncio
import hmac
import importlib
import ipaddress
import json
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import hearth

from .config_file import ConfigFile
from .host import Host
from .metrics import MetricsMissingError
from .prewarm import Item, Prewarm
from .prewarm_names import PrewarmError
from .reports import Reports
from .seams import Seams
from .shown_text import shown
from .stock_loaders import names_model

_LOG = logging.getLogger("hearth")
_WAIT_SECONDS = 5.0
# The largest sensible request carries a workflow.
_MOST_BODY_BYTES = 8 << 20
_POLL_SECONDS = 0.02
_ALL_BYTES = (1 << 64) - 1
_REASON = "asked for over HTTP"

Handler = Callable[[Any], Awaitable[Any]]


class BadRequestError(ValueError):
    """A request that says no clear thing; carries the HTTP status, and faults if it has several."""

    def __init__(self, status: int, message: str, faults: list[Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.answer: dict[str, Any] = {"error": message}
        if faults:
            self.answer["faults"] = faults


class Routes:
    """The handlers; they run on the server's thread and never touch a model."""

    def __init__(self, host: Host, reports: Reports, prewarm: Prewarm, config: ConfigFile) -> None:
        self._host = host
        self._reports = reports
        self._prewarm = prewarm
        self._config = config

    def install(self, table: Any, seams: Seams) -> None:
        """Adds the routes to aiohttp's table, if there is one."""
        if not seams.record("routes", hasattr(table, "get") and hasattr(table, "post")):
            return
        table.get("/hearth/")(self._reading(lambda request: _addresses(table)))
        table.get("/hearth/health")(self._reading(lambda request: self._reports.health()))
        table.get("/hearth/models")(self._reading(lambda request: self._reports.models()))
        table.get("/hearth/events")(self._reading(self._events))
        table.get("/hearth/ready")(self._ready)
        table.get("/hearth/metrics")(self._metrics)
        table.post("/hearth/prewarm")(self._prewarming)
        table.post("/hearth/evict")(self._changing(self.evict))
        table.post("/hearth/pin")(self._changing(self.pin))
        table.post("/hearth/config")(self._changing(self.config))

    def evict(self, body: Any) -> Callable[[], dict[str, Any]]:
        """{"name": …} drops that model, a pinned one too, and of a model of two files either name
        will do; {"all": true} every one idle and not pinned; "free" also takes them out of
        ComfyUI's node cache. Returns the job."""
        name, free = body.get("name"), body.get("free", False)
        is_form = {"name", "all"} & body.keys() in ({"name"}, {"all"}) and isinstance(free, bool)
        if not is_form or not (isinstance(name, str) or body.get("all") is True):
            raise BadRequestError(400, 'say {"name": "<model>"} or {"all": true}, and "free": true')
        cache = self._host.runtime.cache
        meant = set() if name is None else _meant(name, cache.residents(), also_lingering=free)

        def job() -> dict[str, Any]:
            before = cache.stats()["resident"]
            for each in meant:
                cache.erase_by_name(each, _REASON)
            if not meant:
                cache.trim(_ALL_BYTES, _ALL_BYTES, _REASON)
            evicted = before - cache.stats()["resident"]
            freed = cache.free_lingering() if free else 0
            return {"evicted": evicted, "lingering_freed": freed}

        return job

    def pin(self, body: Any) -> Callable[[], dict[str, Any]]:
        """{"name": …, "pinned": true or false} for a resident model; a pin of an evicted one can be
        taken off as well, because it would be back with the model. Returns the job."""
        name, pinned = body.get("name"), body.get("pinned", True)
        if not isinstance(name, str) or not isinstance(pinned, bool):
            raise BadRequestError(400, 'say {"name": "<model>", "pinned": true}')
        residents = self._host.runtime.cache.residents()
        keys = {each["key"] for each in residents if each["name"] == name}
        if not pinned:
            keys.update(self._host.pins.keys_of(name))
        if not keys:
            what = "resident" if pinned else "resident, and not pinned either"
            raise BadRequestError(404, f"{name} is not {what}; /hearth/models lists what is")

        def job() -> dict[str, Any]:
            for key in keys:
                self._host.pins.put(key, pinned)
            return {"name": name, "pinned": pinned}

        return job

    def config(self, body: Any) -> Callable[[], dict[str, Any]]:
        """{"config": a whole one} or {"patch": what is to change}; in memory, until the config file
        changes. In a patch null is the value null. Returns the job."""
        (form, given), *more = body.items() or [("", None)]
        if form not in ("config", "patch") or more or not isinstance(given, dict):
            raise BadRequestError(400, 'say {"config": {…}} for a whole one, or {"patch": {…}}')
        runtime = self._host.runtime

        def text() -> str:
            return json.dumps(given if form == "config" else _patched(runtime.config, given))

        faults = hearth.check_config(text())
        if faults:
            raise BadRequestError(400, "the config has faults; nothing was changed", faults)

        def job() -> dict[str, Any]:
            self._config.put_in_force(text(), "POST /hearth/config")
            return {"in_force": runtime.config, "faults": runtime.config_faults}

        return job

    def prewarm(self, body: Any) -> list[Item]:
        """{"models": [names]} and/or {"workflow": name or graph}, "dummy_inference" for the latter.
        Returns the items that were added."""
        models, workflow = body.get("models", []), body.get("workflow")
        infer = body.get("dummy_inference", True)
        named = isinstance(models, list) and all(isinstance(each, str) for each in models)
        if not named or not isinstance(infer, bool) or not (models or workflow is not None):
            raise BadRequestError(
                400, 'say {"models": ["<model>", …]} or {"workflow": <its name, or a graph>}'
            )
        if isinstance(workflow, str) and not is_plain(workflow):
            raise BadRequestError(400, "a workflow is named without .. and not by a full path")
        try:
            return self._prewarm.request(models, workflow, infer)
        except PrewarmError as error:
            raise BadRequestError(400, str(error)) from error

    def refuse_strangers(self, request: Any) -> None:
        """Throws BadRequestError unless the request may change something."""
        if request.content_type != "application/json":
            raise BadRequestError(415, "send application/json")
        origin = request.headers.get("Origin")
        settings = self._host.settings
        if origin and origin not in settings.allowed_origins and _is_foreign(origin, request):
            raise BadRequestError(403, "this origin is not in api.allowed_origins")
        token = os.environ.get(settings.token_env, "") if settings.token_env else None
        if token is not None:
            # Headers and the environment may hold bytes that are no text.
            given = os.fsencode(request.headers.get("Authorization", ""))
            if not token or not hmac.compare_digest(given, os.fsencode(f"Bearer {token}")):
                raise BadRequestError(
                    401, "send Authorization: Bearer with the token of api.token_env"
                )

    def _events(self, request: Any) -> dict[str, Any]:
        after = request.query.get("after", "0")
        if not after.isascii() or not after.isdigit() or len(after) > 18:
            raise BadRequestError(400, "after must be the number of an event")
        return self._reports.events(int(after))

    def _reading(self, answer: Callable[[Any], dict[str, Any]]) -> Handler:
        web = importlib.import_module("aiohttp.web")

        async def handle(request: Any) -> Any:
            try:
                return web.json_response(answer(request))
            except BadRequestError as error:
                return web.json_response(shown(error.answer), status=error.status)

        return handle

    async def _metrics(self, request: Any) -> Any:
        web = importlib.import_module("aiohttp.web")
        try:
            text, kind = self._reports.metrics()
        except MetricsMissingError as error:
            return web.json_response({"error": str(error)}, status=501)
        return web.Response(body=text, headers={"Content-Type": kind})

    async def _ready(self, request: Any) -> Any:
        web = importlib.import_module("aiohttp.web")
        answer = self._reports.ready()
        return web.json_response(answer, status=200 if answer["ready"] else 503)

    async def _prewarming(self, request: Any) -> Any:
        web = importlib.import_module("aiohttp.web")
        try:
            self.refuse_strangers(request)
            items = self.prewarm(await _json_object(request))
        except BadRequestError as error:
            return web.json_response(shown(error.answer), status=error.status)
        self._host.runtime.executor.post(lambda: None)  # wakes the worker
        deadline = asyncio.get_running_loop().time() + _WAIT_SECONDS
        while not all(item.ended for item in items):
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(_POLL_SECONDS)
        queued = not all(item.ended for item in items)
        answer = {"queued": queued, "items": [item.report() for item in items]}
        return web.json_response(shown(answer), status=202 if queued else 200)

    def _changing(self, plan: Callable[[Any], Callable[[], dict[str, Any]]]) -> Handler:
        web = importlib.import_module("aiohttp.web")

        async def handle(request: Any) -> Any:
            try:
                self.refuse_strangers(request)
                job = plan(await _json_object(request))
            except BadRequestError as error:
                return web.json_response(shown(error.answer), status=error.status)
            answer = await self._on_executor(job)
            status = 202 if answer.get("queued") else 500 if "error" in answer else 200
            return web.json_response(shown(answer), status=status)

        return handle

    async def _on_executor(self, job: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The job's answer, or {"queued": true} while a long prompt keeps it waiting."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[dict[str, Any]] = loop.create_future()

        def finish(answer: dict[str, Any]) -> None:
            if not done.done():
                done.set_result(answer)

        def run() -> None:
            try:
                answer = job()
            except Exception:
                _LOG.exception("a request over HTTP failed")
                answer = {"queued": False, "error": "it failed; the log says why"}
            loop.call_soon_threadsafe(finish, answer)

        if not self._host.runtime.executor.post(run):
            return {"queued": False, "error": "hearth is shutting down"}
        try:
            return await asyncio.wait_for(done, _WAIT_SECONDS)
        except asyncio.TimeoutError:
            return {"queued": True}


def _patched(whole: Any, patch: dict[str, Any]) -> dict[str, Any]:
    """`whole` with what `patch` says, section by section; lists and values are replaced."""
    merged = dict(whole) if isinstance(whole, dict) else {}
    for name, value in patch.items():
        merged[name] = _patched(merged.get(name), value) if isinstance(value, dict) else value
    return merged


def is_plain(name: str) -> bool:
    """Whether a name from outside stays within the folders it is looked for in."""
    path = PurePosixPath(name.replace("\\", "/"))
    return not path.is_absolute() and ".." not in path.parts and ":" not in name


def _addresses(table: Any) -> dict[str, list[str]]:
    """hearth's addresses by method, for whoever looks around with a browser."""
    ours = [route for route in table if route.path.startswith("/hearth/")]
    return {
        method: sorted(route.path for route in ours if route.method == method)
        for method in ("GET", "POST")
    }


def _is_foreign(origin: str, request: Any) -> bool:
    """Whether a page of another site sent the request.

    A page may name its own host in both headers after having its name resolve to this machine, so
    what comes from this machine has to have asked for it by an address or as localhost.
    """
    try:
        asked, sender = urlsplit(f"//{request.host}"), urlsplit(origin)
        if sender.netloc.lower() != request.host.lower():
            return True
        return _is_this_machine(request.remote) and not _is_safe_host(asked.hostname or "")
    except ValueError:
        return True


def _is_safe_host(host: str) -> bool:
    """Whether no name server has a say in what this host is."""
    return host == "localhost" or host.endswith(".localhost") or _address(host) is not None


def _is_this_machine(peer: str | None) -> bool:
    address = _address(peer or "")
    return address is not None and address.is_loopback


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


async def _json_object(request: Any) -> dict[str, Any]:
    text = await _read_body(request)
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(400, "the body is not JSON") from error
    if not isinstance(body, dict):
        raise BadRequestError(400, "the body is not a JSON object")
    return body


def _meant(name: str, residents: Sequence[dict[str, Any]], *, also_lingering: bool) -> set[str]:
    """The models of that name, or of which one file has it."""
    named = [each for each in residents if names_model(name, each["name"])]
    if not named:
        raise BadRequestError(404, f"{name} is not resident; /hearth/models lists what is")
    if not also_lingering and all(each["lingering"] for each in named):
        text = f'{name} is not resident any more, but a workflow still holds it; say "free": true'
        raise BadRequestError(404, text)
    return {each["name"] for each in named}


async def _read_body(request: Any) -> bytes:
    body = bytearray()
    http = importlib.import_module("aiohttp.http_exceptions")
    web = importlib.import_module("aiohttp.web")
    try:
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > _MOST_BODY_BYTES:
                raise BadRequestError(413, f"the body has more than {_MOST_BODY_BYTES >> 20} MiB")
    except (http.PayloadEncodingError, web.RequestPayloadError) as error:
        raise BadRequestError(
            400, "the body cannot be read: it is not what its Content-Encoding says"
        ) from error
    except ConnectionError as error:  # nobody is there any more to be answered
        raise BadRequestError(400, "the body ends before it is whole") from error
    return bytes(body)
