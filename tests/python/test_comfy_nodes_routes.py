"""HTTP: reading changes nothing, changing needs JSON and a known origin, no answer has a path."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")
web = pytest.importorskip("aiohttp.web", reason="NOT RUN, needs aiohttp")
from aiohttp.test_utils import TestClient, TestServer  # noqa: E402
from fakes.comfy_fakes import Patcher  # noqa: E402
from fakes.comfy_host import admit, make_host  # noqa: E402

from comfy_nodes.host import Host  # noqa: E402
from comfy_nodes.prewarm import Prewarm  # noqa: E402
from comfy_nodes.prewarm_workflows import Work  # noqa: E402
from comfy_nodes.reports import Reports  # noqa: E402
from comfy_nodes.routes import BadRequestError, Routes  # noqa: E402
from comfy_nodes.seams import Seams  # noqa: E402

JSON = {"Content-Type": "application/json"}


def ask(host: Host, *requests: tuple[Any, ...], ready: bool = True) -> list[tuple[int, Any]]:
    """Sends the requests to the routes, with a worker at hand that runs what they post."""
    runtime: Any = host.runtime
    runtime.config = {"max_cached_models": 3, "unload": {"policy": "lru", "idle_seconds": 60}}
    runtime.config_source = "shipped default"
    runtime.config_inert, runtime.config_faults = [], []
    runtime.host_memory = lambda: {"total": 2, "available": 1}
    config = SimpleNamespace(faults=[])
    prewarm = Prewarm(host, Unused(), {}, [])
    if ready:
        prewarm.follow({"prewarm_on_startup": False})
    reports = Reports(runtime, Seams(), config, prewarm, "0.33.0")  # type: ignore[arg-type]
    reports.show_weights(host.supply.report)
    routes = Routes(host, reports, prewarm, FakeConfig(runtime))  # type: ignore[arg-type]
    table = web.RouteTableDef()
    routes.install(table, Seams())
    with Worker(runtime.executor):
        answers = asyncio.run(exchange(table, requests))
    runtime.executor.adopt_current_thread()
    return answers


class FakeConfig:
    """A config file of which a request may change what is in force."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime

    def put_in_force(self, text: str, label: str) -> bool:
        self._runtime.config = json.loads(text)
        self._runtime.config_source = label
        return True


class Unused:
    def run(self, work: Work) -> None:
        raise AssertionError(work)


async def exchange(table: Any, requests: Any) -> list[tuple[int, Any]]:
    app = web.Application()
    app.add_routes(table)
    answers = []
    async with TestClient(TestServer(app)) as client:
        for method, path, body, headers in requests:
            answer = await client.request(method, path, data=body, headers=headers)
            answers.append((answer.status, json.loads(await answer.text())))
    return answers


class Worker:
    """The prompt worker, woken by posts."""

    def __init__(self, executor: Any) -> None:
        self._executor = executor
        self._woken = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._executor.set_wake(self._woken.set)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ending = True
        self._woken.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending:
            self._woken.wait()
            self._woken.clear()
            self._executor.run_pending()


def post(path: str, body: Any, **headers: str) -> tuple[Any, ...]:
    return ("POST", path, json.dumps(body), {**JSON, **headers})


def get(path: str) -> tuple[Any, ...]:
    return ("GET", path, None, {})


def test_a_model_is_evicted_by_name_on_the_executor() -> None:
    host = make_host()
    admit(host, "a", Patcher())
    admit(host, "b", Patcher())
    [answer] = ask(host, post("/hearth/evict", {"name": "a"}))
    assert answer == (200, {"evicted": 1, "lingering_freed": 0})
    assert [each["name"] for each in host.runtime.cache.residents()] == ["b"]


def test_a_model_that_only_lingers_is_told_and_goes_when_it_is_freed() -> None:
    host = make_host()
    kept = Patcher()
    admit(host, "a", kept)
    host.runtime.cache.erase_by_name("a", "test")
    alone, freed = ask(
        host,
        post("/hearth/evict", {"name": "a"}),
        post("/hearth/evict", {"name": "a", "free": True}),
    )
    assert alone[0] == 404 and 'still holds it; say "free": true' in alone[1]["error"]
    assert freed[0] == 200


@pytest.mark.parametrize(
    "body", [{}, {"name": "a", "all": True}, {"all": True, "free": 1}, {"all": False}, {"name": 1}]
)
def test_an_evict_request_that_says_no_clear_thing_is_refused(body: Any) -> None:
    assert ask(make_host(), post("/hearth/evict", body))[0][0] == 400


def test_either_file_of_a_model_of_two_evicts_it() -> None:
    host = make_host()
    for name in ("l + g", "l"):
        admit(host, name, Patcher())
    assert ask(host, post("/hearth/evict", {"name": "g"}))[0][1]["evicted"] == 1
    admit(host, "l + g", Patcher())
    assert ask(host, post("/hearth/evict", {"name": "l + g"}))[0][1]["evicted"] == 1
    assert [each["name"] for each in host.runtime.cache.residents()] == ["l"]


def test_the_pin_of_an_evicted_model_is_taken_off_and_does_not_come_back_with_it() -> None:
    host = make_host()
    admit(host, "a", Patcher())
    unpin = post("/hearth/pin", {"name": "a", "pinned": False})
    answers = ask(
        host, post("/hearth/pin", {"name": "a"}), post("/hearth/evict", {"name": "a"}), unpin
    )
    assert [status for status, _ in answers] == [200, 200, 200]
    admit(host, "a", Patcher())
    (view,) = host.runtime.cache.residents()
    assert not view["pinned"]
    host.runtime.cache.erase_by_name("a", "test")
    [refused] = ask(host, unpin)
    assert refused[0] == 404 and "not pinned either" in refused[1]["error"]


def test_a_name_that_is_not_resident_is_not_found() -> None:
    host = make_host()
    admit(host, "a", Patcher())
    [answer] = ask(host, post("/hearth/evict", {"name": "absent"}))
    assert answer[0] == 404
    assert "/hearth/models" in answer[1]["error"]


def test_all_spares_what_is_pinned() -> None:
    host = make_host()
    admit(host, "a", Patcher())
    admit(host, "b", Patcher())
    answers = ask(
        host,
        post("/hearth/pin", {"name": "b", "pinned": True}),
        post("/hearth/evict", {"all": True, "free": True}),
    )
    assert [status for status, _ in answers] == [200, 200]
    assert [each["name"] for each in host.runtime.cache.residents()] == ["b"]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (("POST", "/hearth/evict", '{"all": true}', {"Content-Type": "text/plain"}), 415),
        (post("/hearth/evict", {"all": True}, Origin="http://evil.example"), 403),
        (post("/hearth/evict", {"all": True}, Origin="null"), 403),
        (("POST", "/hearth/evict", "{", JSON), 400),
        (("POST", "/hearth/evict", "[]", JSON), 400),
        (post("/hearth/evict", {}), 400),
        (post("/hearth/evict", {"name": 3}), 400),
        (post("/hearth/pin", {"name": "a", "pinned": "yes"}), 400),
        (post("/hearth/pin", {"name": "nobody"}), 404),
        (("POST", "/hearth/evict", '{"name": ' + "[" * 100_000, JSON), 400),
        (("POST", "/hearth/evict", b'{"name": "\xff"}', JSON), 400),
        (("POST", "/hearth/evict", b'{"all": true}', JSON | {"Content-Encoding": "gzip"}), 400),
        (("POST", "/hearth/evict", b" " * (9 << 20) + b'{"all": true}', JSON), 413),
        (post("/hearth/evict", {"all": True}, Origin="http://["), 403),
        # A page whose name was made to resolve to this machine: both headers name its host.
        (post("/hearth/evict", {"all": True}, Origin="http://evil.com:8", Host="evil.com:8"), 403),
        (get("/hearth/events?after=-1"), 400),
        (get("/hearth/events?after=" + "9" * 40), 400),
    ],
)
def test_an_unclear_or_foreign_request_changes_nothing(request_: Any, status: int) -> None:
    host = make_host()
    admit(host, "a", Patcher())
    [answer] = ask(host, request_)
    assert answer[0] == status
    assert answer[1]["error"]
    assert host.runtime.cache.stats()["resident"] == 1


def test_a_listed_origin_may_change_things() -> None:
    host = make_host()
    host.settings.allowed_origins = ["http://panel.example"]
    [answer] = ask(host, post("/hearth/evict", {"all": True}, Origin="http://panel.example"))
    assert answer[0] == 200


@pytest.mark.parametrize("own", ["localhost:8188", "127.0.0.1:8188", "[::1]:8188", "10.1.2.3"])
def test_hearths_own_page_may_change_things(own: str) -> None:
    [answer] = ask(
        make_host(), post("/hearth/evict", {"all": True}, Origin=f"http://{own}", Host=own)
    )
    assert answer[0] == 200


class _FailingCache:
    """A cache that cannot erase."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def erase_by_name(self, *_: str) -> int:
        raise RuntimeError("broken")


def test_what_fails_on_the_executor_is_told_at_once() -> None:
    host = make_host()
    admit(host, "a", Patcher())
    host.runtime.cache = _FailingCache(host.runtime.cache)
    [answer] = ask(host, post("/hearth/evict", {"name": "a"}))
    assert answer[0] == 500
    assert "the log says why" in answer[1]["error"]


def test_with_a_token_set_only_its_bearer_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANEL_TOKEN", "secret")
    host = make_host()
    host.settings.token_env = "PANEL_TOKEN"
    answers = ask(
        host,
        post("/hearth/evict", {"all": True}),
        post("/hearth/evict", {"all": True}, Authorization="Bearer wrong"),
        post("/hearth/evict", {"all": True}, Authorization="Bearer secret"),
    )
    assert [status for status, _ in answers] == [401, 401, 200]


def test_token_and_header_may_hold_bytes_that_are_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    # As aiohttp and os.environ give them; aiohttp's own client would not send them.
    monkeypatch.setenv("PANEL_TOKEN", "schlüssel\udcff")
    host = make_host()
    host.settings.token_env = "PANEL_TOKEN"
    routes = Routes(host, SimpleNamespace(), SimpleNamespace(), SimpleNamespace())  # type: ignore[arg-type]

    def request(given: str) -> Any:
        return SimpleNamespace(content_type="application/json", headers={"Authorization": given})

    routes.refuse_strangers(request("Bearer schlüssel\udcff"))
    with pytest.raises(BadRequestError):
        routes.refuse_strangers(request("Bearer schlüssel\udcfe"))


def test_files_say_how_far_they_are_registered_and_weights_which_way_they_go() -> None:
    host = make_host()
    files = [
        {"identity": SimpleNamespace(size=8), "name": name, "registered_bytes": done}
        for name, done in (("a", 8), ("b", 4), ("c", 0))
    ]
    host.runtime.host_tier = SimpleNamespace(stats=lambda: {"files": files})
    [(_, answer)] = ask(host, get("/hearth/models"))
    found = [
        (file["name"], file["bytes"], file["registered"]) for file in answer["host_tier"]["files"]
    ]
    assert found == [("a", 8, "all"), ("b", 8, "in part"), ("c", 8, "no")]
    assert answer["weights"]["path"].startswith("ComfyUI's own")
    assert answer["weights"]["left_bytes"] == 0


def test_reading_changes_nothing_and_says_what_there_is() -> None:
    host = make_host()
    admit(host, "a", Patcher())
    before = host.runtime.cache.stats()
    health, models, events = ask(
        host, get("/hearth/health"), get("/hearth/models"), get("/hearth/events?after=0")
    )
    assert host.runtime.cache.stats() == before
    assert health[1]["status"] == "ok"
    assert [each["name"] for each in models[1]["resident"]] == ["a"]
    assert [each["kind"] for each in events[1]["events"]] == ["opened"]
    assert events[1]["last"] == 1
    assert events[1]["newest"] == 1


@pytest.mark.parametrize(
    ("after", "last", "newest"), [(1, 2, 2), (2, 2, 2), (3, 2, 2), (10**17, 2, 2)]
)
def test_a_follower_from_before_a_restart_sees_that_numbers_began_anew(
    after: int, last: int, newest: int
) -> None:
    host = make_host()
    admit(host, "a", Patcher())
    admit(host, "b", Patcher())
    [answer] = ask(host, get(f"/hearth/events?after={after}"))
    assert (answer[1]["last"], answer[1]["newest"]) == (last, newest)
    assert len(answer[1]["events"]) == (after == 1)


def test_where_nothing_has_happened_the_newest_event_is_none() -> None:
    for after in (0, 7):
        [answer] = ask(make_host(), get(f"/hearth/events?after={after}"))
        assert answer[1] == {"events": [], "last": 0, "newest": 0}


def test_not_ready_is_503() -> None:
    nothing = {"total": 0, "done": 0, "items": []}
    not_ready = (503, {"ready": False, "prewarm": nothing})
    assert ask(make_host(), get("/hearth/ready"), ready=False) == [not_ready]
    assert ask(make_host(), get("/hearth/ready")) == [(200, {"ready": True, "prewarm": nothing})]


def test_no_answer_has_a_path(tmp_path: Path) -> None:
    from comfy_nodes.stock_loaders import STOCK_LOADERS, make_request, stamp_file

    host = make_host()
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"1")
    inputs = {"unet_name": "a.safetensors", "weight_dtype": "default"}
    request = make_request(
        STOCK_LOADERS[1], inputs, (stamp_file(str(path)),), {"torch_device": "cpu"}
    )
    release: Callable[[], None] = lambda: None  # noqa: E731
    host.runtime.cache.acquire(request.key, lambda: (SimpleNamespace(release=release), {})).close()
    answers = ask(host, get("/hearth/models"), get("/hearth/events"), get("/hearth/health"))
    assert str(tmp_path) not in json.dumps(answers)
    assert answers[0][1]["resident"][0]["inputs"] == {"weight_dtype": "default"}


def test_a_patch_changes_what_it_names_and_null_is_a_value() -> None:
    patch = {"patch": {"max_cached_models": None, "unload": {"policy": "lfu"}}}
    (answer,) = ask(make_host(), post("/hearth/config", patch))
    unload = {"policy": "lfu", "idle_seconds": 60}
    in_force = {"max_cached_models": None, "unload": unload}
    assert answer == (200, {"in_force": in_force, "faults": []})


def test_a_whole_config_replaces_the_one_in_force() -> None:
    (answer,) = ask(make_host(), post("/hearth/config", {"config": {"max_cached_models": 1}}))
    assert answer[1]["in_force"] == {"max_cached_models": 1}


def test_a_faulty_patch_is_answered_with_every_fault_and_changes_nothing() -> None:
    host = make_host()
    patch = {"patch": {"max_cached_models": -1, "unload": {"policy": "lrru"}}}
    (answer,) = ask(host, post("/hearth/config", patch))
    assert answer[0] == 400
    pointers = {fault["pointer"] for fault in answer[1]["faults"]}
    assert pointers == {"/max_cached_models", "/unload/policy"}
    runtime: Any = host.runtime
    assert runtime.config["max_cached_models"] == 3


@pytest.mark.parametrize(
    "body", [{}, {"max_cached_models": 1}, {"patch": 1}, {"patch": {}, "config": {}}]
)
def test_a_config_request_that_says_no_clear_thing_is_refused(body: Any) -> None:
    assert ask(make_host(), post("/hearth/config", body))[0][0] == 400


def test_the_addresses_are_listed() -> None:
    [answer] = ask(make_host(), ("GET", "/hearth/", None, {}))
    assert "/hearth/health" in answer[1]["GET"]
    assert "/hearth/evict" in answer[1]["POST"]
