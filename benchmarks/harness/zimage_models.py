"""Z-Image-Turbo's three files in full size and with random values, for measuring.

The tensors have the names, shapes and types of the released files, so ComfyUI treats them as it
treats those; images are noise. `python -m benchmarks.harness.zimage_models DIR` writes 21 GB.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

from benchmarks.harness.safetensors_file import TensorSpec, total_bytes, write_safetensors

_STD = 0.02
_TIME = 256
_MAX_THREADS = 16


@dataclass(frozen=True)
class Sizes:
    """Dimensions of the three models; as they stand here those of the released files."""

    width: int = 3840
    hidden: int = 10240
    head: int = 128
    layers: int = 30
    caption: int = 2560
    text_layers: int = 36
    text_hidden: int = 9728
    text_head: int = 128
    text_queries: int = 32
    text_keys: int = 8
    vocabulary: int = 151936
    vae_widths: tuple[int, ...] = (128, 256, 512, 512)


FULL = Sizes()


def _weight(name: str, *shape: int) -> TensorSpec:
    return TensorSpec(name, shape, dtype="BF16", std=_STD)


def _norm(name: str, width: int) -> TensorSpec:
    return TensorSpec(f"{name}.weight", (width,), dtype="BF16", std=_STD, mean=1.0)


def _linear(name: str, rows: int, columns: int) -> list[TensorSpec]:
    return [_weight(f"{name}.weight", rows, columns), _weight(f"{name}.bias", rows)]


def _block(stem: str, sizes: Sizes, modulated: bool) -> list[TensorSpec]:
    width, hidden = sizes.width, sizes.hidden
    specs = [
        _weight(f"{stem}.attention.qkv.weight", 3 * width, width),
        _weight(f"{stem}.attention.out.weight", width, width),
        _norm(f"{stem}.attention.q_norm", sizes.head),
        _norm(f"{stem}.attention.k_norm", sizes.head),
        _weight(f"{stem}.feed_forward.w1.weight", hidden, width),
        _weight(f"{stem}.feed_forward.w2.weight", width, hidden),
        _weight(f"{stem}.feed_forward.w3.weight", hidden, width),
    ]
    for norm in ("attention_norm1", "ffn_norm1", "attention_norm2", "ffn_norm2"):
        specs.append(_norm(f"{stem}.{norm}", width))
    if modulated:
        specs += _linear(f"{stem}.adaLN_modulation.0", 4 * width, _TIME)
    return specs


def transformer_tensors(sizes: Sizes = FULL) -> list[TensorSpec]:
    """The transformer: 6.15 billion parameters, attention fused as in ComfyUI's files."""
    width = sizes.width
    specs = [_weight("x_pad_token", 1, width), _weight("cap_pad_token", 1, width)]
    specs += _linear("x_embedder", width, 64)
    for index in range(2):
        specs += _block(f"noise_refiner.{index}", sizes, modulated=True)
        specs += _block(f"context_refiner.{index}", sizes, modulated=False)
    specs += _linear("t_embedder.mlp.0", min(width, 1024), _TIME)
    specs += _linear("t_embedder.mlp.2", _TIME, min(width, 1024))
    specs.append(_norm("cap_embedder.0", sizes.caption))
    specs += _linear("cap_embedder.1", width, sizes.caption)
    for index in range(sizes.layers):
        specs += _block(f"layers.{index}", sizes, modulated=True)
    specs += _linear("final_layer.linear", 64, width)
    return specs + _linear("final_layer.adaLN_modulation.1", width, _TIME)


def _text_layer(stem: str, sizes: Sizes) -> list[TensorSpec]:
    width = sizes.caption
    queries, keys = (sizes.text_head * heads for heads in (sizes.text_queries, sizes.text_keys))
    shapes = {
        "self_attn.q_proj": (queries, width),
        "self_attn.k_proj": (keys, width),
        "self_attn.v_proj": (keys, width),
        "self_attn.o_proj": (width, queries),
        "mlp.gate_proj": (sizes.text_hidden, width),
        "mlp.up_proj": (sizes.text_hidden, width),
        "mlp.down_proj": (width, sizes.text_hidden),
    }
    specs = [_weight(f"{stem}.{name}.weight", *shape) for name, shape in shapes.items()]
    specs += [_norm(f"{stem}.self_attn.{name}", sizes.text_head) for name in ("q_norm", "k_norm")]
    specs.append(_norm(f"{stem}.input_layernorm", width))
    specs.append(_norm(f"{stem}.post_attention_layernorm", width))
    return specs


def text_encoder_tensors(sizes: Sizes = FULL) -> list[TensorSpec]:
    """Qwen3-4B without an output head."""
    specs = [_weight("model.embed_tokens.weight", sizes.vocabulary, sizes.caption)]
    for index in range(sizes.text_layers):
        specs += _text_layer(f"model.layers.{index}", sizes)
    return [*specs, _norm("model.norm", sizes.caption)]


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


def vae_tensors(sizes: Sizes = FULL) -> list[TensorSpec]:
    """Flux's autoencoder (`ae.safetensors`), in fp32 as released."""
    return _encoder_tensors(sizes) + vae_decoder_tensors(sizes)


def _encoder_tensors(sizes: Sizes) -> list[TensorSpec]:
    widths = sizes.vae_widths
    top, last = widths[-1], len(widths) - 1
    specs = _conv("encoder.conv_in", widths[0], 3)
    source = widths[0]
    for index, width in enumerate(widths):
        resample = "downsample" if index < last else None
        specs += _level(f"encoder.down.{index}", source, width, 2, resample)
        source = width
    specs += _middle("encoder.mid", top)
    return specs + _group_norm("encoder.norm_out", top) + _conv("encoder.conv_out", 32, top)


def vae_decoder_tensors(sizes: Sizes = FULL) -> list[TensorSpec]:
    """Of the same file the half that makes images."""
    widths = sizes.vae_widths
    top, last = widths[-1], len(widths) - 1
    specs = _conv("decoder.conv_in", top, 16) + _middle("decoder.mid", top)
    source = top
    for index in range(last, -1, -1):
        resample = "upsample" if index > 0 else None
        specs += _level(f"decoder.up.{index}", source, widths[index], 3, resample)
        source = widths[index]
    return specs + _group_norm("decoder.norm_out", source) + _conv("decoder.conv_out", 3, source)


def lora_tensors(rank: int = 16) -> list[TensorSpec]:
    """A LoRA on the attention and the feed-forward of every layer, in ComfyUI's generic names."""
    width, hidden = FULL.width, FULL.hidden
    shapes = {
        "attention.qkv": (3 * width, width),
        "attention.out": (width, width),
        "feed_forward.w1": (hidden, width),
        "feed_forward.w2": (width, hidden),
        "feed_forward.w3": (hidden, width),
    }
    specs = []
    for index in range(FULL.layers):
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
