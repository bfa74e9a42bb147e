"""Z-Image-Turbo's three files in full size and with random values, for measuring.

The tensors have the names, shapes and types of the released files, so ComfyUI treats them as it
treats those; images are noise. `python -m benchmarks.harness.zimage_models DIR` writes 21 GB.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

from benchmarks.harness.safetensors_file import TensorSpec, total_bytes, write_safetensors

_STD = 0.02
_WIDTH = 3840
_HIDDEN = 10240
_HEAD = 128
_TIME = 256
_CAPTION = 2560
_LAYERS = 30
_TEXT_LAYERS = 36
_TEXT_HIDDEN = 9728
_VOCABULARY = 151936
_VAE_WIDTHS = (128, 256, 512, 512)
_MAX_THREADS = 16


def _weight(name: str, *shape: int) -> TensorSpec:
    return TensorSpec(name, shape, dtype="BF16", std=_STD)


def _norm(name: str, width: int) -> TensorSpec:
    return TensorSpec(f"{name}.weight", (width,), dtype="BF16", std=_STD, mean=1.0)


def _linear(name: str, rows: int, columns: int) -> list[TensorSpec]:
    return [_weight(f"{name}.weight", rows, columns), _weight(f"{name}.bias", rows)]


def _block(stem: str, modulated: bool) -> list[TensorSpec]:
    specs = [
        _weight(f"{stem}.attention.qkv.weight", 3 * _WIDTH, _WIDTH),
        _weight(f"{stem}.attention.out.weight", _WIDTH, _WIDTH),
        _norm(f"{stem}.attention.q_norm", _HEAD),
        _norm(f"{stem}.attention.k_norm", _HEAD),
        _weight(f"{stem}.feed_forward.w1.weight", _HIDDEN, _WIDTH),
        _weight(f"{stem}.feed_forward.w2.weight", _WIDTH, _HIDDEN),
        _weight(f"{stem}.feed_forward.w3.weight", _HIDDEN, _WIDTH),
    ]
    for norm in ("attention_norm1", "ffn_norm1", "attention_norm2", "ffn_norm2"):
        specs.append(_norm(f"{stem}.{norm}", _WIDTH))
    if modulated:
        specs += _linear(f"{stem}.adaLN_modulation.0", 4 * _WIDTH, _TIME)
    return specs


def transformer_tensors() -> list[TensorSpec]:
    """The transformer: 6.15 billion parameters, attention fused as in ComfyUI's files."""
    specs = [_weight("x_pad_token", 1, _WIDTH), _weight("cap_pad_token", 1, _WIDTH)]
    specs += _linear("x_embedder", _WIDTH, 64)
    for index in range(2):
        specs += _block(f"noise_refiner.{index}", modulated=True)
        specs += _block(f"context_refiner.{index}", modulated=False)
    specs += _linear("t_embedder.mlp.0", 1024, _TIME)
    specs += _linear("t_embedder.mlp.2", _TIME, 1024)
    specs.append(_norm("cap_embedder.0", _CAPTION))
    specs += _linear("cap_embedder.1", _WIDTH, _CAPTION)
    for index in range(_LAYERS):
        specs += _block(f"layers.{index}", modulated=True)
    specs += _linear("final_layer.linear", 64, _WIDTH)
    return specs + _linear("final_layer.adaLN_modulation.1", _WIDTH, _TIME)


def _text_layer(stem: str) -> list[TensorSpec]:
    shapes = {
        "self_attn.q_proj": (4096, _CAPTION),
        "self_attn.k_proj": (1024, _CAPTION),
        "self_attn.v_proj": (1024, _CAPTION),
        "self_attn.o_proj": (_CAPTION, 4096),
        "mlp.gate_proj": (_TEXT_HIDDEN, _CAPTION),
        "mlp.up_proj": (_TEXT_HIDDEN, _CAPTION),
        "mlp.down_proj": (_CAPTION, _TEXT_HIDDEN),
    }
    specs = [_weight(f"{stem}.{name}.weight", *shape) for name, shape in shapes.items()]
    specs += [_norm(f"{stem}.self_attn.{name}", _HEAD) for name in ("q_norm", "k_norm")]
    specs.append(_norm(f"{stem}.input_layernorm", _CAPTION))
    specs.append(_norm(f"{stem}.post_attention_layernorm", _CAPTION))
    return specs


def text_encoder_tensors() -> list[TensorSpec]:
    """Qwen3-4B without an output head."""
    specs = [_weight("model.embed_tokens.weight", _VOCABULARY, _CAPTION)]
    for index in range(_TEXT_LAYERS):
        specs += _text_layer(f"model.layers.{index}")
    return [*specs, _norm("model.norm", _CAPTION)]


def _conv(name: str, rows: int, columns: int, size: int = 3) -> list[TensorSpec]:
    return [
        TensorSpec(f"{name}.weight", (rows, columns, size, size), std=_STD),
        TensorSpec(f"{name}.bias", (rows,), std=_STD),
    ]


def _group_norm(name: str, width: int) -> list[TensorSpec]:
    return [
        TensorSpec(f"{name}.weight", (width,), std=_STD, mean=1.0),
        TensorSpec(f"{name}.bias", (width,), std=_STD),
    ]


def _residual(stem: str, source: int, width: int) -> list[TensorSpec]:
    specs = _group_norm(f"{stem}.norm1", source) + _conv(f"{stem}.conv1", width, source)
    specs += _group_norm(f"{stem}.norm2", width) + _conv(f"{stem}.conv2", width, width)
    if source != width:
        specs += _conv(f"{stem}.nin_shortcut", width, source, size=1)
    return specs


def _middle(stem: str, width: int) -> list[TensorSpec]:
    specs = _residual(f"{stem}.block_1", width, width)
    specs += _group_norm(f"{stem}.attn_1.norm", width)
    for part in ("q", "k", "v", "proj_out"):
        specs += _conv(f"{stem}.attn_1.{part}", width, width, size=1)
    return specs + _residual(f"{stem}.block_2", width, width)


def _level(
    stem: str, source: int, width: int, blocks: int, resample: str | None
) -> list[TensorSpec]:
    specs: list[TensorSpec] = []
    for block in range(blocks):
        specs += _residual(f"{stem}.block.{block}", source if block == 0 else width, width)
    if resample is not None:
        specs += _conv(f"{stem}.{resample}.conv", width, width)
    return specs


def vae_tensors() -> list[TensorSpec]:
    """Flux's autoencoder (`ae.safetensors`), in fp32 as released."""
    top = _VAE_WIDTHS[-1]
    last = len(_VAE_WIDTHS) - 1
    specs = _conv("encoder.conv_in", _VAE_WIDTHS[0], 3)
    source = _VAE_WIDTHS[0]
    for index, width in enumerate(_VAE_WIDTHS):
        resample = "downsample" if index < last else None
        specs += _level(f"encoder.down.{index}", source, width, 2, resample)
        source = width
    specs += _middle("encoder.mid", top)
    specs += _group_norm("encoder.norm_out", top) + _conv("encoder.conv_out", 32, top)
    specs += _conv("decoder.conv_in", top, 16) + _middle("decoder.mid", top)
    source = top
    for index in range(last, -1, -1):
        width = _VAE_WIDTHS[index]
        resample = "upsample" if index > 0 else None
        specs += _level(f"decoder.up.{index}", source, width, 3, resample)
        source = width
    return specs + _group_norm("decoder.norm_out", source) + _conv("decoder.conv_out", 3, source)


def lora_tensors(rank: int = 16) -> list[TensorSpec]:
    """A LoRA on the attention and the feed-forward of every layer, in ComfyUI's generic names."""
    shapes = {
        "attention.qkv": (3 * _WIDTH, _WIDTH),
        "attention.out": (_WIDTH, _WIDTH),
        "feed_forward.w1": (_HIDDEN, _WIDTH),
        "feed_forward.w2": (_WIDTH, _HIDDEN),
        "feed_forward.w3": (_HIDDEN, _WIDTH),
    }
    specs = []
    for index in range(_LAYERS):
        for name, (rows, columns) in shapes.items():
            stem = f"diffusion_model.layers.{index}.{name}"
            specs.append(_weight(f"{stem}.lora_A.weight", rank, columns))
            specs.append(_weight(f"{stem}.lora_B.weight", rows, rank))
    return specs


def files(transformers: int = 1) -> dict[str, list[TensorSpec]]:
    """Path below the models folder and tensors of each file; transformers: one to three."""
    found = {
        "diffusion_models/z_image_turbo_bf16.safetensors": transformer_tensors(),
        "text_encoders/qwen_3_4b.safetensors": text_encoder_tensors(),
        "vae/ae.safetensors": vae_tensors(),
    }
    for name in ("second", "third")[: transformers - 1]:
        found[f"diffusion_models/z_image_{name}_bf16.safetensors"] = transformer_tensors()
    found["loras/z_image_lora.safetensors"] = lora_tensors()
    return found


def write_all(
    models: Path, *, transformers: int = 1, progress: Callable[[int], None] | None = None
) -> None:
    """Writes the files under `models`, each with values of its own, with up to 16 threads."""
    threads = min(_MAX_THREADS, os.cpu_count() or 1)
    # One torch thread per writer: the pools of sixteen writers would get into each other's way.
    torch.set_num_threads(1)
    for seed, (name, specs) in enumerate(files(transformers).items(), start=1):
        write_safetensors(models / name, specs, seed, threads=threads, progress=progress)


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", type=Path, help="models folder to write into")
    parser.add_argument("--second", action="store_true", help="a second transformer, to switch to")
    parser.add_argument("--third", action="store_true", help="and a third")
    given = parser.parse_args()
    transformers = 3 if given.third else 2 if given.second else 1
    total = sum(total_bytes(specs) for specs in files(transformers).values())
    columns = ("writing", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns) as bar:
        task = bar.add_task("writing", total=total)
        write_all(
            given.models,
            transformers=transformers,
            progress=lambda written: bar.update(task, advance=written),
        )
    return 0


if __name__ == "__main__":
    sys.exit(_main())
