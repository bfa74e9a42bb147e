"""`hearth run` and ComfyUI: the same inputs, and from the same workflow the same images."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "hearth.zimage", reason="NOT RUN, needs hearth._torch: ./dev build", exc_type=ImportError
)

import numpy as np  # noqa: E402
from hearth.headless.node_table import SAMPLERS  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.numpy import load_file  # noqa: E402

from benchmarks.harness import toy_zimage  # noqa: E402
from benchmarks.harness.comfy_server import ComfyServer, ServerSpec  # noqa: E402
from benchmarks.harness.live_comfy import LiveComfy  # noqa: E402
from benchmarks.harness.safetensors_file import write_safetensors  # noqa: E402
from benchmarks.harness.workflows import Graph, node  # noqa: E402
from benchmarks.harness.zimage_models import text_encoder_tensors  # noqa: E402
from tests.python import object_info  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
GOLDEN = REPOSITORY / "tests" / "python" / "goldens" / "object_info.json"
PACK = Path(__file__).with_name("toy_zimage_pack")
FLOAT32 = ("--cpu", "--fp32-unet", "--fp32-text-enc", "--fp32-vae")


@pytest.mark.older_too
def test_inputs_and_outputs_are_those_of_this_comfyui(
    hearth: LiveComfy, request: pytest.FixtureRequest
) -> None:
    info = hearth.client.get("/object_info")
    newest = request.node.callspec.params["comfy"] == "newest"
    assert object_info.differences(info, newest=newest) == []


def test_the_golden_is_what_the_newest_comfyui_says(hearth: LiveComfy) -> None:
    """`HEARTH_WRITE_GOLDENS=1` writes it anew."""
    found = object_info.trimmed(hearth.client.get("/object_info"))
    if os.environ.get("HEARTH_WRITE_GOLDENS"):
        GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    assert json.loads(GOLDEN.read_text(encoding="utf-8")) == found


@dataclass(frozen=True)
class Both:
    """A ComfyUI that knows the toys, and the models folder that both read."""

    server: ComfyServer
    models: Path

    def comfyui(self, graph: Graph, name: str) -> tuple[Any, list[Path]]:
        """Latents and images that ComfyUI makes."""
        from benchmarks.harness.client import ComfyClient

        last = graph["decode"]["inputs"]["samples"]
        latents = node("SaveLatent", samples=last, filename_prefix=f"{name}_latents")
        ComfyClient(self.server.url).run({**graph, "latents": latents})
        out = self.server.spec.base / "output"
        (file,) = out.glob(f"{name}_latents_*.latent")
        return load_file(file)["latent_tensor"], sorted(out.glob(f"{name}_0*.png"))

    def headless(self, graph: Graph, folder: Path) -> tuple[Any, list[Path]]:
        """The same by `hearth run`."""
        (folder / "workflow.json").write_text(json.dumps(graph), encoding="utf-8")
        command = [sys.executable, "-m", "hearth", "run", "workflow.json", "--device", "cpu"]
        command += ["--models", str(self.models), "--latent-out", "latents.safetensors"]
        paths = {
            "COMFYUI_PATH": str(self.server.spec.comfy),
            "PYTHONPATH": str(REPOSITORY / "bindings"),
        }
        env = {**os.environ, **paths, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        latents = load_file(folder / "latents.safetensors")["latent_tensor"]
        return latents, sorted((folder / "output").glob("*.png"))


@pytest.fixture(scope="module")
def both(comfy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    models = toy_zimage.write_all(tmp_path_factory.mktemp("zimage") / "models")
    # With as many words as ComfyUI's tokenizer has.
    sizes = replace(toy_zimage.TOY, vocabulary=151936)
    specs = list(toy_zimage.scaled(text_encoder_tensors(sizes)))
    write_safetensors(models / "text_encoders" / toy_zimage.TEXT_ENCODER, specs, 4)
    base = tmp_path_factory.mktemp("zimage_comfyui")
    spec = ServerSpec(
        comfy,
        base,
        models,
        packs={"toys": PACK},
        flags=FLOAT32,
        env={"OMP_NUM_THREADS": "1"},
        forked=True,
    )
    with ComfyServer(spec) as server:
        yield Both(server, models)


def guided() -> Graph:
    """Two images at once, with a negative prompt that counts, and an odd size."""
    graph = toy_zimage.graph(steps=5, cfg=2.5, sampler_name="dpmpp_2m", scheduler="sgm_uniform")
    graph["negative"] = node("CLIPTextEncode", clip=["clip", 0], text="blurred, 雪の猫")
    graph["latent"]["inputs"] |= {"width": 72, "height": 56, "batch_size": 2}
    return graph


def again() -> Graph:
    """A second pass over the latents of the first."""
    graph = toy_zimage.graph(steps=6, sampler_name="euler", scheduler="beta")
    inputs = {**graph["sampler"]["inputs"], "seed": 2**64 - 1, "denoise": 0.55}
    graph["again"] = node("KSampler", **{**inputs, "latent_image": ["sampler", 0]})
    graph["decode"]["inputs"]["samples"] = ["again", 0]
    return graph


def in_parts() -> Graph:
    """Noise left by one sampler and taken up by the next, which ends before the schedule does."""
    graph = toy_zimage.graph()
    inputs = {k: v for k, v in graph["sampler"]["inputs"].items() if k not in ("seed", "denoise")}
    inputs |= {"steps": 8, "noise_seed": 3}
    first = {"add_noise": "enable", "start_at_step": 0, "end_at_step": 3}
    second = {"add_noise": "disable", "start_at_step": 3, "end_at_step": 7}
    graph["first"] = node(
        "KSamplerAdvanced", **{**inputs, **first, "return_with_leftover_noise": "enable"}
    )
    inputs["latent_image"] = ["first", 0]
    graph["sampler"] = node(
        "KSamplerAdvanced", **{**inputs, **second, "return_with_leftover_noise": "disable"}
    )
    return graph


GRAPHS = {
    "official": toy_zimage.graph(steps=8),
    "guided": guided(),
    "again": again(),
    "in_parts": in_parts(),
    "small_empty": {
        **toy_zimage.graph(steps=3, sampler_name="euler"),
        "latent": node("EmptyLatentImage", width=48, height=64, batch_size=1),
    },
}


def with_every_sampler() -> Graph:
    """One image of each sampler, noise and all."""
    graph = toy_zimage.graph(size=48, steps=4)
    sampler, decode = graph.pop("sampler")["inputs"], graph.pop("decode")["inputs"]
    del graph["save"]
    for name in SAMPLERS:
        graph[name] = node("KSampler", **{**sampler, "sampler_name": name, "seed": 11})
        graph[f"{name} decoded"] = node("VAEDecode", **{**decode, "samples": [name, 0]})
        prefix = f"sampler_{name}"
        graph[f"{name} saved"] = node(
            "SaveImage", images=[f"{name} decoded", 0], filename_prefix=prefix
        )
    graph["decode"] = graph.pop(f"{SAMPLERS[-1]} decoded")
    graph[f"{SAMPLERS[-1]} saved"]["inputs"]["images"] = ["decode", 0]
    return graph


def test_every_sampler_makes_the_same_image(both: Both, tmp_path: Path) -> None:
    both.comfyui(with_every_sampler(), "every")
    _, files = both.headless(with_every_sampler(), tmp_path)
    assert len(files) == len(SAMPLERS)
    folder = both.server.spec.base / "output"
    images = {file.name: (pixels(file), pixels(folder / file.name)) for file in files}
    differences = {name: abs(own - stock).max() for name, (own, stock) in images.items()}
    assert {name: value for name, value in differences.items() if value > 1} == {}
    # "ddim" is euler, here and there.
    assert len({own.tobytes() for own, _ in images.values()}) == len(SAMPLERS) - 1


def pixels(file: Path) -> Any:
    return np.asarray(Image.open(file)).astype(int)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_same_workflow_becomes_the_same_images(both: Both, name: str, tmp_path: Path) -> None:
    graph = json.loads(json.dumps(GRAPHS[name]))
    graph["save"]["inputs"]["filename_prefix"] = name
    stock_latents, stock_files = both.comfyui(graph, name)
    latents, files = both.headless(graph, tmp_path)
    error = np.linalg.norm(latents - stock_latents) / np.linalg.norm(stock_latents)
    assert latents.shape == stock_latents.shape
    assert error <= 1e-4
    assert [file.name for file in files] == [file.name for file in stock_files]
    for file, stock in zip(files, stock_files, strict=True):
        difference = abs(pixels(file) - pixels(stock))
        print(f"{name}: latents {error:.1e}, {np.mean(difference == 0):.4%} of the values equal")
        assert difference.max() <= 1
        assert np.mean(difference == 0) > 0.99
        theirs = json.loads(Image.open(stock).text["prompt"])
        del theirs["latents"]
        assert json.loads(Image.open(file).text["prompt"]) == theirs
