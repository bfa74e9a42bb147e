"""Noise schedules by ComfyUI's names: the noise levels that a sampler steps through.

    sigmas = schedules.sigmas("beta", 8, shift=3.0)                   # a flow model
    sigmas = schedules.schedule("karras", 20, model_sampling)         # what ComfyUI's models carry
    sigmas = schedules.schedule("normal", 20, schedules.DiscreteLevels(levels))

A schedule is a row of float32 in host memory, noisiest first, and ends in 0. `beta` needs scipy.
Importing this imports torch and no native module.
"""

from __future__ import annotations

import difflib
import importlib
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from hearth.errors import HearthError

Tensor = Any

_WHOLE = 0.9999  # above this ComfyUI takes a run for a whole one
_NEAR_ZERO = 1e-5
_FLOW_LEVELS = 1000


class ModelSampling(Protocol):
    """What a schedule reads of a model; ComfyUI's `model_sampling` objects have it."""

    sigmas: Tensor
    """Every level that the model was trained on, lowest first."""

    @property
    def sigma_min(self) -> Tensor: ...

    @property
    def sigma_max(self) -> Tensor: ...

    def timestep(self, sigma: Tensor) -> Tensor:
        """The model's time at this level."""

    def sigma(self, timestep: Tensor) -> Tensor:
        """The level at this time."""


class FlowLevels:
    """A flow model's levels, from 0.001 to 1, moved towards noise by `shift`.

    sigma = a t / (1 + (a - 1) t): Esser et al., "Scaling Rectified Flow Transformers" (2024),
    arXiv:2403.03206, equation 23. `multiplier` is what the model's time is at t = 1.
    """

    flow = True

    def __init__(self, shift: float = 1.0, multiplier: float = 1.0) -> None:
        self.shift = shift
        self.multiplier = multiplier
        t = torch.arange(1, _FLOW_LEVELS + 1) / _FLOW_LEVELS
        self.sigmas = self.sigma(t * multiplier)

    @property
    def sigma_min(self) -> Tensor:
        return self.sigmas[0]

    @property
    def sigma_max(self) -> Tensor:
        return self.sigmas[-1]

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma * self.multiplier

    def sigma(self, timestep: Tensor) -> Tensor:
        return self._shifted(timestep / self.multiplier)

    def percent_to_sigma(self, percent: float) -> float:
        """The level when this share of the way from noise (0) to image (1) is done."""
        return float(self._shifted(1.0 - min(max(percent, 0.0), 1.0)))

    def _shifted(self, t: Any) -> Any:
        if self.shift == 1.0:
            return t
        return self.shift * t / (1 + (self.shift - 1) * t)


class DiscreteLevels:
    """The levels of a model with numbered times (Stable Diffusion's are 1000), lowest first.

    Between two of them the logarithm of the level is interpolated. Levels of float64 are rounded
    after the logarithm, as ComfyUI does it.
    """

    flow = False

    def __init__(self, sigmas: Tensor) -> None:
        levels = sigmas.detach().to("cpu")
        self.sigmas = levels.to(torch.float32)
        self._logarithms = levels.log().to(torch.float32)

    @property
    def sigma_min(self) -> Tensor:
        return self.sigmas[0]

    @property
    def sigma_max(self) -> Tensor:
        return self.sigmas[-1]

    def timestep(self, sigma: Tensor) -> Tensor:
        return (sigma.log() - self._logarithms).abs().argmin()

    def sigma(self, timestep: Tensor) -> Tensor:
        time = timestep.float().clamp(0, len(self.sigmas) - 1)
        below, above = self._logarithms[time.floor().long()], self._logarithms[time.ceil().long()]
        share = time.frac()
        return ((1 - share) * below + share * above).exp()


def sigmas(scheduler: str, steps: int, *, shift: float = 3.0, denoise: float = 1.0) -> Tensor:
    """steps + 1 noise levels of a flow model with this shift; float32 in host memory.

    `ddim_uniform` may give more and `beta`, which drops what it would give twice, fewer. `denoise`
    and errors as `schedule` has them.
    """
    return schedule(scheduler, steps, FlowLevels(shift), denoise)


def schedule(
    name: str, steps: int, model_sampling: ModelSampling | Tensor, denoise: float = 1.0
) -> Tensor:
    """The noise levels of a run by the schedule of this name.

    `model_sampling` is the model's, or a row of levels, lowest first. With `denoise` below 1 the
    last `steps` steps of a run of steps / denoise; an empty row for 0 and for no steps. Raises
    HearthError for a name that is not in NAMES, for negative steps, and where scipy is missing.
    """
    make = _SCHEDULES.get(name)
    if make is None:
        raise HearthError(_unknown(name))
    if steps < 0:
        raise HearthError(f"A run cannot have {steps} steps.")
    if steps == 0 or denoise <= 0.0:
        return torch.empty(0)
    if isinstance(model_sampling, torch.Tensor):
        model_sampling = DiscreteLevels(model_sampling)
    if denoise > _WHOLE:
        return make(model_sampling, steps)
    return make(model_sampling, int(steps / denoise))[-(steps + 1) :]


def for_sampler(
    sampler: str,
    name: str,
    steps: int,
    model_sampling: ModelSampling | Tensor,
    denoise: float = 1.0,
) -> Tensor:
    """The noise levels that ComfyUI's KSampler gives this sampler: `schedule`, but for those in
    SKIPS_LAST_LEVEL one step more and without the last level above 0."""
    if sampler not in SKIPS_LAST_LEVEL:
        return schedule(name, steps, model_sampling, denoise)
    if steps <= 0 or denoise <= 0.0:
        return schedule(name, steps, model_sampling, denoise)
    all_steps = steps if denoise > _WHOLE else int(steps / denoise)
    row = schedule(name, all_steps + 1, model_sampling)
    return torch.cat([row[:-2], row[-1:]])[-(steps + 1) :]


SKIPS_LAST_LEVEL = frozenset({"dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"})
"""Samplers for which KSampler leaves out the last level above 0."""


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, NAMES, n=1)
    hint = f'; did you mean "{near[0]}"?' if near else "."
    return f'hearth has no schedule "{name}"{hint} It has: {", ".join(NAMES)}.'


def _to_zero(levels: list[float]) -> Tensor:
    return torch.tensor([*levels, 0.0], dtype=torch.float32)


def _simple(model: ModelSampling, steps: int) -> Tensor:
    """Levels at equal distances in the model's list, from the noisiest on."""
    count = len(model.sigmas)
    return _to_zero([float(model.sigmas[-1 - int(i * (count / steps))]) for i in range(steps)])


def _ddim_uniform(model: ModelSampling, steps: int) -> Tensor:
    """Every k-th level from the second-lowest on: the times of Song et al., "Denoising Diffusion
    Implicit Models" (2020), arXiv:2010.02502, section 4.2 and appendix D.2."""
    if abs(float(model.sigmas[1])) <= _NEAR_ZERO:  # a model with its own 0 at the end
        stride = max(len(model.sigmas) // (steps + 1), 1)
        return model.sigmas[1::stride].flip(0).to("cpu", torch.float32)
    stride = max(len(model.sigmas) // steps, 1)
    return _to_zero([float(level) for level in model.sigmas[1::stride].flip(0)])


def _even_times(model: ModelSampling, count: int) -> list[float]:
    """The levels at `count` times from the noisiest to the cleanest, both included."""
    ends = [float(model.timestep(end)) for end in (model.sigma_max, model.sigma_min)]
    # One by one: a row of them may be rounded otherwise than each for itself.
    return [float(model.sigma(time)) for time in torch.linspace(*ends, count)]


def _normal(model: ModelSampling, steps: int) -> Tensor:
    """Equal distances in the model's time, both ends included."""
    end = torch.as_tensor(model.timestep(model.sigma_min))
    if abs(float(model.sigma(end))) <= _NEAR_ZERO:  # the last level is 0 already
        return torch.tensor(_even_times(model, steps + 1), dtype=torch.float32)
    return _to_zero(_even_times(model, steps))


def _sgm_uniform(model: ModelSampling, steps: int) -> Tensor:
    """Equal distances in the model's time, the cleanest end left out."""
    return _to_zero(_even_times(model, steps + 1)[:-1])


def _beta(model: ModelSampling, steps: int) -> Tensor:
    """Quantiles of the beta distribution with a = b = 0.6 as places in the list of levels: Lee et
    al., "Beta Sampling is All You Need" (2024), arXiv:2407.12173."""
    shares = [1 - i * (1.0 / steps) for i in range(steps)]
    quantiles = _scipy_beta().ppf(shares, 0.6, 0.6)
    top = len(model.sigmas) - 1
    places = [round(float(quantile) * top) for quantile in quantiles]
    kept = [place for i, place in enumerate(places) if i == 0 or place != places[i - 1]]
    return _to_zero([float(model.sigmas[place]) for place in kept])


def _scipy_beta() -> Any:
    try:
        return importlib.import_module("scipy.stats").beta
    except ImportError as error:
        raise HearthError(
            "The schedule beta needs the package scipy, which is not installed: pip install scipy. "
            "Or take another schedule."
        ) from error


def _linear_quadratic(model: ModelSampling, steps: int) -> Tensor:
    """First half linear, down by 2.5 %, second half a parabola that goes on with the same slope to
    0: Mochi 1's schedule (Genmo, 2024) and "Movie Gen" (Meta, 2024), arXiv:2410.13720."""
    drop, half = 0.025, steps // 2
    if half == 0:
        done = [0.0]
    else:
        slope = drop / half
        bend = (half - drop * steps) / (half * (steps - half) ** 2)
        done = [slope * i + bend * max(i - half, 0) ** 2 for i in range(steps)]
    row = _to_zero([1.0 - share for share in done])
    return row * torch.as_tensor(model.sigma_max).to("cpu")


def _karras(model: ModelSampling, steps: int) -> Tensor:
    """Equal distances in sigma^(1/7): Karras et al., "Elucidating the Design Space of
    Diffusion-Based Generative Models" (2022), arXiv:2206.00364, equation 5."""
    rho = 7.0
    high, low = (float(end) ** (1 / rho) for end in (model.sigma_max, model.sigma_min))
    return _with_zero((high + torch.linspace(0, 1, steps) * (low - high)) ** rho)


def _exponential(model: ModelSampling, steps: int) -> Tensor:
    """Equal distances in ln sigma: the limit of equation 5 there for a large rho."""
    high, low = (math.log(float(end)) for end in (model.sigma_max, model.sigma_min))
    return _with_zero(torch.linspace(high, low, steps).exp())


def _kl_optimal(model: ModelSampling, steps: int) -> Tensor:
    """Equal distances in arctan sigma: Sabour et al., "Align Your Steps" (2024), arXiv:2404.14507,
    the optimum for Gaussian data. For one step the noisiest level."""
    high, low = (math.atan(float(end)) for end in (model.sigma_max, model.sigma_min))
    share = torch.arange(steps, dtype=torch.float32) / max(steps - 1, 1)
    return _with_zero((share * low + (1 - share) * high).tan())


def _with_zero(row: Tensor) -> Tensor:
    return torch.cat([row, row.new_zeros(1)])


_SCHEDULES: Mapping[str, Callable[[Any, int], Tensor]] = {
    "simple": _simple,
    "sgm_uniform": _sgm_uniform,
    "karras": _karras,
    "exponential": _exponential,
    "ddim_uniform": _ddim_uniform,
    "beta": _beta,
    "normal": _normal,
    "linear_quadratic": _linear_quadratic,
    "kl_optimal": _kl_optimal,
}
NAMES = tuple(_SCHEDULES)
"""Every schedule there is, in ComfyUI's order."""
