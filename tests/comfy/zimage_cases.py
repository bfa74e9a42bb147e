"""Runs inside ComfyUI's Python: hearth's Z-Image and ComfyUI's own modules on the same weights.

    python zimage_cases.py COMFYUI

Prints one JSON object: relative L2 errors, and whether what must be equal to the bit is. Models are
toys; the modules, the sampling and the tokenizer are ComfyUI's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

COMFYUI = Path(sys.argv[1])
REPOSITORY = Path(__file__).resolve().parents[2]
# Last, because ComfyUI has folders named like some of hearth's.
sys.path[:0] = [str(COMFYUI), str(REPOSITORY / "bindings")]
sys.path.append(str(REPOSITORY / "tests" / "python"))
sys.argv = ["zimage_cases", "--cpu"]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.latent_formats  # noqa: E402
import comfy.ldm.modules.diffusionmodules.model  # noqa: E402
import comfy.model_patcher  # noqa: E402
import comfy.ops  # noqa: E402
import comfy.sample  # noqa: E402
import comfy.samplers  # noqa: E402
import comfy.supported_models  # noqa: E402
import comfy.text_encoders.llama  # noqa: E402
import comfy.text_encoders.z_image  # noqa: E402
import torch  # noqa: E402
import zimage_toys as toys  # noqa: E402
from hearth import qwen_tokenizer, zimage  # noqa: E402

WIDTH = 256
TOY_DIT = {
    "image_model": "lumina2",
    "patch_size": 2,
    "in_channels": 16,
    "dim": WIDTH,
    "cap_feat_dim": toys.CAPTION_WIDTH,
    "n_layers": 3,
    "qk_norm": True,
    "n_heads": 2,
    "n_kv_heads": 2,
    "axes_dims": [32, 48, 48],
    "axes_lens": [1536, 512, 512],
    "rope_theta": 256.0,
    "ffn_dim_multiplier": 8.0 / 3.0,
    "z_image_modulation": True,
    "time_scale": 1000.0,
    "pad_tokens_multiple": 32,
}
TOY_QWEN = {
    "hidden_size": toys.CAPTION_WIDTH,
    "intermediate_size": 80,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": toys.WORDS,
}
# Tokens of the caption, height, width and batch of the latents: odd ones, and one without padding.
SHAPES = ((7, 16, 16, 1), (45, 12, 22, 1), (32, 16, 8, 2), (33, 9, 15, 1), (8, 7, 10, 2))
PROMPTS = (
    "a cat",
    "",
    "雪の猫 🐱 2026",
    "trailing  ",
    "one <|im_end|> two",
    "<think>plain</think> <|vision_start|>",
    "it's \\(not\\) (weighted:1.3) at 3.14159, İstanbul ſ ﬁ",
    "  two\n\n lines\r\n\tand tabs ",
    "café cafe\u0301 \u0000 \u200d👩\u200d🚀",
    "a" * 300,
)


def comfy_model() -> Any:
    config = comfy.supported_models.ZImage(dict(TOY_DIT))
    config.unet_config = {**TOY_DIT, "dtype": torch.float32}
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, device="cpu")
    toys.randomise(model.diffusion_model, 5)
    return model


def transformer_errors(model: Any, engine: Any) -> dict[str, float]:
    found = {}
    for number, (length, height, width, batch) in enumerate(SHAPES):
        torch.manual_seed(number)
        latents = torch.randn(batch, 16, height, width)
        caption = torch.randn(1, length, toys.CAPTION_WIDTH)
        sigma = torch.tensor([0.6])
        denoiser = zimage.Denoiser(engine, zimage.Prompt(caption), latents, sigma)
        own = (latents - denoiser(latents, sigma[0])) / sigma
        with torch.no_grad():
            stock = model.diffusion_model(
                latents, sigma.expand(batch), caption.expand(batch, -1, -1), num_tokens=length
            )
        found[f"{length} {height}x{width} batch {batch}"] = toys.relative_error(own, stock)
    return found


def bfloat16_errors(model: Any) -> dict[str, float]:
    """Of both against ComfyUI's float32, all with the same rounded weights."""
    rounded = {k: v.bfloat16() for k, v in model.diffusion_model.state_dict().items()}
    model.diffusion_model.load_state_dict(rounded)
    torch.manual_seed(9)
    latents, caption = torch.randn(1, 16, 16, 24), torch.randn(1, 45, toys.CAPTION_WIDTH)
    sigma = torch.tensor([0.6])
    engine = zimage.transformer(zimage.weights_of("bf16", rounded), compute_type=torch.bfloat16)
    denoiser = zimage.Denoiser(engine, zimage.Prompt(caption), latents, sigma)
    own = (latents - denoiser(latents, sigma[0])) / sigma
    with torch.no_grad():
        exact = model.diffusion_model(latents, sigma, caption, num_tokens=45)
        halved = model.diffusion_model.to(torch.bfloat16)
        stock = halved(latents.bfloat16(), sigma, caption.bfloat16(), num_tokens=45).float()
    return {
        "hearth": toys.relative_error(own, exact),
        "ComfyUI": toys.relative_error(stock, exact),
    }


def sampled(model: Any, engine: Any, cfg: float) -> float:
    """Eight steps as the official workflow has them."""
    torch.manual_seed(3)
    positive, negative = torch.randn(2, 1, 21, toys.CAPTION_WIDTH)
    empty = torch.zeros(2, 16, 16, 12)
    noise = comfy.sample.prepare_noise(empty, 42)
    patcher = comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))
    stock = comfy.sample.sample(
        patcher, noise, 8, cfg, "res_multistep", "simple",
        [[positive, {}]], [[negative, {}]], empty, disable_pbar=True, seed=42,
    )  # fmt: skip
    own = engine.sample(
        zimage.Prompt(positive, negative, cfg),
        zimage.Sampling("res_multistep", zimage.sigmas(8), zimage.noise(empty.shape, 42)),
    )
    # What ComfyUI's sampler gives is in the VAE's format.
    return toys.relative_error(zimage.for_vae(own), stock)


def text_errors() -> dict[str, float]:
    model = comfy.text_encoders.llama.Qwen3_4B(
        TOY_QWEN, dtype=torch.float32, device="cpu", operations=comfy.ops.manual_cast
    )
    toys.randomise(model, 6)
    engine = zimage.text_encoder(
        zimage.weights_of("te", model.state_dict()), compute_type=torch.float32
    )
    found = {}
    for length in (1, 8, 33):
        torch.manual_seed(length)
        tokens = torch.randint(0, toys.WORDS, (2, length))
        with torch.no_grad():
            stock = model(tokens, None, intermediate_output=-2, final_layer_norm_intermediate=False)
        found[f"{length} tokens"] = toys.relative_error(engine.encode(tokens), stock[1])
    return found


def vae_errors() -> dict[str, float]:
    decoder = comfy.ldm.modules.diffusionmodules.model.Decoder(
        ch=32, out_ch=3, ch_mult=(1, 2, 4, 4), num_res_blocks=2, attn_resolutions=[],
        in_channels=3, resolution=256, z_channels=16,
    )  # fmt: skip
    toys.randomise(decoder, 7)
    weights = {f"decoder.{name}": tensor for name, tensor in decoder.state_dict().items()}
    engine = zimage.vae_decoder(zimage.weights_of("vae", weights), compute_type=torch.float32)
    flux = comfy.latent_formats.Flux()
    found = {}
    for shape in ((1, 16, 4, 4), (2, 16, 5, 3)):
        torch.manual_seed(shape[2])
        latents = torch.randn(shape)
        with torch.no_grad():
            stock = decoder(flux.process_out(latents))
        own = engine.decode(zimage.for_vae(latents))
        found[f"{shape}"] = toys.relative_error(own, stock)
    return found


def unequal_sigmas(model: Any) -> list[str]:
    found = []
    for shift in (1.0, 3.0, 6.5):
        model.model_sampling.set_parameters(shift=shift, multiplier=1.0)
        if not torch.equal(zimage.levels(shift), model.model_sampling.sigmas):
            found.append(f"levels of shift {shift}")
        for steps in (*range(1, 33), 50, 999, 1000):
            stock = comfy.samplers.calculate_sigmas(model.model_sampling, "simple", steps)
            if not torch.equal(zimage.sigmas(steps, shift=shift), stock):
                found.append(f"{steps} steps of shift {shift}")
        sampler = comfy.samplers.KSampler(Steps(model), 8, "cpu", "euler", "simple", denoise=0.33)
        if not torch.equal(zimage.sigmas(8, shift=shift, denoise=0.33), sampler.sigmas):
            found.append(f"denoise of shift {shift}")
    model.model_sampling.set_parameters(shift=zimage.SHIFT, multiplier=1.0)
    return found


class Steps:
    """As much of a model patcher as ComfyUI's KSampler asks for its sigmas."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def get_model_object(self, name: str) -> Any:
        return getattr(self.model, name)


def unequal_noise() -> list[str]:
    found = []
    for seed in (0, 42, 2**32 + 5, 2**64 - 1):
        for shape in ((1, 16, 9, 7), (2, 16, 32, 32)):
            stock = comfy.sample.prepare_noise(torch.zeros(shape), seed)
            if not torch.equal(zimage.noise(shape, seed), stock):
                found.append(f"{seed} {shape}")
    return found


def unequal_tokens() -> list[str]:
    stock = comfy.text_encoders.z_image.ZImageTokenizer()
    own = qwen_tokenizer.load(qwen_tokenizer.find(comfyui=COMFYUI))
    found = []
    for prompt in PROMPTS:
        (batch,) = stock.tokenize_with_weights(prompt)["qwen3_4b"]
        if own.encode(prompt) != [token for token, _ in batch]:
            found.append(prompt)
    return found


def main() -> None:
    model = comfy_model()
    weights = zimage.weights_of("dit", model.diffusion_model.state_dict())
    engine = zimage.transformer(weights, compute_type=torch.float32)
    found = {
        "transformer": transformer_errors(model, engine),
        "text encoder": text_errors(),
        "vae": vae_errors(),
        "eight steps": {f"cfg {cfg}": sampled(model, engine, cfg) for cfg in (1.0, 2.5)},
        "unequal": {
            "sigmas": unequal_sigmas(model),
            "noise": unequal_noise(),
            "tokens": unequal_tokens(),
        },
    }
    # Last, because it rounds the model's weights.
    found["bfloat16"] = bfloat16_errors(model)
    print(json.dumps(found))


main()
