"""Samplers with native steps, called as ComfyUI calls its sampler functions.

Importing this imports torch; `hearth.errors.NativeUnavailable` says why there is no native module
for it. The formulas and their sources are in `cpp/sampling`.
"""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

from hearth._native_torch import _torch

Tensor = Any
ProgressBar = Callable[..., Any]

# What each function takes beside the common arguments, with ComfyUI's defaults.
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "euler": {"s_churn": 0.0, "s_tmin": 0.0, "s_tmax": math.inf, "s_noise": 1.0},
    "res_multistep": {"s_noise": 1.0, "noise_sampler": None},
    "dpmpp_2m": {},
}
# ComfyUI's function takes it and never asks it: only the ancestral form draws noise.
_UNUSED = ("noise_sampler",)
_REQUIRED = ("model", "x", "sigmas")
_OPTIONAL = ("extra_args", "callback", "disable")


class SamplerFunction:
    """One sampler: `f(model, x, sigmas, extra_args=None, callback=None, disable=None, **options)`.

    `model(x, sigma, **extra_args)` answers with the denoised latents, sigma given once per sample
    of the batch; `x` has any shape that begins with the batch; `sigmas` is a row of noise levels.
    `callback` gets `{"x", "i", "sigma", "sigma_hat", "denoised"}` each step, sigmas as tensors
    without dimensions. `disable` is tqdm's. Returns the latents after the last step, or `x` itself
    when there is no step. What the model or the callback raises comes back as it was raised.
    Throws TypeError for an argument that ComfyUI's function of this name does not take.
    """

    def __init__(self, name: str, progress: ProgressBar) -> None:
        self.name = name
        self.__name__ = f"sample_{name}"
        self.__signature__ = _signature(_OPTIONS[name])
        self._progress = progress

    def __call__(self, *arguments: Any, **named: Any) -> Tensor:
        """Runs the sampler from the first sigma to the last."""
        bound = self.__signature__.bind(*arguments, **named)
        bound.apply_defaults()
        model, x, sigmas, extra_args, callback, disable = bound.args[:6]
        names = list(_OPTIONS[self.name])
        options = dict(zip(names, bound.args[6:], strict=True))
        for name in _UNUSED:
            options.pop(name, None)
        sampler = _torch.Sampler(self.name, **options)
        ones = x.new_ones([x.shape[0]])
        with self._progress(max(len(sigmas) - 1, 0), disable=disable) as bar:

            def denoise(x: Tensor, sigma: Tensor) -> Tensor:
                return model(x, sigma * ones, **(extra_args or {}))

            def observe(i: int, x: Tensor, *levels_and_answer: Tensor) -> None:
                if callback is not None:
                    callback(_report(i, x, *levels_and_answer))
                bar.update()

            return sampler.sample(x, sigmas, denoise, observe)

    def __repr__(self) -> str:
        return f"<hearth sampler {self.name}>"


def functions(progress: ProgressBar | None = None) -> dict[str, SamplerFunction]:
    """Every native sampler by ComfyUI's name.

    `progress(total, disable=...)` makes the bar of a run; tqdm's `trange` when it is not given.
    """
    bar = progress or importlib.import_module("tqdm.auto").trange
    return {name: SamplerFunction(name, bar) for name in _torch.Sampler.names()}


def torch_version() -> str:
    """Version of the torch that the native module was built against."""
    return str(_torch.torch_version())


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
