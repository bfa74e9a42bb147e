"""hearth's own nodes in a real ComfyUI."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from benchmarks.harness.hearth_face import wait_until
from benchmarks.harness.live_comfy import LiveComfy
from benchmarks.harness.workflows import (
    Graph,
    dual_clip_graph,
    node,
    sd3_graph,
    separate_graph,
)

pytestmark = pytest.mark.older_too

A, B, C = (f"toy_sd3_{letter}.safetensors" for letter in "abc")

HEARTH_LOADERS = {
    "CheckpointLoaderSimple": "HearthCheckpointLoader",
    "UNETLoader": "HearthDiffusionModelLoader",
    "CLIPLoader": "HearthCLIPLoader",
    "DualCLIPLoader": "HearthDualCLIPLoader",
    "VAELoader": "HearthVAELoader",
}
GRAPHS = {
    "checkpoint": sd3_graph(A, seed=500),
    "separate files": separate_graph(seed=500),
    "two text encoders": dual_clip_graph(seed=500),
}


def with_hearth_loaders(graph: Graph, **settings: Any) -> Graph:
    """The graph with hearth's loaders in place of the stock ones."""
    changed = copy.deepcopy(graph)
    for entry in changed.values():
        if entry["class_type"] in HEARTH_LOADERS:
            entry["class_type"] = HEARTH_LOADERS[entry["class_type"]]
            entry["inputs"] |= settings
    return changed


def reseeded(graph: Graph, seed: int) -> Graph:
    """The graph with another seed, so that ComfyUI has something to do."""
    changed = copy.deepcopy(graph)
    changed["sampler"]["inputs"]["seed"] = seed
    return changed


def text_of(live: LiveComfy, graph: Graph, name: str) -> str:
    """What a node showed in the editor."""
    entry = live.client.get(f"/history/{live.run(graph).prompt_id}")
    (only,) = entry.values()
    return str(only["outputs"][name]["text"][0])


@pytest.mark.parametrize("name", GRAPHS)
def test_a_stock_and_a_hearth_loader_load_once_and_give_the_same_pixels(
    hearth: LiveComfy, stock: LiveComfy, name: str
) -> None:
    graph = GRAPHS[name]
    pixels: list[tuple[str, ...]] = []

    def work() -> None:
        pixels.append(hearth.run(with_hearth_loaders(graph)).pixels)
        hearth.run(sd3_graph(C, seed=500))
        pixels.append(hearth.run(reseeded(graph, 501)).pixels)
        hearth.run(sd3_graph(C, seed=501))
        hearth.run(with_hearth_loaders(reseeded(graph, 502)))

    reads = hearth.reads_during(work)
    assert len(reads) == len(set(reads)), reads
    assert pixels == [stock.run(graph).pixels, stock.run(reseeded(graph, 501)).pixels]


def test_hearth_loaders_use_the_cache_where_the_stock_ones_are_left_alone(
    switched_off: LiveComfy,
) -> None:
    def work() -> None:
        for seed, name in enumerate((A, B, A), start=510):
            switched_off.run(with_hearth_loaders(sd3_graph(name, seed=seed)))

    assert switched_off.reads_during(work) == [A, B]


def test_pinned_by_its_loader_a_model_outlasts_the_limit_until_a_loader_lets_it_go(
    hearth: LiveComfy,
) -> None:
    hearth.configure(max_cached_models=1)
    hearth.run(with_hearth_loaders(sd3_graph(A, seed=520), pin=True))
    hearth.run(sd3_graph(B, seed=520))
    assert hearth.hearth.resident() == {A}
    hearth.run(with_hearth_loaders(sd3_graph(A, seed=521), pin=False))
    hearth.run(sd3_graph(B, seed=521))
    assert hearth.hearth.resident() == {B}


def test_a_loader_without_pin_leaves_the_pin_of_somebody_else(hearth: LiveComfy) -> None:
    hearth.run(sd3_graph(A, seed=525))
    hearth.client.post("/hearth/pin", {"name": A, "pinned": True})
    hearth.run(with_hearth_loaders(sd3_graph(A, seed=526), pin=False))
    try:
        assert _resident(hearth, A)["pinned"]
    finally:
        hearth.client.post("/hearth/pin", {"name": A, "pinned": False})


def test_kept_alive_for_a_second_a_model_goes_by_itself(hearth: LiveComfy) -> None:
    hearth.run(sd3_graph(B, seed=530))
    hearth.run(with_hearth_loaders(sd3_graph(A, seed=530), keep_alive_s=1))
    wait_until(lambda: hearth.hearth.resident() == {B}, "A to be evicted for being idle")
    hearth.run(with_hearth_loaders(sd3_graph(A, seed=531)))
    assert _resident(hearth, A)["keep_alive_seconds"] is None


def test_a_replaced_file_is_noticed_by_a_hearth_loader_too(hearth: LiveComfy) -> None:
    file = hearth.models / "checkpoints" / "nodes_replaced.safetensors"
    graph = with_hearth_loaders(sd3_graph(file.name, seed=535))
    file.write_bytes((file.parent / A).read_bytes())
    try:
        first = hearth.run(graph)
        again = hearth.run(graph)
        assert again.cached_nodes == set(graph)
        fresh = file.with_suffix(".partial")
        fresh.write_bytes((file.parent / B).read_bytes())
        fresh.replace(file)
        assert hearth.run(graph).pixels != first.pixels
    finally:
        file.unlink()


def _resident(live: LiveComfy, name: str) -> dict[str, Any]:
    (model,) = [
        each for each in live.client.get("/hearth/models")["resident"] if each["name"] == name
    ]
    return dict(model)


def test_an_unknown_name_is_refused_with_the_nearest_one(hearth: LiveComfy) -> None:
    graph = with_hearth_loaders(sd3_graph("toy_sd3_aa.safetensors"))
    status, answer = hearth.client.post("/prompt", {"prompt": graph})
    assert status == 400
    assert f"did you mean {A}?" in str(answer["node_errors"]["loader"])


def test_status_names_each_model_and_what_keeps_it(hearth: LiveComfy) -> None:
    hearth.run(sd3_graph(A, seed=540))
    graph = with_hearth_loaders(sd3_graph(B, seed=540), pin=True)
    graph["status"] = node("HearthCacheStatus", after=["sampler", 0])
    try:
        text = text_of(hearth, graph, "status")
        lines = [line for line in text.splitlines() if not line.startswith("engine: ")]
        assert [line.split(" ")[0] for line in lines] == [A, B]
        assert "pinned" in lines[1] and "in use" in lines[1] and "pinned" not in lines[0]
    finally:
        hearth.run(with_hearth_loaders(sd3_graph(B, seed=541), pin=False))


def test_evict_drops_the_model_of_its_own_prompt_after_the_last_use(hearth: LiveComfy) -> None:
    hearth.run(sd3_graph(B, seed=545))
    graph = sd3_graph(A, seed=545)
    graph["evict"] = node("HearthEvict", model=A, after=["decode", 0])
    graph["save"]["inputs"]["images"] = ["evict", 0]
    assert len(hearth.run(graph).files) == 1
    assert hearth.hearth.resident() == {B}


def test_evict_of_all_that_is_idle_spares_what_the_prompt_uses(hearth: LiveComfy) -> None:
    for name in (A, B):
        hearth.run(sd3_graph(name, seed=550))
    graph = sd3_graph(C, seed=550)
    graph["evict"] = node("HearthEvict", model="(all that are idle)", after=["sampler", 0])
    graph["decode"]["inputs"]["samples"] = ["evict", 0]
    assert len(hearth.run(graph).files) == 1
    assert hearth.hearth.resident() == {C}


@pytest.mark.parametrize("output", [0, 1, 2])
def test_pin_finds_the_model_behind_any_output(hearth: LiveComfy, output: int) -> None:
    def graph(pinned: bool) -> Graph:
        return {
            "loader": node("CheckpointLoaderSimple", ckpt_name=A),
            "pin": node("HearthPin", model=["loader", output], pinned=pinned),
        }

    assert text_of(hearth, graph(True), "pin") == f"{A} is pinned"
    assert _resident(hearth, A)["pinned"]
    hearth.run(graph(False))
    assert not _resident(hearth, A)["pinned"]


def test_pin_hands_on_a_model_that_is_sampled_as_before(
    hearth: LiveComfy, stock: LiveComfy
) -> None:
    graph = sd3_graph(A, seed=555)
    expected = stock.run(graph).pixels
    graph["pin"] = node("HearthPin", model=["loader", 0], pinned=False)
    graph["sampler"]["inputs"]["model"] = ["pin", 0]
    assert hearth.run(graph).pixels == expected


def test_prewarm_spares_the_first_prompt_its_load(hearth: LiveComfy) -> None:
    graph: Graph = {"prewarm": node("HearthPrewarm", model=f"checkpoints/{A}")}
    assert hearth.reads_during(lambda: hearth.run(graph)) == [A]
    assert hearth.reads_during(lambda: hearth.run(sd3_graph(A, seed=560))) == []


def test_prewarm_of_a_text_encoder_takes_its_type_from_the_options(hearth: LiveComfy) -> None:
    encoder = "text_encoders/toy_clip_l_1.safetensors"
    graph: Graph = {"prewarm": node("HearthPrewarm", model=encoder, options="type=sd3")}
    hearth.run(graph)
    reads = hearth.reads_during(lambda: hearth.run(separate_graph(seed=565)))
    assert "toy_clip_l_1.safetensors" not in reads
    refused = hearth.client.wait(
        hearth.client.submit({"prewarm": node("HearthPrewarm", model=encoder)})
    )
    assert "type=sd3" in refused.error
    wrong = {"prewarm": node("HearthPrewarm", model=encoder, options="type=SD3")}
    assert "did you mean sd3?" in hearth.client.wait(hearth.client.submit(wrong)).error


def test_a_name_that_comes_by_a_link_is_told_when_it_is_wrong(hearth: LiveComfy) -> None:
    graph = with_hearth_loaders(sd3_graph(A, seed=570))
    graph["name"] = node("PrimitiveString", value="toy_sd3_aa.safetensors")
    # A text is no entry of a list to ComfyUI, unless it comes out of an output of any type.
    graph["any"] = node("HearthEvict", model="(all that are idle)", after=["name", 0])
    graph["loader"]["inputs"]["ckpt_name"] = ["any", 0]
    result = hearth.client.wait(hearth.client.submit(graph))
    assert "CheckpointNotFoundError" in result.error
    assert f"did you mean {A}?" in result.error
