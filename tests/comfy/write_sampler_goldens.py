"""Writes tests/python/goldens/comfyui_samplers.json: latents of ComfyUI's own sampler functions.

    python tests/comfy/write_sampler_goldens.py COMFYUI

Made with ComfyUI 0.33.0 and torch 2.11.0 on a CPU, in float32, by calling each function on the toy
model of tests/python/sampler_toy.py. Only its numbers are kept.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

COMFYUI = Path(sys.argv[1])
TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(COMFYUI))
sys.path.append(str(TESTS / "python"))
sys.argv = ["write_sampler_goldens", "--cpu"]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.model_sampling as model_sampling  # noqa: E402
import comfy.samplers  # noqa: E402
import sampler_toy as toy  # noqa: E402


class Flow(model_sampling.ModelSamplingDiscreteFlow, model_sampling.CONST):
    """As ComfyUI makes it for a flow model."""


class Eps(model_sampling.ModelSamplingDiscrete, model_sampling.EPS):
    """As ComfyUI makes it for Stable Diffusion."""


class AsComfyuiHasIt(toy.ToyModel):
    """The toy where ComfyUI's functions look for a model's parts."""

    def __init__(self, sampling: Any) -> None:
        super().__init__(sampling)
        self.inner_model = self.model_patcher = self

    def get_model_object(self, _: str) -> Any:
        return self.model_sampling


def main() -> None:
    flow = Flow()
    flow.set_parameters(shift=toy.SHIFT, multiplier=1.0)
    models = {True: AsComfyuiHasIt(flow), False: AsComfyuiHasIt(Eps())}
    rows = {}
    for run in toy.runs():
        function = comfy.samplers.sampler_object(run.name).sampler_function
        named = run.arguments()
        latents = function(models[run.flow], named.pop("x"), named.pop("sigmas"), **named)
        rows[run.key] = latents.flatten().tolist()
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(row)}" for key, row in rows.items())
    toy.GOLDENS.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
