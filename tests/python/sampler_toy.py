"""The model and the runs of goldens/comfyui_samplers.json: what is sampled, not how."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sampler_formulas as formulas
import torch

GOLDENS = Path(__file__).with_name("goldens") / "comfyui_samplers.json"
SEED = 7
SHIFT = 3.0
NAMES = (
    "euler",
    "dpmpp_2m",
    "res_multistep",
    "euler_ancestral",
    "heun",
    "heunpp2",
    "dpm_2",
    "dpmpp_2s_ancestral",
    "dpmpp_sde",
    "dpmpp_2m_sde",
    "dpmpp_3m_sde",
    "lcm",
    "ipndm",
    "deis",
    "ddim",
    "uni_pc",
    "uni_pc_bh2",
)
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "euler_ancestral": [{"eta": 0.5, "s_noise": 0.9}, {"eta": 0.0}],
    "heun": [{"s_churn": 3.0, "s_tmin": 0.3, "s_tmax": 8.0, "s_noise": 0.9}],
    "heunpp2": [{"s_churn": 3.0, "s_tmin": 0.3, "s_tmax": 8.0, "s_noise": 0.9}],
    "dpm_2": [{"s_churn": 3.0, "s_tmin": 0.3, "s_tmax": 8.0, "s_noise": 0.9}],
    "dpmpp_2s_ancestral": [{"eta": 0.5, "s_noise": 0.9}, {"eta": 0.0}],
    "dpmpp_sde": [{"eta": 0.5, "s_noise": 0.9, "r": 0.4}, {"eta": 0.0}],
    "dpmpp_2m_sde": [{"solver_type": "heun"}, {"eta": 0.5, "s_noise": 0.9}, {"eta": 0.0}],
    "dpmpp_3m_sde": [{"eta": 0.5, "s_noise": 0.9}, {"eta": 0.0}],
    "lcm": [{"s_noise": 0.8, "s_noise_end": 0.4, "noise_clip_std": 1.0}],
    "ipndm": [{"max_order": 2}],
    "deis": [{"max_order": 2}, {"max_order": 4}],
}


@dataclass(frozen=True)
class Run:
    """One run: of a sampler, on one of `formulas.SCHEDULES`, with options."""

    name: str
    schedule: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        options = ", ".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.name} {self.schedule} {options}".strip()

    @property
    def flow(self) -> bool:
        return not self.schedule.startswith("eps") and self.schedule != "one step to noise"

    def arguments(self) -> dict[str, Any]:
        """What ComfyUI's function of this name is called with, but for the model."""
        torch.manual_seed(SEED)
        sigmas = torch.tensor(formulas.SCHEDULES[self.schedule])
        x = torch.tensor([formulas.START]) * sigmas[0]
        common = {"extra_args": {"seed": SEED}, "disable": True}
        return {"x": x, "sigmas": sigmas, **common, **self.options}


def runs() -> list[Run]:
    """Every sampler on every schedule, and with its options on two of them."""
    plain = [
        Run(name, schedule)
        for name in NAMES
        for schedule in formulas.SCHEDULES
        if schedule != "no step"
    ]
    with_options = [
        Run(name, schedule, options)
        for name, sets in OPTIONS.items()
        for options in sets
        for schedule in ("eps to zero", "flow to zero")
    ]
    return plain + with_options


def toy_model(x: Any, sigma: Any, **_: Any) -> Any:
    """`formulas.answer` on tensors of any shape."""
    sigma = sigma.reshape(-1, *[1] * (x.ndim - 1))
    return x / (1.0 + sigma * sigma) + 0.3 * torch.sin(x + sigma) * sigma / (1.0 + sigma)


class ToyModel:
    """The toy with the model sampling that samplers look at."""

    def __init__(self, model_sampling: Any) -> None:
        self.model_sampling = model_sampling

    def __call__(self, x: Any, sigma: Any, **arguments: Any) -> Any:
        return toy_model(x, sigma, **arguments)
