"""The samplers once more, number by number in float64, straight from the papers' formulas.

`python tests/python/sampler_formulas.py` writes `goldens/samplers.json`: what the native steps are
compared with where there is no ComfyUI.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

GOLDENS = Path(__file__).with_name("goldens") / "samplers.json"
START = (-1.75, -0.5, 0.0, 0.125, 0.9375, 2.0)
# Numbers that float32 holds exactly, so that both precisions start from the same.
SCHEDULES = {
    "eps to zero": (14.5, 7.0, 3.25, 1.5, 0.625, 0.25, 0.0),
    "eps to noise": (14.5, 7.0, 3.25, 1.5, 0.625),
    "flow to zero": (1.0, 0.9375, 0.8125, 0.625, 0.375, 0.0),
    "flow to noise": (0.875, 0.75, 0.5, 0.25),
    "one step": (1.0, 0.0),
    "one step to noise": (2.0, 0.5),
    "no step": (1.0,),
}


def answer(x: float, sigma: float) -> float:
    """A toy model: smooth, not linear, another one at every sigma."""
    return x / (1.0 + sigma * sigma) + 0.3 * math.sin(x + sigma) * sigma / (1.0 + sigma)


def euler(x: float, sigmas: tuple[float, ...]) -> float:
    """arXiv:2206.00364, algorithm 2, first-order steps without churn."""
    for sigma, following in zip(sigmas, sigmas[1:], strict=False):
        x += (following - sigma) * (x - answer(x, sigma)) / sigma
    return x


def res_multistep(x: float, sigmas: tuple[float, ...]) -> float:
    """arXiv:2308.02157, the multistep method of order 2, Euler at both ends."""
    before = None
    for i in range(len(sigmas) - 1):
        sigma, following = sigmas[i], sigmas[i + 1]
        now = answer(x, sigma)
        if before is None or following == 0.0:
            x += (following - sigma) * (x - now) / sigma
        else:
            h = math.log(sigma / following)
            c2 = math.log(sigma / sigmas[i - 1]) / h
            phi1 = (1.0 - math.exp(-h)) / h
            phi2 = (1.0 - phi1) / h
            x = math.exp(-h) * x + h * ((phi1 - phi2 / c2) * now + phi2 / c2 * before)
        before = now
    return x


def dpmpp_2m(x: float, sigmas: tuple[float, ...]) -> float:
    """arXiv:2211.01095, algorithm 2 with alpha = 1."""
    before = None
    for i in range(len(sigmas) - 1):
        sigma, following = sigmas[i], sigmas[i + 1]
        now = taken = answer(x, sigma)
        if before is not None and following != 0.0:
            r = math.log(sigmas[i - 1] / sigma) / math.log(sigma / following)
            taken = (1.0 + 0.5 / r) * now - 0.5 / r * before
        x = following / sigma * x + (1.0 - following / sigma) * taken
        before = now
    return x


FORMULAS: dict[str, Callable[[float, tuple[float, ...]], float]] = {
    "euler": euler,
    "res_multistep": res_multistep,
    "dpmpp_2m": dpmpp_2m,
}


def computed() -> dict[str, Any]:
    """Every sampler on every schedule: sampler, then schedule, then the latents at the end."""
    return {
        sampler: {
            name: [formula(x * sigmas[0], sigmas) for x in START]
            for name, sigmas in SCHEDULES.items()
        }
        for sampler, formula in FORMULAS.items()
    }


if __name__ == "__main__":
    GOLDENS.parent.mkdir(exist_ok=True)
    GOLDENS.write_text(json.dumps(computed(), indent=1) + "\n", encoding="utf-8")
