"""Models and workflows that are loaded before anybody asks, counted by the spy."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from benchmarks.harness.comfy_server import REPOSITORY
from benchmarks.harness.hearth_face import wait_until
from benchmarks.harness.listener import Listener
from benchmarks.harness.live_comfy import LiveComfy, StartComfy
from benchmarks.harness.workflows import node, sd3_graph, separate_graph

pytestmark = pytest.mark.older_too

A, B, C = (f"toy_sd3_{letter}.safetensors" for letter in "abc")
CLIP = "toy_clip_l_1.safetensors"

ALL_KINDS = [
    f"checkpoints/{A}",
    "toy_mmdit.safetensors",
    "vae/toy_vae.safetensors",
    f"text_encoders/{CLIP}?type=sd3",
]


@dataclass
class AtReady:
    """A server, and what it had done by the time it said that it was ready."""

    live: LiveComfy
    reads: list[str]
    saved: list[str]
    history: dict[str, Any]


def state(live: LiveComfy) -> dict[str, Any]:
    """What /hearth/ready says, whatever its status."""
    status, answer = live.client.get_any("/hearth/ready")
    return {"status": status, **answer}


def items(live: LiveComfy) -> dict[str, tuple[str, str]]:
    """State and error of each item of the prewarm, by name, in order."""
    return {
        each["name"]: (each["state"], each["error"]) for each in state(live)["prewarm"]["items"]
    }


def saved(live: LiveComfy) -> list[str]:
    """All files in ComfyUI's output and temp folders."""
    folders = (live.server.spec.base / name for name in ("output", "temp"))
    return [path.name for folder in folders for path in folder.rglob("*") if path.is_file()]


def when_ready(live: LiveComfy) -> AtReady:
    """Waits for the prewarm to end."""
    wait_until(lambda: state(live)["status"] == 200, "hearth to be ready")
    return AtReady(live, live.server.reads(), saved(live), live.client.get("/history"))


@pytest.fixture(scope="module")
def prewarmed(start_from_scratch: StartComfy) -> AtReady:
    """Models of every kind, and one workflow with a dummy inference."""
    prewarm = {"models": ALL_KINDS, "workflows": ["round_robin_2_b"]}
    config = {"max_cached_models": 4, "prewarm": prewarm}
    live = start_from_scratch("prewarmed", hearth=REPOSITORY, config=json.dumps(config))
    return when_ready(live)


def test_prewarm_and_the_first_prompts_are_one_load_each(
    prewarmed: AtReady, stock: LiveComfy
) -> None:
    graphs = [sd3_graph(A, seed=1), sd3_graph(B), separate_graph(seed=3)]
    results = [prewarmed.live.run(graph) for graph in graphs]
    assert Counter(prewarmed.live.server.reads()) == dict.fromkeys(
        [A, "toy_mmdit.safetensors", "toy_vae.safetensors", CLIP, B], 1
    )
    assert [result.pixels for result in results] == [stock.run(graph).pixels for graph in graphs]
    assert [len(result.files) for result in results] == [1, 1, 1]


def test_comfyui_sees_no_leak_in_models_that_are_kept(prewarmed: AtReady) -> None:
    for seed in (31, 32):
        prewarmed.live.run(sd3_graph(B, seed=seed))
        prewarmed.live.run(sd3_graph(A, seed=seed))
    assert "memory leak" not in prewarmed.live.server.log_text()


def test_items_are_loaded_in_the_order_in_which_they_are_named(prewarmed: AtReady) -> None:
    assert prewarmed.reads == [A, "toy_mmdit.safetensors", "toy_vae.safetensors", CLIP, B]
    assert items(prewarmed.live) == dict.fromkeys([*ALL_KINDS, "round_robin_2_b"], ("done", ""))


def test_files_are_read_while_comfyui_still_imports(prewarmed: AtReady) -> None:
    log = prewarmed.live.server.log_text()
    assert log.index("hearth: reading 5 files ahead") < log.index("pytorch version")
    assert "Torch already imported" not in log


def test_a_dummy_inference_leaves_no_file_and_no_history(prewarmed: AtReady) -> None:
    assert prewarmed.saved == []
    assert prewarmed.history == {}


@pytest.fixture(scope="module")
def held(start_comfy: StartComfy) -> LiveComfy:
    """A server held by a barrier in the middle of its first dummy inference."""
    graph = sd3_graph(B)
    graph["hold"] = node("SpyHold", latent=["sampler", 0], barrier="prewarm")
    graph["decode"]["inputs"]["samples"] = ["hold", 0]
    prewarm = {"models": [A], "workflows": ["held", "round_robin_3_c.json"]}
    live = start_comfy(
        "held",
        hearth=REPOSITORY,
        config=json.dumps({"prewarm": prewarm}),
        files={"held.json": json.dumps(graph)},
    )
    barrier = live.server.barriers / "prewarm.held"
    wait_until(barrier.exists, "the dummy inference to be held")
    return live


def test_a_prompt_waits_for_one_item_only_and_its_client_sees_nothing_of_the_prewarm(
    held: LiveComfy, stock: LiveComfy
) -> None:
    assert state(held)["status"] == 503
    assert [each for each, _ in items(held).values()] == ["done", "running", "waiting"]
    assert held.client.pending() == 0
    with Listener(held.server.url) as listener:
        prompt = held.client.submit(sd3_graph(A, seed=5))
        (held.server.barriers / "prewarm.go").touch()
        result = held.client.wait(prompt)
        ready = when_ready(held)
    assert result.pixels == stock.run(sd3_graph(A, seed=5)).pixels
    assert ready.reads == [A, B, C]
    assert len(ready.saved) == 1
    events = [(each["kind"], each["model"]) for each in held.hearth.events()]
    assert events.index(("hit", A)) < events.index(("opened", C))
    assert {prompt} >= {each["prompt_id"] for each in listener.events if "prompt_id" in each}


def test_what_cannot_be_prewarmed_is_told_and_the_server_serves(start_comfy: StartComfy) -> None:
    prewarm = {
        "models": ["toy_sd3_z.safetensors", A, B, CLIP],
        "workflows": ["missing", "editor", "sd3"],
    }
    config = {"max_cached_models": 1, "prewarm": prewarm}
    live = start_comfy(
        "failing",
        hearth=REPOSITORY,
        config=json.dumps(config),
        files={"editor.json": json.dumps({"nodes": [], "links": []})},
    )
    ready = when_ready(live)
    failed = {name: error for name, (each, error) in items(live).items() if each == "failed"}
    assert failed.keys() == {"toy_sd3_z.safetensors", B, CLIP, "missing", "editor"}
    assert "did you mean toy_sd3_" in failed["toy_sd3_z.safetensors"]
    assert "no room" in failed[B]
    assert f"text_encoders/{CLIP}?type=" in failed[CLIP]
    assert "Export (API)" in failed["editor"]
    assert ready.reads == [A]
    assert live.hearth.health()["prewarm"]["items"] == state(live)["prewarm"]["items"]
    for error in failed.values():
        assert error in live.server.log_text()
    assert len(live.run(sd3_graph(B)).files) == 1


def test_models_are_prewarmed_in_the_order_given_as_long_as_the_budget_has_room(
    start_comfy: StartComfy,
) -> None:
    """A checkpoint of the toys has 12 MB and the transformer 3: two checkpoints and it fit."""
    models = [A, B, C, "toy_mmdit.safetensors"]
    config = {"budget": {"ram_gib": 0.03}, "max_cached_models": None, "prewarm": {"models": models}}
    live = start_comfy("tight", hearth=REPOSITORY, config=json.dumps(config))
    ready = when_ready(live)
    found = items(live)
    assert list(found) == models
    assert [state for state, _ in found.values()] == ["done", "done", "failed", "done"]
    assert "no room" in found[C][1]
    assert "RAM budget of 32 MB" in found[C][1]
    assert ready.reads == [A, B, "toy_mmdit.safetensors"]
    assert live.hearth.resident() == set(ready.reads)
    assert "evicted" not in {each["kind"] for each in live.hearth.events()}


def test_prompts_that_never_leave_the_queue_empty_do_not_keep_a_prewarm_waiting(
    hearth: LiveComfy,
) -> None:
    def held(name: str, seed: int) -> str:
        graph = sd3_graph(A, seed=seed)
        graph["hold"] = node("SpyHold", latent=["sampler", 0], barrier=name)
        graph["decode"]["inputs"]["samples"] = ["hold", 0]
        return hearth.client.submit(graph)

    def wait_for_barrier(name: str) -> None:
        barrier = hearth.server.barriers / f"{name}.held"
        wait_until(barrier.exists, f"{name} to be held")

    first = held("busy first", seed=630)
    wait_for_barrier("busy first")
    assert hearth.client.post("/hearth/prewarm", {"models": [C]})[0] == 202
    further = [hearth.client.submit(sd3_graph(A, seed=seed)) for seed in (631, 632, 633)]
    last = held("busy last", seed=634)
    (hearth.server.barriers / "busy first.go").touch()
    wait_for_barrier("busy last")
    assert items(hearth)[C] == ("done", "")
    assert C in hearth.hearth.resident()
    (hearth.server.barriers / "busy last.go").touch()
    ended = [hearth.client.wait(prompt).status for prompt in (first, *further, last)]
    assert ended == ["success"] * 5


def test_a_request_prewarms_a_model_for_the_prompt_that_follows(hearth: LiveComfy) -> None:
    status, answer = hearth.client.post("/hearth/prewarm", {"models": [A]})
    assert (status, answer["items"][0]["state"]) == (200, "done")
    assert hearth.reads_during(lambda: hearth.run(sd3_graph(A, seed=600))) == []


@pytest.mark.parametrize("infer", [True, False])
def test_a_request_prewarms_a_workflow_and_saves_nothing(hearth: LiveComfy, infer: bool) -> None:
    before, history = saved(hearth), hearth.client.get("/history").keys()
    body = {"workflow": separate_graph(seed=610), "dummy_inference": infer}
    status, answer = hearth.client.post("/hearth/prewarm", body)
    assert status in (200, 202)  # 202 where the machine is slow; the item is the same
    name = answer["items"][0]["name"]
    wait_until(lambda: items(hearth)[name] == ("done", ""), "the workflow to be prewarmed")
    assert (saved(hearth), hearth.client.get("/history").keys()) == (before, history)
    arrived = {each["kind"] for each in hearth.hearth.events()} & {"weights_arrived"}
    assert not hearth.reads_during(lambda: hearth.run(separate_graph(seed=611)))
    assert arrived or not infer


def test_a_prewarm_leaves_what_comfyui_has_cached_for_a_user(hearth: LiveComfy) -> None:
    graph = sd3_graph(A, seed=620)
    hearth.run(graph)
    hearth.client.post("/hearth/prewarm", {"workflow": sd3_graph(B, seed=621)})
    assert hearth.run(graph).cached_nodes == set(graph)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"models": "toy"},
        {"models": [1]},
        {"workflow": "../secret"},
        {"workflow": "/etc/passwd"},
        {"workflow": {"1": {"no": "node"}}},
        {"workflow": "sd3", "dummy_inference": "yes"},
    ],
)
def test_a_request_that_says_no_clear_thing_is_refused(hearth: LiveComfy, body: Any) -> None:
    status, answer = hearth.client.post("/hearth/prewarm", body)
    assert status == 400
    assert answer["error"]


def test_a_config_read_again_prewarms_only_what_it_names_anew(hearth: LiveComfy) -> None:
    def name(*models: str) -> None:
        hearth.configure(prewarm={"models": list(models)})

    assert hearth.reads_during(lambda: wait_for(hearth, name, A)) == [A]
    hearth.hearth.evict(A)
    wait_until(lambda: not hearth.hearth.resident(), "A to go")
    assert hearth.reads_during(lambda: wait_for(hearth, name, A, B)) == [B]


def wait_for(live: LiveComfy, name: Callable[..., None], *models: str) -> None:
    """Names models in the config and waits for the last of them."""
    name(*models)
    wait_until(lambda: models[-1] in live.hearth.resident(), f"{models[-1]} to be prewarmed")
