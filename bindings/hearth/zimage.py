"""Z-Image computed by hearth itself, from weights that are held in host memory.

    weights = zimage.open_weights(path)
    transformer = zimage.transformer(weights, compute_type=torch.float32)
    tokens = qwen_tokenizer.load(qwen_tokenizer.find()).encode("a cat")
    embedding = zimage.EmbeddingCache(16).encode(text_encoder, tokens)
    noise = zimage.noise((1, 16, 128, 128), seed=7)
    sampling = zimage.Sampling("res_multistep", zimage.sigmas(8), noise)
    latents = transformer.sample(zimage.Prompt(embedding), sampling)
    image = zimage.as_bytes(zimage.as_image(vae.decode(zimage.for_vae(latents))))

Dimensions are read from the files. Importing this imports torch;
`hearth.errors.NativeUnavailable` says why there is no native module for it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from hearth import _torch
else:
    from hearth._native_torch import _torch

CheckpointTensors = _torch.CheckpointTensors
Denoiser = _torch.ZImageDenoiser
EmbeddingCache = _torch.EmbeddingCache
Prompt = _torch.ZImagePrompt
Sampling = _torch.ZImageSampling
StepwiseVelocity = _torch.ZImageStepwiseVelocity
TextEncoder = _torch.ZImageTextEncoder
Transformer = _torch.ZImageTransformer
VaeDecoder = _torch.ZImageVaeDecoder
Tensor = Any
Dtype = Any

SHIFT = 3.0
"""Of Z-Image's noise levels towards noise."""
QK_NORM_EPS_COMFYUI = 2.0**-23
"""Of the norms of queries and keys in ComfyUI: torch's default for float32."""
QK_NORM_EPS_DIFFUSERS = 1e-5
"""Of the same norms in diffusers and in the published code."""


def open_weights(*paths: str | os.PathLike[str]) -> CheckpointTensors:
    """The tensors of one model without copying them: one file, or all shards of it.

    They are read-only; writing to one ends the process. Raises CheckpointNotFoundError and
    CheckpointCorruptError.
    """
    return CheckpointTensors([os.fspath(path) for path in paths])


def weights_of(name: str, tensors: Mapping[str, Tensor]) -> CheckpointTensors:
    """Weights that somebody else holds; different ones must have different names."""
    return CheckpointTensors.of(name, dict(tensors))


def transformer(
    weights: CheckpointTensors,
    *,
    compute_type: Dtype,
    device: str = "cpu",
    qk_norm_eps: float = QK_NORM_EPS_COMFYUI,
    fused: bool = False,
) -> Transformer:
    """S3-DiT in either key layout. `compute_type`: torch.bfloat16 or torch.float32. `fused`: with
    hearth's kernels, where the device has any; they round less often than ComfyUI.

    Raises CheckpointMismatchError for another model's file and for an incomplete one.
    """
    return Transformer(
        weights,
        compute_type=compute_type,
        device=torch.device(device),
        qk_norm_eps=qk_norm_eps,
        fused=fused,
    )


def text_encoder(
    weights: CheckpointTensors, *, compute_type: Dtype, device: str = "cpu"
) -> TextEncoder:
    """Qwen3 up to the hidden state before its last layer. ComfyUI computes it in torch.float32.

    Raises CheckpointMismatchError.
    """
    return TextEncoder(weights, compute_type=compute_type, device=torch.device(device))


def vae_decoder(
    weights: CheckpointTensors, *, compute_type: Dtype, device: str = "cpu", fused: bool = False
) -> VaeDecoder:
    """The decoder of Flux's autoencoder, in the original layout or diffusers'. `fused`: as above.

    Raises CheckpointMismatchError.
    """
    return VaeDecoder(weights, compute_type=compute_type, device=torch.device(device), fused=fused)


def programs(transformer: Transformer) -> _torch.VelocityPrograms:
    """For a transformer that is not of the cache; those of the cache have their own."""
    return _torch.velocity_programs(transformer)


def levels(shift: float = SHIFT) -> Tensor:
    """The 1000 noise levels of the model, lowest first; float32."""
    return _torch.zimage_levels(shift)


def sigmas(steps: int, *, shift: float = SHIFT, denoise: float = 1.0) -> Tensor:
    """ComfyUI's schedule `simple`: steps + 1 noise levels, noisiest first; float32."""
    return _torch.zimage_simple_sigmas(shift, steps, denoise)


def noise(shape: Sequence[int], seed: int) -> Tensor:
    """The noise of ComfyUI's samplers for this seed; float32 in host memory."""
    return _torch.zimage_noise(list(shape), seed)


def for_vae(latents: Tensor) -> Tensor:
    """Latents of the transformer as the VAE takes them."""
    return _torch.zimage_for_vae(latents)


def for_transformer(latents: Tensor) -> Tensor:
    """Latents of the VAE as the transformer takes them."""
    return _torch.zimage_for_transformer(latents)


def as_image(decoded: Tensor) -> Tensor:
    """What the VAE gave as batch x height x width x 3, from 0 to 1."""
    return _torch.zimage_as_image(decoded)


def as_bytes(image: Tensor) -> Tensor:
    """An image as uint8, cut off and not rounded, as ComfyUI saves it."""
    return _torch.zimage_as_bytes(image)
