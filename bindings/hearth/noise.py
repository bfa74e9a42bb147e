"""The noise that samplers draw at each step.

A source is called as ComfyUI's are: `noise(sigma, sigma_next)` gives a tensor like the latents. The
native samplers give each sigma as a number too, so that no source has to read it from a device:
`noise.between((value, sigma), (value, sigma_next))`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from hearth.errors import HearthError

Tensor = Any
Level = tuple[float, Tensor]
"""A noise level as a number and as a tensor without dimensions."""
NoiseSampler = Callable[[Tensor, Tensor], Tensor]


def seeded(x: Tensor, seed: int | None = None) -> NoiseSampler:
    """Independent noise like `x` from a generator of its own; from torch's global one without seed.

    On the CPU the seed is one higher, as in ComfyUI 0.33: the start noise of an image is drawn
    there with the seed itself, and would come a second time.
    """
    generator = None
    if seed is not None:
        generator = torch.Generator(device=x.device)
        generator.manual_seed(seed + 1 if x.device.type == "cpu" else seed)

    def draw(sigma: Tensor, sigma_next: Tensor) -> Tensor:
        return torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)

    return draw


class BrownianNoise:
    """Increments of one Brownian path over sigma, scaled to unit variance: the noise of two runs is
    the same where their schedules meet, however they are divided. Drawn on the CPU by torchsde.

    Li et al., "Scalable Gradients for Stochastic Differential Equations" (2020), arXiv:2001.01328,
    section 4 (virtual Brownian tree).
    """

    def __init__(self, x: Tensor, low: float, high: float, seed: int | None = None) -> None:
        """Between the levels `low` and `high`. Raises HearthError where torchsde is missing."""
        if seed is None:
            seed = int(torch.randint(0, 2**63 - 1, ()))
        start = torch.zeros(x.shape, dtype=x.dtype)
        self._tree = _torchsde().BrownianTree(_time(low), start, _time(high), entropy=seed)

    def between(self, start: Level, end: Level) -> Tensor:
        """The noise for the way between two levels, in either direction; like the second tensor."""
        low, high = sorted((start[0], end[0]))
        sign = 1 if start[0] < end[0] else -1
        increment = self._tree(_time(low), _time(high)).to(end[1]) * sign
        return increment / (end[1] - start[1]).abs().sqrt()

    def __call__(self, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        """The same from tensors alone, which are read to the host."""
        return self.between((float(sigma), sigma), (float(sigma_next), sigma_next))


def _time(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float32)


def _torchsde() -> Any:
    try:
        return importlib.import_module("torchsde")
    except ImportError as error:
        raise HearthError(
            "Samplers with _sde in their names need the package torchsde, which is not installed: "
            "pip install torchsde. Or take another sampler."
        ) from error
