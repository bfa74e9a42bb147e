"""Toy Z-Image models of diffusers and transformers with random weights, and their other layouts."""

from __future__ import annotations

import base64
import importlib.util
from pathlib import Path
from typing import Any

import torch
from hearth import qwen_tokenizer

CAPTION_WIDTH = 48
WORDS = 300
Weights = dict[str, Any]


def relative_error(found: Any, expected: Any) -> float:
    """L2 of the difference over L2 of what is right, in float64."""
    assert found.shape == expected.shape
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def randomise(model: Any, seed: int) -> Any:
    """Every parameter normal, and of a size that keeps activations about one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1 and "pad_token" not in name:
                fan_in = parameter[0].numel()
                parameter.copy_(noise * fan_in**-0.5)
            elif "norm" in name and name.endswith("weight") or name == "cap_embedder.0.weight":
                parameter.copy_(1.0 + 0.2 * noise)
            else:
                parameter.copy_(0.2 * noise)
    return model.eval()


def transformer(heads: int = 2, head_width: int = 128, seed: int = 1) -> Any:
    """diffusers' S3-DiT: two layers, two refining blocks of each kind."""
    from diffusers import ZImageTransformer2DModel

    axes = [head_width // 4, head_width * 3 // 8, head_width * 3 // 8]
    model = ZImageTransformer2DModel(
        dim=heads * head_width,
        n_layers=2,
        n_refiner_layers=2,
        n_heads=heads,
        n_kv_heads=heads,
        cap_feat_dim=CAPTION_WIDTH,
        axes_dims=axes,
        axes_lens=[512, 128, 128],
    )
    return randomise(model, seed)


def velocity(model: Any, latents: Any, sigma: float, embedding: Any) -> Any:
    """What diffusers' model answers, turned into the velocity towards noise."""
    images = list(latents.unsqueeze(2).unbind(0))
    captions = list(embedding.expand(len(images), -1, -1))
    with torch.no_grad():
        answer = model(images, torch.full((len(images),), 1.0 - sigma), captions, return_dict=False)
    return -torch.stack(list(answer[0])).squeeze(2)


def fused(separate: Weights) -> Weights:
    """The transformer's weights named as ComfyUI's files name them."""
    weights: Weights = {}
    for name, tensor in separate.items():
        name = name.replace("all_x_embedder.2-1", "x_embedder")
        name = name.replace("all_final_layer.2-1", "final_layer")
        name = name.replace("attention.norm_q", "attention.q_norm")
        name = name.replace("attention.norm_k", "attention.k_norm")
        name = name.replace("attention.to_out.0", "attention.out")
        weights[name] = tensor
    for name in [name for name in weights if name.endswith("attention.to_q.weight")]:
        stem = name.removesuffix("to_q.weight")
        parts = [weights.pop(f"{stem}to_{part}.weight") for part in "qkv"]
        weights[f"{stem}qkv.weight"] = torch.cat(parts)
    return weights


def text_encoder(seed: int = 2) -> Any:
    """transformers' Qwen3 with four layers."""
    from transformers import Qwen3Config, Qwen3Model

    config = Qwen3Config(
        hidden_size=CAPTION_WIDTH,
        intermediate_size=80,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        vocab_size=WORDS,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
    )
    return randomise(Qwen3Model(config), seed)


def embedding(model: Any, tokens: Any) -> Any:
    """The hidden state before the last layer."""
    with torch.no_grad():
        return model(tokens, output_hidden_states=True).hidden_states[-2]


def vae(seed: int = 3) -> Any:
    """diffusers' autoencoder with three levels of other widths, as Flux has it."""
    from diffusers import AutoencoderKL

    model = AutoencoderKL(
        block_out_channels=(32, 64, 96),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=2,
        latent_channels=16,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    return randomise(model, seed)


def decoder_weights(model: Any) -> Weights:
    """Of the decoder alone, as diffusers names them."""
    state = model.state_dict()
    return {name: tensor for name, tensor in state.items() if name.startswith("decoder.")}


def original_vae(weights: Weights, levels: int = 3) -> Weights:
    """A decoder's weights named as `ae.safetensors` names them."""
    renamed = {
        "mid_block.resnets.0": "mid.block_1",
        "mid_block.resnets.1": "mid.block_2",
        "mid_block.attentions.0.group_norm": "mid.attn_1.norm",
        "mid_block.attentions.0.to_out.0": "mid.attn_1.proj_out",
        "mid_block.attentions.0.to_": "mid.attn_1.",
        "conv_norm_out": "norm_out",
        "conv_shortcut": "nin_shortcut",
        "upsamplers.0": "upsample",
        "resnets": "block",
    }
    renamed |= {f"up_blocks.{i}.": f"up.{levels - 1 - i}." for i in range(levels)}
    weights_by_name: Weights = {}
    for name, tensor in weights.items():
        for old, new in renamed.items():
            name = name.replace(old, new)
        is_matrix = "attn_1" in name and tensor.dim() == 2
        weights_by_name[name] = tensor[:, :, None, None] if is_matrix else tensor
    return weights_by_name


def qwen_words() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Qwen's vocabulary and merges, from the copy in the package dashscope.

    Its file has the words' bytes in the order of their ranks; the merge that made a word is found
    by joining its bytes with the merges of lower rank until two parts are left.
    """
    spec = importlib.util.find_spec("dashscope")
    assert spec is not None and spec.origin is not None
    file = Path(spec.origin).parent / "resources" / "qwen.tiktoken"
    ranks: dict[bytes, int] = {}
    for line in file.read_bytes().splitlines():
        word, rank = line.split()
        ranks[base64.b64decode(word)] = int(rank)
    letters = _letters_of_bytes()
    text = {word: "".join(letters[byte] for byte in word) for word in ranks}
    merges = [_two_parts(word, ranks) for word in ranks if len(word) > 1]
    return {text[word]: rank for word, rank in ranks.items()}, [
        (text[first], text[second]) for first, second in merges
    ]


def byte_tokenizer() -> qwen_tokenizer.Tokenizer:
    """Of Qwen's kind with one merge only: fits the toy text encoder."""
    words = {letter: place for place, letter in enumerate(_letters_of_bytes().values())}
    return qwen_tokenizer.from_words({**words, "ca": 256}, [("c", "a")])


def _two_parts(word: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    parts = [bytes([byte]) for byte in word]
    limit = ranks[word]
    while len(parts) > 2:
        joined = [ranks.get(a + b, limit) for a, b in zip(parts, parts[1:], strict=False)]
        best = min(range(len(joined)), key=joined.__getitem__)
        assert joined[best] < limit
        parts[best : best + 2] = [parts[best] + parts[best + 1]]
    return parts[0], parts[1]


def _letters_of_bytes() -> dict[int, str]:
    """GPT-2's printable letter for each byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in printable}
    others = [byte for byte in range(256) if byte not in letters]
    return letters | {byte: chr(256 + place) for place, byte in enumerate(others)}
