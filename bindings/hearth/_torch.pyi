"""Made by `./dev stubs` from the built module; do not edit."""

"""
What hearth computes on tensors: the steps of samplers, and Z-Image.
"""
from __future__ import annotations
import collections.abc
import hearth._core
import os
import torch
import typing
__all__: list[str] = ['CheckpointTensors', 'EmbeddingCache', 'EngineLease', 'EngineRequest', 'Sampler', 'SamplerCalls', 'SamplerOptions', 'VelocityPrograms', 'ZImageDenoiser', 'ZImagePrompt', 'ZImageSampling', 'ZImageStepwiseVelocity', 'ZImageTextEncoder', 'ZImageTransformer', 'ZImageVaeDecoder', 'acquire_engine_model', 'native_api', 'torch_version', 'velocity_programs', 'zimage_as_bytes', 'zimage_as_image', 'zimage_for_transformer', 'zimage_for_vae', 'zimage_levels', 'zimage_noise', 'zimage_simple_sigmas']
class SamplerOptions:
    """
    ComfyUI's options with its defaults; a sampler reads those it has.
    """
    deis_mode: str
    flow: bool
    solver_type: str
    def __init__(self) -> None:
        ...
    @property
    def eta(self) -> float:
        ...
    @eta.setter
    def eta(self, arg0: typing.SupportsFloat) -> None:
        ...
    @property
    def first_flow_level(self) -> float:
        ...
    @first_flow_level.setter
    def first_flow_level(self, arg0: typing.SupportsFloat) -> None:
        ...
    @property
    def max_order(self) -> int:
        ...
    @max_order.setter
    def max_order(self, arg0: typing.SupportsInt) -> None:
        ...
    @property
    def noise_clip_std(self) -> float:
        ...
    @noise_clip_std.setter
    def noise_clip_std(self, arg0: typing.SupportsFloat) -> None:
        ...
    @property
    def r(self) -> float:
        ...
    @r.setter
    def r(self, arg0: typing.SupportsFloat) -> None:
        ...
    @property
    def s_churn(self) -> float:
        ...
    @s_churn.setter
    def s_churn(self, arg0: typing.SupportsFloat) -> None:
        ...
    @property
    def s_noise(self) -> float:
        ...
    @s_noise.setter
    def s_noise(self, arg0: typing.SupportsFloat) -> None:
        ...
    @property
    def s_noise_end(self) -> float | None:
        ...
    @s_noise_end.setter
    def s_noise_end(self, arg0: typing.SupportsFloat | None) -> None:
        ...
    @property
    def s_tmax(self) -> float:
        ...
    @s_tmax.setter
    def s_tmax(self, arg0: typing.SupportsFloat) -> None:
        ...
    @property
    def s_tmin(self) -> float:
        ...
    @s_tmin.setter
    def s_tmin(self, arg0: typing.SupportsFloat) -> None:
        ...
class SamplerCalls:
    """
    Whom a run of a sampler asks.
    """
    def __init__(self, denoise: collections.abc.Callable, observe: collections.abc.Callable, noise: typing.Any = None, renoise: typing.Any = None) -> None:
        """
        denoise(x, sigma) and, when it has answered, observe(index, x, sigma, sigma_hat,
        denoised); noise((value, sigma), (value, next_sigma)); renoise(sigma, noise, clean).
        Sigmas are tensors without dimensions, values the same as numbers.
        """
class Sampler:
    """
    A sampler by ComfyUI's name; may be used by any thread.
    """
    @staticmethod
    def names() -> list[str]:
        """
        Every name there is.
        """
    def __init__(self, name: str, options: SamplerOptions) -> None:
        """
        Raises HearthError, with the nearest name, for a sampler that hearth does not have,
        and for an option that has no such value.
        """
    def sample(self, x: torch.Tensor, sigmas: torch.Tensor, calls: SamplerCalls) -> torch.Tensor:
        """
        The latents after the last step.
        """
class CheckpointTensors:
    """
    The tensors of one model, by the names of its file.
    """
    @staticmethod
    def of(name: str, tensors: collections.abc.Mapping[str, torch.Tensor]) -> CheckpointTensors:
        """
        Tensors that somebody else owns; the name must differ for different ones.
        """
    def __contains__(self, name: str) -> bool:
        ...
    def __getitem__(self, name: str) -> torch.Tensor:
        """
        Raises KeyError.
        """
    def __init__(self, paths: collections.abc.Sequence[os.PathLike | str | bytes]) -> None:
        """
        Views of held files: one, or the shards of one model. Read-only: writing ends the
        process. Raises CheckpointNotFoundError and CheckpointCorruptError.
        """
    def __len__(self) -> int:
        ...
    def looks_like(self) -> str:
        """
        What kind of file it is by its names, for people; empty when unknown.
        """
    def names(self) -> list[str]:
        """
        Sorted.
        """
    def require_sound(self) -> None:
        """
        Raises CheckpointCorruptError when the files are no longer what was held; to be asked
        after work, before its result is used.
        """
    @property
    def identity(self) -> str:
        """
        Equal for equal bytes only.
        """
    @property
    def name(self) -> str:
        """
        The file's, for people.
        """
class ZImagePrompt:
    """
    What an image is to show, as embeddings.
    """
    def __init__(self, positive: torch.Tensor, negative: torch.Tensor | None = None, guidance: typing.SupportsFloat = 1.0) -> None:
        """
        The negative one is looked at with a guidance other than 1 only.
        """
class ZImageSampling:
    """
    What one run of a sampler begins with.
    """
    def __init__(self, sampler: str, sigmas: torch.Tensor, noise: torch.Tensor, start: torch.Tensor | None = None) -> None:
        """
        `start`: latents in the transformer's format; None: empty ones.
        """
class VelocityPrograms:
    """
    The steps of a transformer that are recorded by their shape.
    """
    def __len__(self) -> int:
        ...
    def record_by(self, recorder: collections.abc.Callable[[collections.abc.Callable[[], None]], collections.abc.Callable[[], None]]) -> None:
        """
        `recorder(compute)` answers with what is called in the place of `compute`.
        """
class ZImageTransformer:
    """
    S3-DiT; may be used by any thread.
    """
    def __init__(self, tensors: CheckpointTensors, *, compute_type: torch.dtype, device: torch.device, qk_norm_eps: typing.SupportsFloat, fused: bool = False) -> None:
        """
        `fused`: with the kernels of its device, if any. Raises CheckpointMismatchError.
        """
    def sample(self, prompt: ZImagePrompt, request: ZImageSampling, observe: typing.Any = None) -> torch.Tensor:
        """
        Latents in the transformer's format, float32. Calls observe(index, x, denoised).
        """
    @property
    def caption_width(self) -> int:
        ...
    @property
    def channels(self) -> int:
        ...
class ZImageDenoiser:
    """
    The denoiser of one image; what no step changes is computed once.
    """
    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """
        The estimate of the clean latents. `sigma`: without dimensions.
        """
    def __init__(self, transformer: ZImageTransformer, prompt: ZImagePrompt, latents: torch.Tensor, sigmas: torch.Tensor, programs: VelocityPrograms | None = None) -> None:
        """
        `latents` for their size only. `programs`: of the same transformer; then one thread at a time.
        """
    def at_level(self, x: torch.Tensor, value: typing.SupportsFloat, sigma: torch.Tensor) -> torch.Tensor:
        """
        The same without waiting for the device: `value` is what is in `sigma`.
        """
class ZImageStepwiseVelocity:
    """
    The velocity step by step; what no step changes is computed once.
    """
    def __call__(self, x: torch.Tensor, level: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """
        float32. `level`: of one element. One thread at a time; the embedding is kept.
        """
    def __init__(self, transformer: ZImageTransformer, schedule: torch.Tensor | None = None) -> None:
        """
        `schedule`: the noise levels that are to come.
        """
class ZImageTextEncoder:
    """
    Qwen3 as Z-Image uses it.
    """
    def __init__(self, tensors: CheckpointTensors, *, compute_type: torch.dtype, device: torch.device) -> None:
        """
        Raises CheckpointMismatchError.
        """
    def encode(self, tokens: torch.Tensor) -> torch.Tensor:
        """
        batch x tokens of int64 to batch x tokens x width of float32.
        """
    @property
    def identity(self) -> str:
        ...
    @property
    def width(self) -> int:
        ...
class EmbeddingCache:
    """
    The embeddings of the last prompts.
    """
    def __init__(self, max_entries: typing.SupportsInt) -> None:
        ...
    def encode(self, encoder: ZImageTextEncoder, tokens: collections.abc.Sequence[typing.SupportsInt]) -> torch.Tensor:
        """
        1 x tokens x width; not to be written to.
        """
    @property
    def stats(self) -> dict:
        ...
class ZImageVaeDecoder:
    """
    The decoder of Flux's autoencoder.
    """
    def __init__(self, tensors: CheckpointTensors, *, compute_type: torch.dtype, device: torch.device, fused: bool = False) -> None:
        """
        `fused`: with the kernels of its device, if any. Raises CheckpointMismatchError.
        """
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """
        Latents as zimage_for_vae gives them, to batch x 3 x height x width, -1 to 1.
        """
    @property
    def channels(self) -> int:
        ...
    @property
    def scale(self) -> int:
        ...
class EngineRequest:
    """
    What a model of the engine is asked for by.
    """
    compute_type: torch.dtype
    device: torch.device
    node: str
    prompt: str
    def __init__(self, kind: str, loader: str, name: str, paths: collections.abc.Sequence[os.PathLike | str | bytes]) -> None:
        """
        `kind`: of a ModelKey. `paths`: one file, or the shards of one model.
        """
    @property
    def fp8(self) -> bool:
        """
        With `fused`: a transformer's matrix products in 8-bit floats; experimental.
        """
    @fp8.setter
    def fp8(self, arg1: bool) -> None:
        ...
    @property
    def fused(self) -> bool:
        """
        On a GPU: fewer passes over memory, with fewer roundings than ComfyUI's.
        """
    @fused.setter
    def fused(self, arg0: bool) -> None:
        ...
    @property
    def key(self) -> hearth._core.ModelKey:
        """
        What the model is called in the cache, its files as they are now.
        """
    @property
    def options(self) -> str:
        """
        Every other input of the loader, as one text.
        """
    @options.setter
    def options(self, arg0: str) -> None:
        ...
class EngineLease:
    """
    A model in use: it or a part of it being alive, nothing evicts it.
    """
    def require_sound(self) -> None:
        """
        Raises CheckpointCorruptError when the files are no longer what was loaded.
        """
    @property
    def cached(self) -> bool:
        ...
    @property
    def key(self) -> hearth._core.ModelKey:
        ...
    @property
    def programs(self) -> VelocityPrograms:
        ...
    @property
    def text_encoder(self) -> ZImageTextEncoder:
        ...
    @property
    def transformer(self) -> ZImageTransformer:
        ...
    @property
    def vae(self) -> ZImageVaeDecoder:
        ...
    @property
    def was_hit(self) -> bool:
        ...
def acquire_engine_model(request: EngineRequest) -> EngineLease:
    """
    Through the process's cache; loaded first if absent, on the runtime's executor.
    """
def native_api() -> str:
    """
    Hash of the stub file this module was built with.
    """
def torch_version() -> str:
    """
    Version of the torch this module was built against.
    """
def velocity_programs(transformer: ZImageTransformer) -> VelocityPrograms:
    """
    The programs of a transformer, none yet.
    """
def zimage_as_bytes(image: torch.Tensor) -> torch.Tensor:
    """
    uint8, cut off and not rounded.
    """
def zimage_as_image(decoded: torch.Tensor) -> torch.Tensor:
    """
    batch x height x width x 3, 0 to 1.
    """
def zimage_for_transformer(latents: torch.Tensor) -> torch.Tensor:
    """
    From the VAE's format.
    """
def zimage_for_vae(latents: torch.Tensor) -> torch.Tensor:
    """
    From the transformer's format.
    """
def zimage_levels(shift: typing.SupportsFloat) -> torch.Tensor:
    """
    The 1000 noise levels, lowest first.
    """
def zimage_noise(shape: collections.abc.Sequence[typing.SupportsInt], seed: typing.SupportsInt) -> torch.Tensor:
    """
    The noise of ComfyUI's samplers for this seed.
    """
def zimage_simple_sigmas(shift: typing.SupportsFloat, steps: typing.SupportsInt, denoise: typing.SupportsFloat = 1.0) -> torch.Tensor:
    """
    ComfyUI's schedule `simple`.
    """
