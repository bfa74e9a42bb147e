"""Interrupts, routes, config faults and the end of the process."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest

from benchmarks.harness import toy_models
from benchmarks.harness.client import ComfyClient, PromptFailedError
from benchmarks.harness.comfy_server import REPOSITORY, ComfyServer, ServerSpec
from benchmarks.harness.hearth_face import wait_until
from benchmarks.harness.live_comfy import FaultyStart, LiveComfy, StartComfy
from benchmarks.harness.safetensors_file import TensorSpec, write_safetensors
from benchmarks.harness.workflows import node, sd3_graph

pytestmark = pytest.mark.older_too

A, B = "toy_sd3_a.safetensors", "toy_sd3_b.safetensors"


def test_interrupt_in_the_middle_of_sampling_leaves_the_model_usable(
    hearth: LiveComfy, stock: LiveComfy
) -> None:
    graph = sd3_graph(A, seed=400)
    graph["hold"] = node("SpyHoldSampling", model=["loader", 0], barrier="interrupt")
    graph["sampler"]["inputs"]["model"] = ["hold", 0]
    prompt = hearth.client.submit(graph)
    held = hearth.server.barriers / "interrupt.held"
    wait_until(held.exists, "the prompt to be held in the middle of sampling")
    hearth.client.interrupt()
    (hearth.server.barriers / "interrupt.go").touch()
    assert hearth.client.wait(prompt).error == "interrupted"
    after = sd3_graph(A, seed=401)
    pixels: list[tuple[str, ...]] = []
    assert hearth.reads_during(lambda: pixels.append(hearth.run(after).pixels)) == []
    assert pixels == [stock.run(after).pixels]


@pytest.mark.parametrize("route", ["health", "ready", "models", "events"])
def test_routes_answer_json_without_any_path(hearth: LiveComfy, comfy: object, route: str) -> None:
    hearth.run(sd3_graph(A, seed=410))
    text = json.dumps(hearth.client.get(f"/hearth/{route}"))
    for path in (hearth.models, hearth.server.spec.base, REPOSITORY, comfy):
        assert str(path) not in text


def test_no_route_shows_a_folder_when_comfyui_names_the_full_path_in_its_error(
    hearth: LiveComfy, comfy: Path
) -> None:
    unknown = hearth.models / "checkpoints" / "of_no_known_model.safetensors"
    write_safetensors(unknown, [TensorSpec("some.weight", (4, 4), std=1.0)], 1)
    before = hearth.hearth.last_event()
    try:
        with pytest.raises(PromptFailedError, match=f"/models/checkpoints/{unknown.name}"):
            hearth.run(sd3_graph(unknown.name, seed=411))
    finally:
        unknown.unlink()
    failed = [each for each in hearth.hearth.events(before) if each["kind"] == "load_failed"]
    assert [each["model"] for each in failed] == [unknown.name]
    assert unknown.name in failed[0]["reason"]
    routes = ("", "health", "ready", "models", "events", "metrics")
    text = "".join(hearth.client.get_text(f"/hearth/{route}") for route in routes)
    for folder in (hearth.models, hearth.server.spec.base, REPOSITORY, comfy, Path.home()):
        assert f"{folder}/" not in text


def test_what_exists_at_the_start_is_set_aside_from_garbage_collection(hearth: LiveComfy) -> None:
    found = re.search(r"(\d+) objects of the start are set aside", hearth.server.log_text())
    assert found is not None
    assert int(found[1]) > 100_000  # ComfyUI's and torch's modules, not hearth's own


def test_the_first_free_of_a_fresh_server_lets_go_of_the_model(start_comfy: StartComfy) -> None:
    live = start_comfy("fresh", hearth=REPOSITORY)
    live.run(sd3_graph(A, seed=415))
    assert live.hearth.resident() == {A}
    live.client.free()
    live.wait_until_empty()
    live.run(sd3_graph(B, seed=415))  # the collection that the worker owed is behind it now
    assert live.hearth.lingering() == set()
    assert live.hearth.resident() == {B}


def test_events_say_what_was_opened_for_which_node_and_why(hearth: LiveComfy) -> None:
    before = hearth.hearth.last_event()
    result = hearth.run(sd3_graph(A, seed=420))
    events = {event["kind"]: event for event in hearth.hearth.events(before)}
    opened, arrived = events["opened"], events["weights_arrived"]
    assert (opened["model"], opened["node"]) == (A, "loader")
    assert opened["prompt"] == arrived["prompt"] == result.prompt_id
    assert opened["reason"]
    assert sum(opened["bytes"].values()) > 0


def test_each_opening_says_why_and_each_arrival_how_much_and_how_long(
    hearth: LiveComfy,
) -> None:
    hearth.configure(max_cached_models=1)
    before = hearth.hearth.last_event()
    traced = toy_models.write_checkpoint(hearth.models / "checkpoints" / "traced.safetensors", 31)
    try:
        for seed, name in enumerate((traced.name, A, traced.name), start=440):
            hearth.run(sd3_graph(name, seed=seed))
        toy_models.write_checkpoint(traced, 32)
        hearth.run(sd3_graph(traced.name, seed=443))
        size = traced.stat().st_size
    finally:
        traced.unlink()
    events = [each for each in hearth.hearth.events(before) if each["model"] == traced.name]
    opened = [each for each in events if each["kind"] == "opened"]
    reasons = ["never loaded", "evicted: limit of 1 model", "file changed"]
    assert [each["reason"] for each in opened] == reasons
    arrived = [each for each in events if each["kind"] == "weights_arrived"]
    for prompt in (each["prompt"] for each in opened):
        parts = [each for each in arrived if each["prompt"] == prompt]
        assert size / 2 < sum(sum(each["bytes"].values()) for each in parts) < size * 2
        assert all(each["ms"] > 0 for each in parts)
    log = hearth.server.log_text()
    assert all(f"{traced.name} opened: {reason} (" in log for reason in reasons)


def test_the_config_in_comfyuis_user_directory_counts_where_none_is_named(
    comfy: Path, models: Path, tmp_path: Path
) -> None:
    has_hidden_folders = "def get_system_user_directory(" in (comfy / "folder_paths.py").read_text(
        encoding="utf-8"
    )
    for folder, limit in (("__hearth", 7), ("hearth", 6)):
        file = tmp_path / "user" / folder / "hearth.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"max_cached_models": limit}), encoding="utf-8")
    packs = {"hearth": REPOSITORY}
    spec = ServerSpec(
        comfy,
        tmp_path,
        models,
        packs=packs,
        flags=("--cpu",),
        env={"OMP_NUM_THREADS": "1"},
        forked=True,
    )
    with ComfyServer(spec) as server:
        config = ComfyClient(server.url).get("/hearth/health")["config"]
    found = (config["source"], config["in_force"]["max_cached_models"])
    assert found == ("user directory", 7 if has_hidden_folders else 6)


def test_faulty_config_starts_comfyui_with_defaults_and_says_so(
    faulty_start: FaultyStart,
) -> None:
    config = faulty_start.health["config"]
    faults = config["faults"]
    assert {fault["pointer"] for fault in faults} == {
        "/max_cached_modles",
        "/unload/idle_seconds",
    }
    assert "max_cached_models" in json.dumps(faults)
    assert config["in_force"]["max_cached_models"] == 3


def test_config_that_breaks_while_running_keeps_the_old_values(hearth: LiveComfy) -> None:
    hearth.configure(max_cached_models=2)
    hearth.config.write_text('{"max_cached_models": -1}')
    wait_until(lambda: bool(hearth.hearth.config_faults()), "the fault to be reported")
    assert hearth.hearth.config()["max_cached_models"] == 2
    hearth.configure()
    assert hearth.hearth.config_faults() == []


def test_comfyui_ends_with_code_0_while_models_are_resident(start_comfy: StartComfy) -> None:
    live = start_comfy("ending", hearth=REPOSITORY)
    for checkpoint in (A, B):
        live.run(sd3_graph(checkpoint))
    assert live.hearth.resident() == {A, B}
    assert live.server.stop() == 0
    log = live.server.log_text()
    assert "Traceback" not in log
    assert "memory leak" not in log.lower()


def test_metrics_are_text_for_prometheus(hearth: LiveComfy) -> None:
    hearth.run(sd3_graph(A, seed=430))
    with urllib.request.urlopen(f"{hearth.server.url}/hearth/metrics") as answer:
        lines = answer.read().decode().splitlines()
    assert "hearth_resident_models 1.0" in lines
