"""Toy models of a few megabytes that ComfyUI recognises by itself and samples in no time.

`python -m benchmarks.harness.toy_models DIR` writes them into ComfyUI's models folder.

Shapes are those ComfyUI derives its architecture from; the values are random, so that two seeds
give two models whose images differ. The text encoder inside a toy checkpoint is empty (prompts do
not matter there); the cut CLIP-L is a real one of two layers.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from benchmarks.harness.safetensors_file import TensorSpec, write_safetensors

_MMDIT_PREFIX = "model.diffusion_model."
_VAE_PREFIX = "first_stage_model."
_HEAD_WIDTH = 64
_CONTEXT_WIDTH = 4096
_POOLED_WIDTH = 2048
_POSITIONS = 48 * 48
_CLIP_WIDTH = 768
_CLIP_LAYERS = 12
_CLIP_REAL_LAYERS = 2
_LORA_RANK = 4
_LAST_CONV_STD = 0.0002


def _linear(name: str, rows: int, columns: int) -> list[TensorSpec]:
    return [
        TensorSpec(f"{name}.weight", (rows, columns), std=1.0 / math.sqrt(columns)),
        TensorSpec(f"{name}.bias", (rows,), std=0.02),
    ]


def _conv(name: str, rows: int, columns: int, bias: bool = True) -> list[TensorSpec]:
    std = math.sqrt(2.0 / (columns * 9))
    specs = [TensorSpec(f"{name}.weight", (rows, columns, 3, 3), std=std)]
    if bias:
        specs.append(TensorSpec(f"{name}.bias", (rows,), std=0.02))
    return specs


def _mmdit_stream(name: str, width: int, last_context: bool) -> list[TensorSpec]:
    specs = _linear(f"{name}.attn.qkv", 3 * width, width)
    if last_context:
        return specs + _linear(f"{name}.adaLN_modulation.1", 2 * width, width)
    specs += _linear(f"{name}.attn.proj", width, width)
    specs += _linear(f"{name}.mlp.fc1", 4 * width, width)
    specs += _linear(f"{name}.mlp.fc2", width, 4 * width)
    return specs + _linear(f"{name}.adaLN_modulation.1", 6 * width, width)


def mmdit_tensors(depth: int = 1, prefix: str = "") -> list[TensorSpec]:
    """An SD3-type transformer of `depth` blocks; its width is 64 times its depth."""
    width = _HEAD_WIDTH * depth
    specs = [
        TensorSpec(f"{prefix}pos_embed", (1, _POSITIONS, width), std=0.5),
        TensorSpec(f"{prefix}x_embedder.proj.weight", (width, 16, 2, 2), std=0.125),
        TensorSpec(f"{prefix}x_embedder.proj.bias", (width,), std=0.02),
    ]
    for name, source in (("t_embedder", 256), ("y_embedder", _POOLED_WIDTH)):
        specs += _linear(f"{prefix}{name}.mlp.0", width, source)
        specs += _linear(f"{prefix}{name}.mlp.2", width, width)
    specs += _linear(f"{prefix}context_embedder", width, _CONTEXT_WIDTH)
    for block in range(depth):
        stem = f"{prefix}joint_blocks.{block}"
        specs += _mmdit_stream(f"{stem}.context_block", width, block == depth - 1)
        specs += _mmdit_stream(f"{stem}.x_block", width, False)
    specs += _linear(f"{prefix}final_layer.linear", 64, width)
    return specs + _linear(f"{prefix}final_layer.adaLN_modulation.1", 2 * width, width)


def _tiny_block(name: str) -> list[TensorSpec]:
    return [spec for index in (0, 2, 4) for spec in _conv(f"{name}.conv.{index}", 64, 64)]


def vae_tensors(prefix: str = "") -> list[TensorSpec]:
    """A tiny autoencoder (TAESD) with 16 latent channels."""
    encoder, decoder = f"{prefix}taesd_encoder", f"{prefix}taesd_decoder"
    specs = _conv(f"{encoder}.0", 64, 3)
    for index in range(1, 14):
        if index in (2, 6, 10):
            specs += _conv(f"{encoder}.{index}", 64, 64, bias=False)
        else:
            specs += _tiny_block(f"{encoder}.{index}")
    specs += _conv(f"{encoder}.14", 16, 64)
    specs += _conv(f"{decoder}.1", 64, 16)
    for index in (3, 4, 5, 8, 9, 10, 13, 14, 15, 18):
        specs += _tiny_block(f"{decoder}.{index}")
    for index in (7, 12, 17):
        specs += _conv(f"{decoder}.{index}", 64, 64, bias=False)
    # Ten blocks in a row have amplified the signal; scaled back, it fills the range of an image
    # instead of clipping to black and white.
    return [
        *specs,
        TensorSpec(f"{decoder}.19.weight", (3, 64, 3, 3), std=_LAST_CONV_STD),
        TensorSpec(f"{decoder}.19.bias", (3,), mean=0.5),
    ]


def _clip_tensor(name: str, shape: tuple[int, ...], real: bool, mean: float = 0.0) -> TensorSpec:
    std = 0.02 if real else 0.0
    return TensorSpec(name, shape, dtype="F16", std=std, mean=mean if real else 0.0)


def _clip_layer(stem: str, real: bool) -> list[TensorSpec]:
    width = _CLIP_WIDTH
    specs: list[TensorSpec] = []
    for norm in ("layer_norm1", "layer_norm2"):
        specs.append(_clip_tensor(f"{stem}.{norm}.weight", (width,), real, mean=1.0))
        specs.append(_clip_tensor(f"{stem}.{norm}.bias", (width,), real))
    linears = [(f"self_attn.{part}_proj", width, width) for part in ("q", "k", "v", "out")]
    linears += [("mlp.fc1", 4 * width, width), ("mlp.fc2", width, 4 * width)]
    for name, rows, columns in linears:
        specs.append(_clip_tensor(f"{stem}.{name}.weight", (rows, columns), real))
        specs.append(_clip_tensor(f"{stem}.{name}.bias", (rows,), real))
    return specs


def clip_l_tensors() -> list[TensorSpec]:
    """CLIP-L whose first two layers are real.

    ComfyUI always builds twelve layers and leaves what a file lacks uninitialised, which would make
    images differ from run to run. So the other ten are there, as zeros (holes on the disk).
    """
    stem = "text_model.embeddings"
    specs = [
        _clip_tensor(f"{stem}.token_embedding.weight", (49408, _CLIP_WIDTH), True),
        _clip_tensor(f"{stem}.position_embedding.weight", (77, _CLIP_WIDTH), True),
    ]
    for layer in range(_CLIP_LAYERS):
        specs += _clip_layer(f"text_model.encoder.layers.{layer}", layer < _CLIP_REAL_LAYERS)
    specs.append(_clip_tensor("text_model.final_layer_norm.weight", (_CLIP_WIDTH,), True, mean=1.0))
    specs.append(_clip_tensor("text_model.final_layer_norm.bias", (_CLIP_WIDTH,), True))
    specs.append(_clip_tensor("text_projection.weight", (_CLIP_WIDTH, _CLIP_WIDTH), True))
    return specs


def lora_tensors(depth: int = 1) -> list[TensorSpec]:
    """A rank-4 LoRA on the attention of every image block of `mmdit_tensors(depth)`."""
    width = _HEAD_WIDTH * depth
    specs: list[TensorSpec] = []
    for block in range(depth):
        for part, rows in (("qkv", 3 * width), ("proj", width)):
            stem = f"diffusion_model.joint_blocks.{block}.x_block.attn.{part}"
            specs.append(TensorSpec(f"{stem}.lora_down.weight", (_LORA_RANK, width), std=0.3))
            specs.append(TensorSpec(f"{stem}.lora_up.weight", (rows, _LORA_RANK), std=0.3))
    return specs


def write_checkpoint(path: Path, seed: int, depth: int = 1) -> Path:
    """An SD3-type checkpoint: transformer, tiny autoencoder, empty text encoder; 12.6 MB."""
    specs = mmdit_tensors(depth, _MMDIT_PREFIX) + vae_tensors(_VAE_PREFIX)
    specs.append(TensorSpec("text_encoders.toy", (1,), mean=1.0))
    return write_safetensors(path, specs, seed)


def write_diffusion_model(path: Path, seed: int, depth: int = 1) -> Path:
    """The transformer alone, for UNETLoader; 2.7 MB."""
    return write_safetensors(path, mmdit_tensors(depth), seed)


def write_vae(path: Path, seed: int) -> Path:
    """The tiny autoencoder alone, for VAELoader; 9.8 MB."""
    return write_safetensors(path, vae_tensors(), seed)


def write_clip_l(path: Path, seed: int) -> Path:
    """The cut CLIP-L, for CLIPLoader and DualCLIPLoader; 246 MB, of which 104 MB on the disk."""
    return write_safetensors(path, clip_l_tensors(), seed)


def write_lora(path: Path, seed: int, depth: int = 1) -> Path:
    """The LoRA; a few kilobytes."""
    return write_safetensors(path, lora_tensors(depth), seed)


def write_all(models: Path) -> Path:
    """Writes the models that the graphs of `examples/` name, in ComfyUI's folders."""
    for seed, letter in enumerate("abc", start=1):
        write_checkpoint(models / "checkpoints" / f"toy_sd3_{letter}.safetensors", seed)
    write_diffusion_model(models / "diffusion_models" / "toy_mmdit.safetensors", 4)
    write_vae(models / "vae" / "toy_vae.safetensors", 5)
    for number in (1, 2):
        write_clip_l(models / "text_encoders" / f"toy_clip_l_{number}.safetensors", 5 + number)
    write_lora(models / "loras" / "toy_lora.safetensors", 8)
    return models


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes the toy models of the examples.")
    parser.add_argument("models", type=Path, help="ComfyUI's models folder")
    write_all(parser.parse_args().models)
