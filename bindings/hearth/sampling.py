"""Samplers with native steps, called as ComfyUI calls its sampler functions.

Importing this imports torch; `hearth.errors.NativeUnavailable` says why there is no native module
for it. The formulas and their sources are in `cpp/sampling`.

Some samplers step otherwise for flow models. What a model is, is read from its model sampling:
`model.model_sampling`, or where ComfyUI has it in the models that it gives to samplers; without one
the model is none of flow. It is a flow model's if its attribute `flow` says so
(`hearth.schedules.FlowLevels`), or if it is of ComfyUI's class CONST; it then has
`percent_to_sigma(share)`.
"""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hearth import noise as noises
from hearth._native_torch import _torch

Tensor = Any
ProgressBar = Callable[..., Any]
SeededNoise = Callable[..., noises.NoiseSampler]

_CHURN = {"s_churn": 0.0, "s_tmin": 0.0, "s_tmax": math.inf, "s_noise": 1.0}
_ANCESTRAL = {"eta": 1.0, "s_noise": 1.0, "noise_sampler": None}
# What each function takes beside the common arguments, with ComfyUI's defaults.
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "euler": _CHURN,
    "euler_ancestral": _ANCESTRAL,
    "heun": _CHURN,
    "heunpp2": _CHURN,
    "dpm_2": _CHURN,
    "dpmpp_2s_ancestral": _ANCESTRAL,
    "dpmpp_sde": {**_ANCESTRAL, "r": 0.5},
    "dpmpp_2m": {},
    "dpmpp_2m_sde": {**_ANCESTRAL, "solver_type": "midpoint"},
    "dpmpp_3m_sde": _ANCESTRAL,
    "lcm": {"noise_sampler": None, "s_noise": 1.0, "s_noise_end": None, "noise_clip_std": 0.0},
    "ipndm": {"max_order": 4},
    "deis": {"max_order": 3, "deis_mode": "tab"},
    # It never asks the noise sampler: only the ancestral form draws noise.
    "res_multistep": {"s_noise": 1.0, "noise_sampler": None},
    "ddim": _CHURN,
    "uni_pc": {},
    "uni_pc_bh2": {},
}
_BROWNIAN = frozenset({"dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde"})
_SEEDED = frozenset({"euler_ancestral", "dpmpp_2s_ancestral", "lcm"})
_UNI_PC = frozenset({"uni_pc", "uni_pc_bh2"})
_UNI_PC_END = 0.001
# How far the samplers over the log-SNR of a flow model move a first level of 1, as a share of the
# way: ComfyUI's.
_FIRST_SHARE = 1e-4
_REQUIRED = ("model", "x", "sigmas")
_OPTIONAL = ("extra_args", "callback", "disable")


@dataclass(frozen=True)
class _Call:
    """The arguments of one run."""

    model: Any
    x: Tensor
    sigmas: Tensor
    extra_args: Mapping[str, Any]
    options: dict[str, Any]
    sampling: Any
    """The model's sampling, or None."""

    @property
    def flow(self) -> bool:
        kinds = {kind.__name__ for kind in type(self.sampling).__mro__}
        return bool(getattr(self.sampling, "flow", "CONST" in kinds))


class SamplerFunction:
    """One sampler: `f(model, x, sigmas, extra_args=None, callback=None, disable=None, **options)`.

    `model(x, sigma, **extra_args)` answers with the denoised latents, sigma given once per sample
    of the batch. A model with `at_level(x, value, sigma)` is asked by that: the level as a number
    of the host's and as a tensor without dimensions, so that nobody waits for a device. `x` has any
    shape that begins with the batch; `sigmas` is a row of noise levels.
    `callback` gets `{"x", "i", "sigma", "sigma_hat", "denoised"}` each step, sigmas as tensors
    without dimensions. `disable` is tqdm's. Noise is drawn from `extra_args["seed"]`, or by
    `noise_sampler(sigma, sigma_next)`. Returns the latents after the last step, or `x` itself
    when there is no step. What the model or the callback raises comes back as it was raised.
    Throws TypeError for an argument that ComfyUI's function of this name does not take.

    `uni_pc` and `uni_pc_bh2` write 0.001 over a last level of 0, as ComfyUI's do: a flow model's
    latents are then divided by 1 - 0.001 by those who go by the schedule.
    """

    def __init__(self, name: str, progress: ProgressBar, seeded_noise: SeededNoise) -> None:
        self.name = name
        self.__name__ = f"sample_{name}"
        self.__signature__ = _signature(_OPTIONS[name])
        self._progress = progress
        self._seeded_noise = seeded_noise

    def __call__(self, *arguments: Any, **named: Any) -> Tensor:
        """Runs the sampler from the first sigma to the last."""
        bound = self.__signature__.bind(*arguments, **named)
        bound.apply_defaults()
        model, x, sigmas, extra_args, callback, disable = bound.args[:6]
        if len(sigmas) < 2:
            return x
        options = dict(zip(_OPTIONS[self.name], bound.args[6:], strict=True))
        call = _Call(model, x, sigmas, extra_args or {}, options, _model_sampling(model))
        sampler = _torch.Sampler(self.name, self._native_options(call))
        with self._progress(len(sigmas) - 1, disable=disable) as bar:

            def observe(i: int, x: Tensor, *levels_and_answer: Tensor) -> None:
                if callback is not None:
                    callback(_report(i, x, *levels_and_answer))
                bar.update()

            calls = _torch.SamplerCalls(
                _denoise(call), observe, self._noise(call), self._renoise(call)
            )
            latents = sampler.sample(x, sigmas, calls)
        if self.name in _UNI_PC:
            sigmas[-1].clamp_(min=_UNI_PC_END)
        return latents

    def _native_options(self, call: _Call) -> Any:
        options = _torch.SamplerOptions()
        options.flow = call.flow
        for name, value in call.options.items():
            if name != "noise_sampler":
                setattr(options, name, value)
        if call.flow and "eta" in call.options:
            options.s_noise *= getattr(call.sampling, "noise_scale", 1.0)
        if call.flow and self.name in _BROWNIAN:
            options.first_flow_level = float(call.sampling.percent_to_sigma(_FIRST_SHARE))
        return options

    def _noise(self, call: _Call) -> Callable[..., Tensor] | None:
        draw = call.options.get("noise_sampler")
        seed = call.extra_args.get("seed")
        if draw is None and self.name in _BROWNIAN:
            low, high = call.sigmas[call.sigmas > 0].min(), call.sigmas.max()
            return noises.BrownianNoise(call.x, float(low), float(high), seed).between
        if draw is None and self.name in _SEEDED:
            draw = self._seeded_noise(call.x, seed=seed)
        return None if draw is None else _from_tensors(draw)

    def _renoise(self, call: _Call) -> Callable[..., Tensor] | None:
        return getattr(call.sampling, "noise_scaling", None) if self.name == "lcm" else None

    def __repr__(self) -> str:
        return f"<hearth sampler {self.name}>"


def functions(
    progress: ProgressBar | None = None, *, seeded_noise: SeededNoise = noises.seeded
) -> dict[str, SamplerFunction]:
    """Every native sampler by ComfyUI's name.

    `progress(total, disable=...)` makes the bar of a run; tqdm's `trange` when it is not given.
    `seeded_noise(x, seed=...)` makes the `noise_sampler` of the samplers whose noise is independent
    from step to step.
    """
    bar = progress or importlib.import_module("tqdm.auto").trange
    return {name: SamplerFunction(name, bar, seeded_noise) for name in _torch.Sampler.names()}


def torch_version() -> str:
    """Version of the torch that the native module was built against."""
    return str(_torch.torch_version())


def _model_sampling(model: Any) -> Any:
    """What says how the model mixes image and noise; None where nothing does."""
    own = getattr(model, "model_sampling", None)
    if own is not None:
        return own
    patcher = getattr(getattr(model, "inner_model", None), "model_patcher", None)
    return None if patcher is None else patcher.get_model_object("model_sampling")


def _denoise(call: _Call) -> Callable[[Tensor, noises.Level], Tensor]:
    at_level = getattr(call.model, "at_level", None)
    if at_level is not None:
        return lambda x, level: at_level(x, *level)
    ones = call.x.new_ones([call.x.shape[0]])

    def denoise(x: Tensor, level: noises.Level) -> Tensor:
        return call.model(x, level[1] * ones, **call.extra_args)

    return denoise


def _from_tensors(draw: noises.NoiseSampler) -> Callable[[noises.Level, noises.Level], Tensor]:
    return lambda start, end: draw(start[1], end[1])


def _report(
    i: int, x: Tensor, sigma: Tensor, sigma_hat: Tensor, denoised: Tensor
) -> dict[str, Any]:
    return {"x": x, "i": i, "sigma": sigma, "sigma_hat": sigma_hat, "denoised": denoised}


def _signature(options: Mapping[str, Any]) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    defaults = {**dict.fromkeys(_OPTIONAL), **options}
    required = [inspect.Parameter(name, kind) for name in _REQUIRED]
    optional = [inspect.Parameter(name, kind, default=value) for name, value in defaults.items()]
    return inspect.Signature(required + optional)
