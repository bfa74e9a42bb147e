"""API-format graphs; `python -m benchmarks.harness.workflows` rewrites `examples/api/`."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

Graph = dict[str, dict[str, Any]]

_EXAMPLES = Path(__file__).resolve().parents[2] / "examples/api"


def node(class_type: str, **inputs: object) -> dict[str, Any]:
    """One node of a graph; a link is a list of node id and output index."""
    return {"class_type": class_type, "inputs": inputs}


def sd3_graph(checkpoint: str = "toy_sd3_a.safetensors", seed: int = 1, size: int = 64) -> Graph:
    """Text to image from one SD3-type checkpoint."""
    return {
        "loader": node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        **_sampling(["loader", 0], ["loader", 1], ["loader", 2], seed, size),
    }


def lora_graph(
    checkpoint: str = "toy_sd3_a.safetensors",
    lora: str = "toy_lora.safetensors",
    seed: int = 1,
) -> Graph:
    """The same with a LoRA on the model."""
    graph = {
        "loader": node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "lora": node(
            "LoraLoaderModelOnly", model=["loader", 0], lora_name=lora, strength_model=1.0
        ),
    }
    return graph | _sampling(["lora", 0], ["loader", 1], ["loader", 2], seed, 64)


def separate_graph(seed: int = 1) -> Graph:
    """Transformer, text encoder and VAE from files of their own."""
    return {
        **_separate_loaders(),
        "clip": node("CLIPLoader", clip_name="toy_clip_l_1.safetensors", type="sd3"),
        **_sampling(["unet", 0], ["clip", 0], ["vae", 0], seed, 64),
    }


def dual_clip_graph(seed: int = 1) -> Graph:
    """The same with two text encoder files in one loader."""
    return {
        **_separate_loaders(),
        "clip": node(
            "DualCLIPLoader",
            clip_name1="toy_clip_l_1.safetensors",
            clip_name2="toy_clip_l_2.safetensors",
            type="sd3",
        ),
        **_sampling(["unet", 0], ["clip", 0], ["vae", 0], seed, 64),
    }


def z_image_turbo_graph(
    unet: str = "z_image_turbo_bf16.safetensors", seed: int = 1, size: int = 1024
) -> Graph:
    """Z-Image-Turbo as ComfyUI's own template runs it: 8 steps, no guidance."""
    return {
        "unet": node("UNETLoader", unet_name=unet, weight_dtype="default"),
        "clip": node("CLIPLoader", clip_name="qwen_3_4b.safetensors", type="lumina2"),
        "vae": node("VAELoader", vae_name="ae.safetensors"),
        "shift": node("ModelSamplingAuraFlow", model=["unet", 0], shift=3.0),
        "positive": node("CLIPTextEncode", clip=["clip", 0], text="a lighthouse in the snow"),
        "negative": node("ConditioningZeroOut", conditioning=["positive", 0]),
        "latent": node("EmptySD3LatentImage", width=size, height=size, batch_size=1),
        "sampler": node(
            "KSampler",
            model=["shift", 0],
            positive=["positive", 0],
            negative=["negative", 0],
            latent_image=["latent", 0],
            seed=seed,
            steps=8,
            cfg=1.0,
            sampler_name="res_multistep",
            scheduler="simple",
            denoise=1.0,
        ),
        "decode": node("VAEDecode", samples=["sampler", 0], vae=["vae", 0]),
        "save": node("SaveImage", images=["decode", 0], filename_prefix="z_image_turbo"),
    }


ENGINE_CLASSES = {
    "UNETLoader": "HearthZImageLoader",
    "VAEDecode": "HearthVAEDecode",
    "SaveImage": "HearthSaveImage",
}
"""What stands for a stock node where hearth's engine computes."""


def on_engine(graph: Graph) -> Graph:
    """The graph on hearth's engine, its VAE decode and its Save image."""
    changed = copy.deepcopy(graph)
    for each in changed.values():
        each["class_type"] = ENGINE_CLASSES.get(each["class_type"], each["class_type"])
    return changed


def z_image_engine_graph() -> Graph:
    """The same on hearth's engine."""
    graph = on_engine(z_image_turbo_graph())
    graph["save"]["inputs"]["filename_prefix"] = "z_image_engine"
    return graph


def hearth_nodes_graph(seed: int = 1) -> Graph:
    """hearth's own nodes: a pinned model, a sampler that holds it, the next model, the status."""
    graph = sd3_graph(size=256, seed=seed)
    loader = node("HearthCheckpointLoader", ckpt_name="toy_sd3_a.safetensors", pin=True)
    sampler = node("HearthKSampler", **graph["sampler"]["inputs"])
    return graph | {
        "loader": loader,
        "sampler": sampler,
        "prewarm": node(
            "HearthPrewarm", model="checkpoints/toy_sd3_b.safetensors", after=["decode", 0]
        ),
        "status": node("HearthCacheStatus", after=["prewarm", 0]),
        "text": node("PreviewAny", source=["status", 0]),
    }


def with_seed(graph: Graph, seed: int) -> Graph:
    """A copy of any graph whose samplers use another seed, so that no cache answers."""
    changed = copy.deepcopy(graph)
    for entry in changed.values():
        for name in ("seed", "noise_seed"):
            if isinstance(entry["inputs"].get(name), int):
                entry["inputs"][name] = seed
    return changed


def with_lora(graph: Graph, lora: str) -> Graph:
    """The graph with a LoRA on the model that its diffusion model loader gives."""
    found = copy.deepcopy(graph)
    [loader] = [name for name, each in graph.items() if each["class_type"] == "UNETLoader"]
    for each in found.values():
        inputs = each["inputs"]
        for name, value in inputs.items():
            if value == [loader, 0]:
                inputs[name] = ["lora", 0]
    found["lora"] = node(
        "LoraLoaderModelOnly", model=[loader, 0], lora_name=lora, strength_model=1.0
    )
    return found


def with_diffusion_model(graph: Graph, name: str) -> Graph:
    """The graph with another file in its diffusion model loader."""
    found = copy.deepcopy(graph)
    for each in found.values():
        if each["class_type"] == "UNETLoader":
            each["inputs"]["unet_name"] = name
    return found


def examples() -> dict[str, Graph]:
    """File name and graph of all that `examples/api/` holds."""
    round_robin = {
        f"round_robin_{number}_{letter}.json": sd3_graph(f"toy_sd3_{letter}.safetensors")
        for number, letter in enumerate("abc", start=1)
    }
    return round_robin | {
        "sd3.json": sd3_graph(size=256),
        "sd3_lora.json": lora_graph(),
        "separate_files.json": separate_graph(),
        "dual_clip.json": dual_clip_graph(),
        "hearth_nodes.json": hearth_nodes_graph(),
        "z_image_turbo.json": z_image_turbo_graph(),
        "z_image_engine.json": z_image_engine_graph(),
        "z_image_second.json": z_image_turbo_graph("z_image_second_bf16.safetensors"),
    }


def example_text(graph: Graph) -> str:
    """A graph as it is written to a file."""
    return json.dumps(graph, indent=2) + "\n"


def _separate_loaders() -> Graph:
    return {
        "unet": node("UNETLoader", unet_name="toy_mmdit.safetensors", weight_dtype="default"),
        "vae": node("VAELoader", vae_name="toy_vae.safetensors"),
    }


def _sampling(model: list[Any], clip: list[Any], vae: list[Any], seed: int, size: int) -> Graph:
    return {
        "positive": node("CLIPTextEncode", clip=clip, text="a lighthouse in the snow"),
        "negative": node("CLIPTextEncode", clip=clip, text="blurred"),
        "latent": node("EmptySD3LatentImage", width=size, height=size, batch_size=1),
        "sampler": node(
            "KSampler",
            model=model,
            positive=["positive", 0],
            negative=["negative", 0],
            latent_image=["latent", 0],
            seed=seed,
            steps=4,
            cfg=4.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        ),
        "decode": node("VAEDecode", samples=["sampler", 0], vae=vae),
        "save": node("SaveImage", images=["decode", 0], filename_prefix="toy"),
    }


def _main() -> int:
    for name, graph in examples().items():
        (_EXAMPLES / name).write_text(example_text(graph), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
