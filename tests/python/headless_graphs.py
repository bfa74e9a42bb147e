"""Workflows in API format for the tests of `hearth run`, and next to nothing as models."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from checkpoint_files import entry, file_bytes

Graph = dict[str, Any]

FILES = {
    "diffusion_models/z_image_a.safetensors": ["cap_embedder.0.weight"],
    "diffusion_models/z_image_b.safetensors": ["cap_embedder.0.weight"],
    "unet/old.gguf": [],
    "text_encoders/qwen.safetensors": ["model.embed_tokens.weight"],
    "vae/ae.safetensors": ["decoder.conv_in.weight"],
    "checkpoints/whole.safetensors": [
        "model.diffusion_model.cap_embedder.0.weight",
        "text_encoders.qwen3_4b.transformer.model.embed_tokens.weight",
        "vae.decoder.conv_in.weight",
    ],
    "checkpoints/ae.safetensors": ["model.diffusion_model.cap_embedder.0.weight"],
}
"""Below a models folder, and the tensors by which each is told."""


def hollow_models(root: Path) -> Path:
    """A models folder whose files have names and next to nothing in them."""
    for name, tensors in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(model_of(*tensors))
    return root


def model_of(*tensors: str) -> bytes:
    """A safetensors file with these tensors, of one number each."""
    places = [(4 * number, 4 * number + 4) for number in range(len(tensors))]
    header = {name: entry(offsets=at) for name, at in zip(tensors, places, strict=True)}
    return file_bytes(header, bytes(4 * len(tensors)))


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
