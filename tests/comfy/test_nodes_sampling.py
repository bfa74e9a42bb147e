"""hearth's sampler nodes: ComfyUI's result, with the model held while they sample."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from benchmarks.harness.hearth_face import wait_until
from benchmarks.harness.live_comfy import DEFAULTS, LiveComfy
from benchmarks.harness.workflows import Graph, lora_graph, node, sd3_graph

pytestmark = pytest.mark.older_too

A, B = (f"toy_sd3_{letter}.safetensors" for letter in "ab")


def with_hearth_sampler(graph: Graph) -> Graph:
    """The graph with hearth's KSampler in place of ComfyUI's."""
    changed = copy.deepcopy(graph)
    for entry in changed.values():
        if entry["class_type"] in ("KSampler", "KSamplerAdvanced", "KSamplerSelect"):
            entry["class_type"] = {
                "KSampler": "HearthKSampler",
                "KSamplerAdvanced": "HearthKSamplerAdvanced",
                "KSamplerSelect": "HearthSampler",
            }[entry["class_type"]]
    return changed


def _choices(live: LiveComfy, name: str) -> list[str]:
    (spec, *further) = live.client.get("/object_info/HearthKSampler")["HearthKSampler"]["input"][
        "required"
    ][name]
    return list(further[0]["options"]) if spec == "COMBO" else list(spec)


def _each_sampler(names: list[str]) -> Graph:
    """One graph with a branch for every sampler."""
    base = sd3_graph(A, seed=600)
    graph = {name: base[name] for name in ("loader", "positive", "negative", "latent")}
    for name in names:
        sampler = copy.deepcopy(base["sampler"])
        sampler["inputs"]["sampler_name"] = name
        graph[f"sampler {name}"] = sampler
        graph[f"decode {name}"] = node(
            "VAEDecode", samples=[f"sampler {name}", 0], vae=["loader", 2]
        )
        graph[f"save {name}"] = node(
            "SaveImage", images=[f"decode {name}", 0], filename_prefix=name
        )
    return graph


def _pixels_by_prefix(live: LiveComfy, graph: Graph) -> dict[str, str]:
    result = live.run(graph)
    prefixes = [file.rsplit("_", 2)[0] for file in result.files]
    return dict(zip(prefixes, result.pixels, strict=True))


def test_every_sampler_gives_the_pixels_of_the_stock_node(
    hearth: LiveComfy, stock: LiveComfy
) -> None:
    names = _choices(hearth, "sampler_name")
    graph = _each_sampler(names)
    expected = _pixels_by_prefix(stock, graph)
    assert expected.keys() == set(names)
    assert _pixels_by_prefix(hearth, with_hearth_sampler(graph)) == expected


def _image_to_image() -> Graph:
    """Half the schedule, from a latent that is not empty."""
    graph = sd3_graph(A, seed=610)
    again = copy.deepcopy(graph["sampler"])
    again["inputs"] |= {"latent_image": ["sampler", 0], "denoise": 0.5, "seed": 611}
    graph["again"] = again
    graph["decode"]["inputs"]["samples"] = ["again", 0]
    return graph


def _two_stages() -> Graph:
    """KSamplerAdvanced twice, the second with the noise that the first has left."""
    graph = sd3_graph(A, seed=0)
    common = graph["sampler"]["inputs"]
    common.pop("denoise")
    common["noise_seed"] = common.pop("seed")
    first = {"add_noise": "enable", "start_at_step": 0, "end_at_step": 2}
    second = {"add_noise": "disable", "start_at_step": 2, "end_at_step": 10000}
    second |= {"latent_image": ["sampler", 0], "return_with_leftover_noise": "disable"}
    graph["again"] = node("KSamplerAdvanced", **common | second)
    graph["sampler"] = node(
        "KSamplerAdvanced", **common | first | {"return_with_leftover_noise": "enable"}
    )
    graph["decode"]["inputs"]["samples"] = ["again", 0]
    return graph


def _masked() -> Graph:
    """Only the masked half is sampled anew."""
    graph = _image_to_image()
    graph["mask"] = node("SolidMask", value=1.0, width=64, height=32)
    graph["whole"] = node("SolidMask", value=0.0, width=64, height=64)
    graph["half"] = node(
        "MaskComposite", destination=["whole", 0], source=["mask", 0], x=0, y=0, operation="add"
    )
    graph["masked"] = node("SetLatentNoiseMask", samples=["sampler", 0], mask=["half", 0])
    graph["again"]["inputs"]["latent_image"] = ["masked", 0]
    return graph


def _custom() -> Graph:
    """SamplerCustom with a SAMPLER of hearth's."""
    graph = sd3_graph(A, seed=0)
    common = graph["sampler"]["inputs"]
    graph["select"] = node("KSamplerSelect", sampler_name="res_multistep")
    graph["sigmas"] = node(
        "BasicScheduler", model=["loader", 0], scheduler="simple", steps=4, denoise=1.0
    )
    graph["sampler"] = node(
        "SamplerCustom",
        model=["loader", 0],
        add_noise=True,
        noise_seed=620,
        cfg=4.0,
        positive=common["positive"],
        negative=common["negative"],
        sampler=["select", 0],
        sigmas=["sigmas", 0],
        latent_image=common["latent_image"],
    )
    return graph


def _custom_advanced() -> Graph:
    """SamplerCustomAdvanced, with a guider and a noise of their own."""
    graph = _custom()
    common = graph["sampler"]["inputs"]
    graph["noise"] = node("RandomNoise", noise_seed=621)
    graph["guider"] = node(
        "CFGGuider",
        model=["loader", 0],
        positive=common["positive"],
        negative=common["negative"],
        cfg=4.0,
    )
    graph["sampler"] = node(
        "SamplerCustomAdvanced",
        noise=["noise", 0],
        guider=["guider", 0],
        sampler=["select", 0],
        sigmas=["sigmas", 0],
        latent_image=common["latent_image"],
    )
    return graph


KINDS = {
    "image to image": _image_to_image(),
    "two stages": _two_stages(),
    "masked": _masked(),
    "custom": _custom(),
    "custom advanced": _custom_advanced(),
    "lora": lora_graph(A, seed=630),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_sampling_gives_the_pixels_of_the_stock_nodes(
    hearth: LiveComfy, stock: LiveComfy, kind: str
) -> None:
    graph = KINDS[kind]
    assert hearth.run(with_hearth_sampler(graph)).pixels == stock.run(graph).pixels


def test_hearth_samplers_have_the_inputs_of_the_stock_nodes(hearth: LiveComfy) -> None:
    nodes = hearth.client.get("/object_info")
    for stock in ("KSampler", "KSamplerAdvanced"):
        ours, theirs = (nodes[name]["input"]["required"] for name in (f"Hearth{stock}", stock))
        assert {name: _plain(spec) for name, spec in ours.items()} == {
            name: _plain(spec) for name, spec in theirs.items()
        }


def _plain(spec: list[Any]) -> tuple[Any, dict[str, Any]]:
    """Type and limits of an input, in whichever form a node states them, without its tooltip."""
    type_, settings = spec[0], dict(spec[1]) if len(spec) > 1 else {}
    settings.pop("tooltip", None)
    return (settings.pop("options"), settings) if type_ == "COMBO" else (type_, settings)


def test_a_model_that_samples_stays_until_the_prompt_ends_whoever_wants_it_gone(
    hearth: LiveComfy, stock: LiveComfy
) -> None:
    graph = sd3_graph(A, seed=640)
    expected = stock.run(graph).pixels
    hearth.run(sd3_graph(B, seed=640))
    graph["hold"] = node("SpyHoldSampling", model=["loader", 0], barrier="held sampling")
    graph["sampler"]["inputs"]["model"] = ["hold", 0]
    prompt = hearth.client.submit(with_hearth_sampler(graph))
    held = hearth.server.barriers / "held sampling.held"
    wait_until(held.exists, "the prompt to be held in the middle of sampling")
    assert _handles_on(hearth, A) == 2, "the prompt's and the sampler's"
    hearth.client.post("/hearth/evict", {"name": A})
    hearth.config.write(DEFAULTS | {"max_cached_models": 1})
    assert _handles_on(hearth, A) == 2
    (hearth.server.barriers / "held sampling.go").touch()
    assert hearth.client.wait(prompt).pixels == expected
    wait_until(lambda: A not in hearth.hearth.resident(), "A to be evicted after the prompt")


@pytest.mark.parametrize("kind", ["custom", "custom advanced"])
def test_a_sampler_of_hearths_holds_the_model_while_others_sample_with_it(
    hearth: LiveComfy, stock: LiveComfy, kind: str
) -> None:
    expected = stock.run(KINDS[kind]).pixels
    graph = copy.deepcopy(KINDS[kind])
    barrier = f"held {kind}"
    graph["hold"] = node("SpyHoldSampling", model=["loader", 0], barrier=barrier)
    taker = "guider" if "guider" in graph else "sampler"
    graph[taker]["inputs"]["model"] = ["hold", 0]
    prompt = hearth.client.submit(with_hearth_sampler(graph))
    held = hearth.server.barriers / f"{barrier}.held"
    wait_until(held.exists, "the prompt to be held in the middle of sampling")
    handles = _handles_on(hearth, A)
    (hearth.server.barriers / f"{barrier}.go").touch()
    assert handles == 2, "the prompt's and the sampler's"
    assert hearth.client.wait(prompt).pixels == expected


def _handles_on(live: LiveComfy, name: str) -> int:
    models = live.client.get("/hearth/models")["resident"]
    (count,) = [model["in_use"] for model in models if model["name"] == name]
    return int(count)
