"""Nodes between a prompt and finished latents. A LATENT is in the VAE's format, as ComfyUI's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from hearth import engine, sampling, schedules, step_graphs, zimage
from hearth.errors import HearthError
from hearth.headless.run_models import ModelRef
from hearth.headless.work import OnStep, Work

Tensor = Any
_PIXELS = 8  # of an image's side for each of its latents'
_CHANNELS = {"EmptyLatentImage": 4, "EmptySD3LatentImage": 16}
# ComfyUI takes one step more for these and leaves out the last noisy level.
_WITHOUT_LAST_LEVEL = ("dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2")
_WHOLE = 0.9999  # above this ComfyUI takes a run for a whole one


@dataclass(frozen=True)
class Sampling:
    """A sampler node's inputs in one form for both classes of it."""

    seed: int
    steps: int
    cfg: float
    sampler: str
    scheduler: str
    denoise: float = 1.0
    adds_noise: bool = True
    start: int = 0
    end: int = 10000
    leaves_noise: bool = False


def encode(work: Work) -> tuple[Any, ...]:
    """CLIPTextEncode: 1 x tokens x width of float32."""
    place, ref = work.run.place, work.inputs["clip"]
    encoder = work.run.models.get(ref, work.node).text_encoder
    if encoder is None:
        raise HearthError(f"{ref.file.name} has no text encoder; load one with CLIPLoader.")
    assert place.tokenizer is not None
    tokens = place.tokenizer.encode(work.inputs["text"])
    return (place.embeddings.encode(encoder, tokens),)


def zero_out(work: Work) -> tuple[Any, ...]:
    """ConditioningZeroOut: as long, and nothing in it."""
    return (torch.zeros_like(work.inputs["conditioning"]),)


def empty(work: Work) -> tuple[Any, ...]:
    """Latents of zeros: batch x channels x an eighth of the height x of the width."""
    inputs = work.inputs
    height, width = inputs["height"] // _PIXELS, inputs["width"] // _PIXELS
    return (torch.zeros(inputs["batch_size"], _CHANNELS[work.node.class_name], height, width),)


def sample(work: Work) -> tuple[Any, ...]:
    """KSampler."""
    inputs = work.inputs
    return _sampled(work, Sampling(inputs["seed"], **_common(inputs), denoise=inputs["denoise"]))


def sample_part(work: Work) -> tuple[Any, ...]:
    """KSamplerAdvanced: some steps of a schedule, with or without noise before and after."""
    inputs = work.inputs
    part = Sampling(
        inputs["noise_seed"],
        **_common(inputs),
        adds_noise=inputs["add_noise"] == "enable",
        start=inputs["start_at_step"],
        end=inputs["end_at_step"],
        leaves_noise=inputs["return_with_leftover_noise"] == "enable",
    )
    return _sampled(work, part)


def noise_levels(wanted: Sampling, shift: float) -> Tensor:
    """The levels that a sampler node steps through; a row of fewer than two: no step is done."""
    if wanted.denoise <= 0.0:
        return torch.empty(0)
    steps = wanted.steps
    whole = steps if wanted.denoise > _WHOLE else int(steps / wanted.denoise)
    extra = 1 if wanted.sampler in _WITHOUT_LAST_LEVEL else 0
    levels = schedules.sigmas(wanted.scheduler, whole + extra, shift=shift)
    if extra:
        levels = torch.cat([levels[:-2], levels[-1:]])
    if wanted.denoise <= _WHOLE:
        levels = levels[-(steps + 1) :]
    if wanted.end < len(levels) - 1:
        levels = levels[: wanted.end + 1]
        if not wanted.leaves_noise:
            levels[-1] = 0.0
    return levels[wanted.start :] if wanted.start < len(levels) - 1 else torch.empty(0)


def _common(inputs: dict[str, Any]) -> dict[str, Any]:
    return {
        "steps": inputs["steps"],
        "cfg": inputs["cfg"],
        "sampler": inputs["sampler_name"],
        "scheduler": inputs["scheduler"],
    }


def _sampled(work: Work, wanted: Sampling) -> tuple[Any, ...]:
    inputs = work.inputs
    ref: ModelRef = inputs["model"]
    model = work.run.models.get(ref, work.node)
    if model.transformer is None:
        raise HearthError(f"{ref.file.name} has no diffusion model; load one with UNETLoader.")
    latents = _with_channels(inputs["latent_image"], model.transformer.channels)
    levels = noise_levels(wanted, ref.shift)
    if len(levels) > 0:
        prompt = zimage.Prompt(
            inputs["positive"].to(ref.device), inputs["negative"].to(ref.device), wanted.cfg
        )
        run = _SamplerRun(model, prompt, levels, ref, wanted)
        latents = run(latents, work.on_step)
        model.require_sound()
    work.run.latents = latents
    return (latents,)


@dataclass
class _SamplerRun:
    model: engine.Model
    prompt: Any
    levels: Tensor
    """In host memory."""
    ref: ModelRef
    wanted: Sampling

    def __call__(self, latents: Tensor, on_step: OnStep) -> Tensor:
        """From latents to latents on the model's device, both in the VAE's format."""
        is_empty = not latents.count_nonzero()
        latents, levels = latents.to(self.ref.device), self.levels.to(self.ref.device)
        with ThreadPoolExecutor(1) as beside:
            # Drawn on the host while it has the device prepare what all steps have in common.
            drawn = beside.submit(self._noise, list(latents.shape))
            denoiser = self._denoiser(latents)
            noise = drawn.result().to(latents.device)
        start = latents if is_empty else zimage.for_transformer(latents)
        first, last = levels[0], levels[-1]
        x = first * noise + (1.0 - first) * start
        model = _FlowModel(denoiser, schedules.FlowLevels(self.ref.shift))
        function = sampling.functions(lambda total, disable=None: _Steps(total, on_step, x.device))
        arguments = {"extra_args": {"seed": self.wanted.seed}}
        found = function[self.wanted.sampler](model, x, levels, **arguments)
        return zimage.for_vae(found / (1.0 - last)).float()

    def _noise(self, shape: list[int]) -> Tensor:
        if not self.wanted.adds_noise:
            return torch.zeros(shape)
        return zimage.noise(shape, self.wanted.seed)

    def _denoiser(self, latents: Tensor) -> zimage.Denoiser:
        programs = self.model.programs
        if programs is not None:
            programs.record_by(step_graphs.recorder)
        transformer = self.model.transformer
        assert transformer is not None
        return zimage.Denoiser(transformer, self.prompt, latents, self.levels, programs)


@dataclass
class _FlowModel:
    """The model as samplers call it; some step otherwise for a flow model's levels."""

    denoiser: Any
    model_sampling: schedules.FlowLevels

    def at_level(self, x: Tensor, value: float, sigma: Tensor) -> Tensor:
        """The clean latents."""
        return self.denoiser.at_level(x, value, sigma)


class _Steps:
    """What a sampler takes for its progress bar.

    A device does its steps some time after they were sent. A step is told of when the one before it
    is done: never far from the truth, and the device always has the next one at hand.
    """

    def __init__(self, total: int, on_step: OnStep, device: torch.device) -> None:
        self._done, self._total, self._on_step = 0, total, on_step
        self._on_device = device.type == "cuda"
        self._last: torch.cuda.Event | None = None

    def __enter__(self) -> _Steps:
        self._on_step(0, self._total)
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, steps: int = 1) -> None:
        """So many more are done."""
        if self._on_device:
            self._wait_for_last()
        self._done += steps
        self._on_step(self._done, self._total)

    def _wait_for_last(self) -> None:
        if self._last is not None:
            self._last.synchronize()
        self._last = torch.cuda.Event()
        self._last.record()


def _with_channels(latents: Tensor, channels: int) -> Tensor:
    """Empty latents of another kind of model stand for empty ones of this."""
    if latents.shape[1] == channels:
        return latents
    if latents.count_nonzero():
        raise HearthError(f"latents of {latents.shape[1]} channels, and Z-Image's have {channels}.")
    return latents.new_zeros(latents.shape[0], channels, *latents.shape[2:])


FUNCTIONS: dict[str, Callable[[Work], tuple[Any, ...]]] = {
    "CLIPTextEncode": encode,
    "ConditioningZeroOut": zero_out,
    "EmptySD3LatentImage": empty,
    "EmptyLatentImage": empty,
    "KSampler": sample,
    "KSamplerAdvanced": sample_part,
    "HearthKSampler": sample,
    "HearthKSamplerAdvanced": sample_part,
}
