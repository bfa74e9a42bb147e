"""Limits and policies changed while ComfyUI runs, and what becomes of models meanwhile."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.harness.comfy_server import REPOSITORY
from benchmarks.harness.hearth_face import wait_until
from benchmarks.harness.live_comfy import LiveComfy, StartComfy
from benchmarks.harness.workflows import node, sd3_graph

pytestmark = pytest.mark.older_too

A, B, C = (f"toy_sd3_{letter}.safetensors" for letter in "abc")


def patch(live: LiveComfy, **changes: Any) -> None:
    """Changes the config by a request."""
    status, answer = live.client.post("/hearth/config", {"patch": changes})
    assert status in (200, 202), answer


def pin(live: LiveComfy, name: str, pinned: bool) -> None:
    """Pins or unpins a resident model."""
    assert live.client.post("/hearth/pin", {"name": name, "pinned": pinned})[0] == 200


def load(live: LiveComfy, *checkpoints: str) -> None:
    """Runs a prompt with each."""
    for checkpoint in checkpoints:
        live.run(sd3_graph(checkpoint, seed=700))


@pytest.mark.parametrize(
    "change",
    [
        {"max_cached_models": 1},
        {"budget": {"ram_gib": 0.018}},
        {"unload": {"policy": "idle", "idle_seconds": 0.5}, "max_cached_models": 1},
    ],
)
def test_a_smaller_limit_counts_at_once(hearth: LiveComfy, change: dict[str, Any]) -> None:
    load(hearth, A, B, C)
    patch(hearth, **change)
    wait_until(lambda: hearth.hearth.resident() == {C}, "the older models to go")


@pytest.mark.parametrize(("policy", "left"), [("idle", {A, B, C}), ("lru", {C})])
def test_a_limit_takes_what_was_used_a_moment_ago_unless_the_policy_waits(
    hearth: LiveComfy, policy: str, left: set[str]
) -> None:
    load(hearth, A, B, C)
    patch(hearth, unload={"policy": policy, "idle_seconds": 3600}, max_cached_models=1)
    if policy == "idle":
        # Asked for behind the change, and done on the same worker: the change has counted by then.
        hearth.client.post("/hearth/evict", {"name": C})
        left = left - {C}
    wait_until(lambda: hearth.hearth.resident() == left, f"{sorted(left)} to be left")


def test_turned_off_nothing_stays_and_turned_on_again_it_keeps(hearth: LiveComfy) -> None:
    load(hearth, A)
    patch(hearth, keep_model_in_memory=False)
    wait_until(lambda: not hearth.hearth.resident(), "the model to go")
    load(hearth, B)
    assert hearth.hearth.resident() == set()
    patch(hearth, keep_model_in_memory=True)
    load(hearth, C)
    assert hearth.hearth.resident() == {C}


def test_without_eviction_a_further_model_is_served_and_not_kept(
    hearth: LiveComfy, stock: LiveComfy
) -> None:
    load(hearth, A)
    patch(hearth, max_cached_models=1, unload={"policy": "noeviction"})
    graph = sd3_graph(B, seed=710)
    assert hearth.run(graph).pixels == stock.run(graph).pixels
    assert hearth.hearth.resident() == {A}


def test_a_model_at_work_stays_until_its_prompt_ends(hearth: LiveComfy, stock: LiveComfy) -> None:
    graph = sd3_graph(A, seed=720)
    expected = stock.run(graph).pixels
    graph["hold"] = node("SpyHoldSampling", model=["loader", 0], barrier="limit")
    graph["sampler"]["inputs"]["model"] = ["hold", 0]
    prompt = hearth.client.submit(graph)
    held = hearth.server.barriers / "limit.held"
    wait_until(held.exists, "the prompt to be held in the middle of sampling")
    hearth.config.write({"max_cached_models": 0})
    status, answer = hearth.client.post("/hearth/config", {"patch": {"max_cached_models": 0}})
    assert (status, answer) == (202, {"queued": True})
    assert hearth.hearth.resident() == {A}
    (hearth.server.barriers / "limit.go").touch()
    assert hearth.client.wait(prompt).pixels == expected
    wait_until(lambda: not hearth.hearth.resident(), "the model to go")


def test_a_pinned_model_stays_until_it_is_unpinned(hearth: LiveComfy) -> None:
    load(hearth, A, B)
    pin(hearth, A, True)
    patch(hearth, max_cached_models=0)
    wait_until(lambda: hearth.hearth.resident() == {A}, "the other model to go")
    pin(hearth, A, False)
    wait_until(lambda: not hearth.hearth.resident(), "the unpinned model to go")


def test_free_evicts_what_is_idle_and_spares_what_is_pinned(hearth: LiveComfy) -> None:
    load(hearth, A, B)
    pin(hearth, B, True)
    hearth.client.free()
    wait_until(lambda: hearth.hearth.resident() == {B}, "the idle model to go")
    assert hearth.reads_during(lambda: load(hearth, B)) == []
    pin(hearth, B, False)


def test_a_faulty_request_is_answered_with_every_fault_and_changes_nothing(
    hearth: LiveComfy,
) -> None:
    before = hearth.hearth.config()
    faulty = {"patch": {"max_cached_modles": 1, "unload": {"idle_seconds": -1}}}
    status, answer = hearth.client.post("/hearth/config", faulty)
    assert status == 400
    assert {fault["pointer"] for fault in answer["faults"]} == {
        "/max_cached_modles",
        "/unload/idle_seconds",
    }
    assert hearth.hearth.config() == before
    assert hearth.hearth.config_faults() == []


def test_a_file_that_changes_later_counts_again(hearth: LiveComfy) -> None:
    patch(hearth, max_cached_models=7)
    assert hearth.hearth.config()["max_cached_models"] == 7
    hearth.configure(max_cached_models=2)
    assert hearth.hearth.health()["config"]["source"] == "HEARTH_CONFIG"


def test_the_log_level_counts_for_every_line_of_hearth(hearth: LiveComfy) -> None:
    load(hearth, A)
    assert f"{A} opened" in hearth.server.log_text()
    patch(hearth, log={"level": "error"})
    before = len(hearth.server.log_text())
    load(hearth, B)
    assert f"{B} opened" not in hearth.server.log_text()[before:]


@pytest.mark.parametrize("unload", [False, True])
def test_models_are_dropped_before_comfyui_ends_only_where_the_config_says_so(
    start_comfy: StartComfy, unload: bool
) -> None:
    config = json.dumps({"unload_on_exit": unload})
    live = start_comfy(f"unload_{unload}", hearth=REPOSITORY, config=config)
    load(live, A, B)
    pin(live, B, True)
    assert live.server.stop() == 0
    log = live.server.log_text()
    assert [f"{name} dropped: shutdown" in log for name in (A, B)] == [unload] * 2
    assert "Traceback" not in log
