"""Z-Image's three files in toy size: the true architecture and layout, a few megabytes.

`python -m benchmarks.harness.toy_zimage DIR` writes a models folder with three transformers, one
text encoder and one VAE, and a tokenizer whose words fit the toy encoder. hearth reads sizes from
the files; ComfyUI takes Z-Image for what it is by the true sizes only.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from benchmarks.harness.safetensors_file import TensorSpec, write_safetensors
from benchmarks.harness.workflows import Graph, node
from benchmarks.harness.zimage_models import (
    Sizes,
    text_encoder_tensors,
    transformer_tensors,
    vae_decoder_tensors,
)

TOY = Sizes(
    width=256,
    hidden=768,
    layers=3,
    caption=64,
    text_layers=4,
    text_hidden=96,
    text_head=16,
    text_queries=4,
    text_keys=2,
    vocabulary=300,
    vae_widths=(32, 64, 128, 128),
)
TRANSFORMERS = tuple(f"toy_z_image_{letter}.safetensors" for letter in "abc")
TEXT_ENCODER = "toy_qwen.safetensors"
VAE = "toy_ae.safetensors"
TOKENIZER = "tokenizer.json"


def tensors() -> dict[str, list[TensorSpec]]:
    """Path below the models folder and tensors of each file."""
    files = {f"diffusion_models/{name}": transformer_tensors(TOY) for name in TRANSFORMERS}
    files[f"text_encoders/{TEXT_ENCODER}"] = text_encoder_tensors(TOY)
    files[f"vae/{VAE}"] = vae_decoder_tensors(TOY)
    return {name: list(scaled(specs)) for name, specs in files.items()}


def checkpoint_tensors() -> list[TensorSpec]:
    """All three in one file, as ComfyUI saves a checkpoint of Z-Image."""
    parts = {
        "model.diffusion_model.": transformer_tensors(TOY),
        "text_encoders.qwen3_4b.transformer.": text_encoder_tensors(TOY),
        "vae.": vae_decoder_tensors(TOY),
    }
    return [
        replace(spec, name=prefix + spec.name)
        for prefix, specs in parts.items()
        for spec in scaled(specs)
    ]


def write_all(models: Path) -> Path:
    """Writes the files, each with values of its own; returns `models`."""
    for seed, (name, specs) in enumerate(tensors().items(), start=1):
        write_safetensors(models / name, specs, seed)
    write_tokenizer(models / TOKENIZER)
    return models


def write_tokenizer(path: Path) -> Path:
    """A tokenizer of Qwen's kind over the 256 bytes and no longer words."""
    letters = _letters_of_bytes()
    named = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    added = [
        {"id": len(letters) + place, "content": name, "single_word": False, "lstrip": False}
        | {"rstrip": False, "normalized": False, "special": True}
        for place, name in enumerate(named)
    ]
    as_bytes = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    body = {
        "version": "1.0",
        "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": as_bytes | {"use_regex": False},
        "decoder": as_bytes | {"use_regex": True},
        "model": {
            "type": "BPE",
            "vocab": {letter: place for place, letter in enumerate(letters)},
            "merges": [],
        },
    }
    path.write_text(json.dumps(body), encoding="utf-8")
    return path


def graph(transformer: str = TRANSFORMERS[0], size: int = 64, **sampler: object) -> Graph:
    """The official text-to-image workflow, with two steps unless told otherwise."""
    sampling = {"seed": 1, "steps": 2, "cfg": 1.0, "sampler_name": "res_multistep"}
    sampling |= {"scheduler": "simple", "denoise": 1.0}
    return {
        "unet": node("UNETLoader", unet_name=transformer, weight_dtype="default"),
        "clip": node("CLIPLoader", clip_name=TEXT_ENCODER, type="lumina2"),
        "vae": node("VAELoader", vae_name=VAE),
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
            **{**sampling, **sampler},
        ),
        "decode": node("VAEDecode", samples=["sampler", 0], vae=["vae", 0]),
        "save": node(
            "SaveImage", images=["decode", 0], filename_prefix=transformer.partition(".")[0]
        ),
    }


def scaled(specs: Iterable[TensorSpec]) -> Iterable[TensorSpec]:
    """The same tensors with values that keep activations about one: every tensor tells then."""
    for spec in specs:
        is_matrix = len(spec.shape) > 1 and "pad_token" not in spec.name
        fan_in = math.prod(spec.shape[1:])
        yield replace(spec, std=fan_in**-0.5 if is_matrix else 0.2)


def _letters_of_bytes() -> list[str]:
    """The printable letter that stands for each byte, as GPT-2's tokenizer has them."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable}
    letters |= {byte: chr(256 + place) for place, byte in enumerate(others)}
    return [letters[byte] for byte in range(256)]


if __name__ == "__main__":
    print(write_all(Path(sys.argv[1])))
