"""Workflows in API format for the tests of `hearth run`, and empty files in a models folder."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

Graph = dict[str, Any]

FILES = (
    "diffusion_models/z_image_a.safetensors",
    "diffusion_models/z_image_b.safetensors",
    "unet/old.gguf",
    "text_encoders/qwen.safetensors",
    "vae/ae.safetensors",
    "checkpoints/whole.safetensors",
    "checkpoints/ae.safetensors",
)


def empty_models(root: Path) -> Path:
    """A models folder whose files have names and nothing in them."""
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """One node."""
    return {"class_type": class_type, "inputs": inputs}


def z_image(transformer: str = "z_image_a.safetensors", size: int = 64, **sampler: Any) -> Graph:
    """The official text-to-image workflow, its ids as subgraphs make them."""
    sampling = {
        "seed": 7,
        "steps": 2,
        "cfg": 1.0,
        "sampler_name": "res_multistep",
        "scheduler": "simple",
        "denoise": 1.0,
    }
    return {
        "57:28": node("UNETLoader", unet_name=transformer, weight_dtype="default"),
        "57:30": node("CLIPLoader", clip_name="qwen.safetensors", type="lumina2"),
        "57:29": node("VAELoader", vae_name="ae.safetensors"),
        "57:11": node("ModelSamplingAuraFlow", model=["57:28", 0], shift=3.0),
        "57:27": node("CLIPTextEncode", clip=["57:30", 0], text="a cat"),
        "57:33": node("ConditioningZeroOut", conditioning=["57:27", 0]),
        "57:13": node("EmptySD3LatentImage", width=size, height=size, batch_size=1),
        "57:3": node(
            "KSampler",
            model=["57:11", 0],
            positive=["57:27", 0],
            negative=["57:33", 0],
            latent_image=["57:13", 0],
            **{**sampling, **sampler},
        ),
        "57:8": node("VAEDecode", samples=["57:3", 0], vae=["57:29", 0]),
        "9": node("SaveImage", images=["57:8", 0], filename_prefix="toy"),
    }


def changed(place: str, value: Any) -> Graph:
    """The workflow with one input set, `node/input`; None as value takes the input out."""
    graph = copy.deepcopy(z_image())
    id_, _, name = place.partition("/")
    if value is None:
        del graph[id_]["inputs"][name]
    else:
        graph[id_]["inputs"][name] = value
    return graph


def with_node(id_: str, made: Any) -> Graph:
    """The workflow with a further node."""
    return {**z_image(), id_: made}
