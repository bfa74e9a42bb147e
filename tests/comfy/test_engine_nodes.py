"""Z-Image as a MODEL that hearth's engine computes, in a real ComfyUI, by its own samplers."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "hearth.zimage", reason="NOT RUN, needs hearth._torch: ./dev build", exc_type=ImportError
)

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.numpy import load_file  # noqa: E402

from benchmarks.harness import toy_zimage  # noqa: E402
from benchmarks.harness.comfy_server import SPY_PACK, ComfyServer, ServerSpec  # noqa: E402
from benchmarks.harness.hearth_face import HearthConfig  # noqa: E402
from benchmarks.harness.live_comfy import DEFAULTS, LiveComfy  # noqa: E402
from benchmarks.harness.safetensors_file import TensorSpec, write_safetensors  # noqa: E402
from benchmarks.harness.workflows import Graph, node  # noqa: E402
from benchmarks.harness.zimage_models import text_encoder_tensors  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
TOYS = Path(__file__).with_name("toy_zimage_pack")
FLOAT32 = ("--cpu", "--fp32-unet", "--fp32-text-enc", "--fp32-vae")
LORA = "toy_z_image_lora.safetensors"
LORA_CAUSE = "LoRA or other weight patch"


@pytest.fixture(scope="module")
def live(comfy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveComfy]:
    """ComfyUI with hearth and the spy, in which toys pass for Z-Image."""
    models = toy_zimage.write_all(tmp_path_factory.mktemp("engine") / "models")
    # With as many words as ComfyUI's tokenizer has.
    sizes = replace(toy_zimage.TOY, vocabulary=151936)
    specs = list(toy_zimage.scaled(text_encoder_tensors(sizes)))
    write_safetensors(models / "text_encoders" / toy_zimage.TEXT_ENCODER, specs, 4)
    write_safetensors(models / "loras" / LORA, _lora_tensors(), 5)
    base = tmp_path_factory.mktemp("engine_comfyui")
    config = HearthConfig(base / "hearth.json")
    config.write(DEFAULTS)
    packs = {"spy": SPY_PACK, "toys": TOYS, "hearth": REPOSITORY}
    env = {"HEARTH_CONFIG": str(config.path), "OMP_NUM_THREADS": "1"}
    spec = ServerSpec(comfy, base, models, packs=packs, flags=FLOAT32, env=env, forked=True)
    with ComfyServer(spec) as server:
        yield LiveComfy(server, models, config)


def _lora_tensors() -> list[TensorSpec]:
    stem = "diffusion_model.layers.1.feed_forward.w1"
    width, hidden = toy_zimage.TOY.width, toy_zimage.TOY.hidden
    return [
        TensorSpec(f"{stem}.lora_down.weight", (4, width), std=0.3),
        TensorSpec(f"{stem}.lora_up.weight", (hidden, 4), std=0.3),
    ]


def with_engine(graph: Graph) -> Graph:
    """The graph with the engine's loader in place of ComfyUI's."""
    changed = copy.deepcopy(graph)
    changed["unet"]["class_type"] = "HearthZImageLoader"
    return changed


def with_lora(graph: Graph) -> Graph:
    """The graph with a LoRA behind its loader."""
    changed = copy.deepcopy(graph)
    changed["lora"] = node(
        "LoraLoaderModelOnly", model=["unet", 0], lora_name=LORA, strength_model=1.0
    )
    changed["shift"]["inputs"]["model"] = ["lora", 0]
    return changed


def latents(live: LiveComfy, graph: Graph, name: str) -> Any:
    """What the last sampler of the graph gives."""
    last = graph["decode"]["inputs"]["samples"]
    saved = node("SaveLatent", samples=last, filename_prefix=name)
    live.run({**{k: v for k, v in graph.items() if k not in ("decode", "save")}, "saved": saved})
    (file,) = (live.server.spec.base / "output").glob(f"{name}_0*.latent")
    return load_file(file)["latent_tensor"]


def error_of(live: LiveComfy, graph: Graph, name: str) -> float:
    """Relative L2 of the engine's latents against those of ComfyUI's own forward."""
    expected = latents(live, graph, f"{name}_stock")
    found = latents(live, with_engine(graph), f"{name}_engine")
    assert found.shape == expected.shape
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def passes(live: LiveComfy, part: str = "transformer") -> dict[str, Any]:
    """How many passes were whose, so far."""
    found = live.client.get("/hearth/health")["engine"].get(part)
    return dict(found or {"engine": 0, "python": 0, "causes": {}})


def passes_during(live: LiveComfy, graph: Graph) -> tuple[int, dict[str, int]]:
    """The engine's passes while a graph runs, and ComfyUI's by their causes."""
    before = passes(live)
    live.run(graph)
    after = passes(live)
    causes = {
        cause: count - before["causes"].get(cause, 0) for cause, count in after["causes"].items()
    }
    return after["engine"] - before["engine"], {c: n for c, n in causes.items() if n}


def custom() -> Graph:
    """SamplerCustomAdvanced with its five parts, guided by a prompt alone."""
    graph = toy_zimage.graph(steps=8)
    common = graph["sampler"]["inputs"]
    graph["noise"] = node("RandomNoise", noise_seed=21)
    graph["guider"] = node("BasicGuider", model=["shift", 0], conditioning=common["positive"])
    graph["select"] = node("KSamplerSelect", sampler_name="euler")
    graph["sigmas"] = node(
        "BasicScheduler", model=["shift", 0], scheduler="beta", steps=8, denoise=1.0
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


def sized(graph: Graph, width: int, height: int, batch: int = 1) -> Graph:
    """The graph with another size."""
    graph["latent"]["inputs"] |= {"width": width, "height": height, "batch_size": batch}
    return graph


def guided(**sampler: Any) -> Graph:
    """With a negative prompt that counts, longer than the positive one."""
    graph = toy_zimage.graph(**{"steps": 8, "cfg": 2.5, **sampler})
    text = "blurred, 雪の猫, " * 12
    graph["negative"] = node("CLIPTextEncode", clip=["clip", 0], text=text)
    return graph


def again() -> Graph:
    """A second pass over the latents of the first."""
    graph = toy_zimage.graph(steps=8)
    inputs = {**graph["sampler"]["inputs"], "seed": 5, "denoise": 0.55}
    graph["again"] = node("KSampler", **{**inputs, "latent_image": ["sampler", 0]})
    graph["decode"]["inputs"]["samples"] = ["again", 0]
    return graph


def with_hearth_sampler() -> Graph:
    """By hearth's sampler."""
    graph = toy_zimage.graph(steps=8)
    graph["sampler"]["class_type"] = "HearthKSampler"
    return graph


GRAPHS = {
    "official": toy_zimage.graph(steps=8),
    "guided": guided(),
    "guided_alike": toy_zimage.graph(steps=8, cfg=1.7),
    "odd": sized(guided(sampler_name="dpmpp_2m", scheduler="sgm_uniform"), 72, 56, 2),
    "heun": toy_zimage.graph(steps=8, sampler_name="heun"),
    "sde": sized(toy_zimage.graph(steps=8, sampler_name="dpmpp_sde"), 40, 64),
    "ancestral": toy_zimage.graph(steps=8, sampler_name="euler_ancestral", scheduler="normal"),
    "again": again(),
    "custom": custom(),
    "hearth_sampler": with_hearth_sampler(),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_latents_are_those_of_comfyuis_own_forward(live: LiveComfy, name: str) -> None:
    before = passes(live)
    error = error_of(live, GRAPHS[name], name)
    print(f"{name}: {error:.1e}")
    assert error <= 1e-4
    after = passes(live)
    assert after["engine"] >= before["engine"] + 8
    assert after["causes"] == before["causes"]


@pytest.fixture
def streamed(live: LiveComfy) -> Iterator[None]:
    """Models say that their weights come and go while they compute, as with dynamic VRAM."""
    toggle = live.server.spec.base / "barriers" / "streamed"
    toggle.touch()
    yield
    toggle.unlink()


@pytest.mark.parametrize("name", ["guided", "odd", "custom"])
@pytest.mark.usefixtures("streamed")
def test_of_a_streamed_model_the_engine_computes_with_weights_of_its_own(
    live: LiveComfy, name: str
) -> None:
    before = passes(live)
    copies = len(copies_made(live))
    error = error_of(live, GRAPHS[name], f"streamed_{name}")
    assert error <= 1e-4
    after = passes(live)
    assert after["engine"] >= before["engine"] + 8
    assert after["causes"] == before["causes"]
    assert len(copies_made(live)) <= copies + 1


def copies_made(live: LiveComfy) -> list[dict[str, Any]]:
    """Events of weights that came for the engine."""
    return [event for event in live.hearth.events() if "for hearth's engine" in event["reason"]]


@pytest.mark.usefixtures("streamed")
def test_a_streamed_vae_is_decoded_with_weights_of_the_engines_own(live: LiveComfy) -> None:
    graph = toy_zimage.graph(seed=57)
    expected = pixels_of(live, graph, "streamed_stock")
    graph["decode"]["class_type"] = "HearthVAEDecode"
    before = passes(live, "vae")
    found = pixels_of(live, graph, "streamed_engine")
    after = passes(live, "vae")
    assert after["engine"] == before["engine"] + 1 and after["causes"] == before["causes"]
    assert abs(found - expected).max() <= 1
    assert [event["model"] for event in copies_made(live)].count(toy_zimage.VAE) == 1


@pytest.mark.usefixtures("streamed")
def test_a_lora_on_a_streamed_model_is_comfyuis_with_its_pixels(live: LiveComfy) -> None:
    graph = with_lora(toy_zimage.graph(seed=36))
    expected = live.run(graph).pixels
    changed = with_engine(graph)
    changed["save"]["inputs"]["filename_prefix"] = "streamed_lora"
    assert live.run(changed).pixels == expected


def test_a_lora_is_computed_by_comfyui_and_without_it_the_engine_computes_again(
    live: LiveComfy,
) -> None:
    plain = toy_zimage.graph(seed=31)
    expected = live.run(with_lora(plain)).pixels
    assert passes_during(live, with_engine(plain)) == (2, {})
    assert passes_during(live, with_lora(with_engine(plain))) == (0, {LORA_CAUSE: 2})
    again = with_lora(with_engine(plain))
    again["save"]["inputs"]["filename_prefix"] = "again"
    assert live.run(again).pixels == expected
    plain["sampler"]["inputs"]["seed"] = 32
    assert passes_during(live, with_engine(plain)) == (2, {})


def test_engine_and_stock_loader_share_one_load(live: LiveComfy) -> None:
    graph = toy_zimage.graph(toy_zimage.TRANSFORMERS[1], seed=41)

    def work() -> None:
        live.run(graph)
        live.run(with_engine(graph))

    assert live.reads_during(work).count(toy_zimage.TRANSFORMERS[1]) == 1
    views = live.client.get("/hearth/models")["resident"]
    assert [view["name"] for view in views].count(toy_zimage.TRANSFORMERS[1]) == 1


def pixels_of(live: LiveComfy, graph: Graph, name: str) -> Any:
    """The saved image or images of a graph, as numbers from 0 to 255."""
    graph = copy.deepcopy(graph)
    graph["save"]["inputs"]["filename_prefix"] = name
    files = live.run(graph).files
    return np.stack([_image(live, file) for file in files]).astype(int)


def _image(live: LiveComfy, file: str) -> Any:
    return np.asarray(Image.open(live.server.spec.base / "output" / file).convert("RGB"))


@pytest.mark.parametrize("batch", [1, 2])
def test_vae_decode_gives_the_images_of_comfyuis(live: LiveComfy, batch: int) -> None:
    graph = sized(toy_zimage.graph(seed=51), 72, 56, batch)
    expected = pixels_of(live, graph, f"decode_stock_{batch}")
    graph["decode"]["class_type"] = "HearthVAEDecode"
    before = passes(live, "vae")
    found = pixels_of(live, graph, f"decode_engine_{batch}")
    assert passes(live, "vae")["engine"] > before["engine"]
    assert passes(live, "vae")["causes"] == before["causes"]
    assert abs(found - expected).max() <= 1
    assert np.mean(found == expected) > 0.99


def with_reference() -> Graph:
    """A picture to go by beside the prompt."""
    graph = toy_zimage.graph(seed=61)
    graph["reference"] = node("ReferenceLatent", conditioning=["positive", 0], latent=["latent", 0])
    graph["sampler"]["inputs"]["positive"] = ["reference", 0]
    return graph


def with_lora_hook() -> Graph:
    """A LoRA that hangs on the prompt and not on the model."""
    graph = toy_zimage.graph(seed=62)
    graph["hook"] = node("CreateHookLoraModelOnly", lora_name=LORA, strength_model=1.0)
    graph["hooked"] = node(
        "ConditioningSetProperties",
        cond_NEW=["positive", 0],
        hooks=["hook", 0],
        strength=1.0,
        set_cond_area="default",
    )
    graph["sampler"]["inputs"]["positive"] = ["hooked", 0]
    return graph


def behind_shift(class_type: str, **inputs: Any) -> Graph:
    """Another node between the model and the sampler."""
    graph = toy_zimage.graph(seed=63, steps=4, cfg=2.0)
    graph["more"] = node(class_type, model=["shift", 0], **inputs)
    graph["sampler"]["inputs"]["model"] = ["more", 0]
    return graph


CACHE = {"reuse_threshold": 0.2, "start_percent": 0.15, "end_percent": 0.95, "verbose": False}
COMFYUIS = {
    "reference latents": with_reference(),
    "hook": with_lora_hook(),
    "unknown option": behind_shift("EasyCache", **CACHE),
}


@pytest.mark.parametrize("cause", COMFYUIS)
def test_what_the_engine_does_not_know_gives_stocks_pixels(live: LiveComfy, cause: str) -> None:
    graph = COMFYUIS[cause]
    expected = live.run(graph).pixels
    before = passes(live)
    changed = with_engine(graph)
    assert live.run(changed).pixels == expected
    after = passes(live)
    assert after["engine"] == before["engine"]
    assert after["causes"].get(cause, 0) > before["causes"].get(cause, 0)


def test_what_samplers_do_with_the_answers_leaves_the_engine_at_work(live: LiveComfy) -> None:
    graph = behind_shift("RescaleCFG", multiplier=0.7)
    before = passes(live)
    assert error_of(live, graph, "rescaled") <= 1e-4
    after = passes(live)
    assert after["engine"] == before["engine"] + 4
    assert after["causes"] == before["causes"]


def test_who_computed_is_on_the_status_and_among_the_figures(live: LiveComfy) -> None:
    graph = with_lora(with_engine(toy_zimage.graph(seed=71)))
    graph["status"] = node("HearthCacheStatus", after=["decode", 0])
    result = live.run(graph)
    (entry,) = live.client.get(f"/history/{result.prompt_id}").values()
    (text,) = entry["outputs"]["status"]["text"]
    assert "engine: transformer: " in text and f"{LORA_CAUSE} " in text
    figures = live.client.get_text("/hearth/metrics")
    assert f'cause="{LORA_CAUSE}"' in figures
    said = [line for line in live.server.log_text().splitlines() if LORA_CAUSE in line]
    assert len(said) == 1
