"""Writes tests/python/goldens/comfyui_schedules.json: the numbers of ComfyUI's own schedules.

    python tests/comfy/write_schedule_goldens.py COMFYUI

Made with ComfyUI 0.33.0, by `comfy.samplers.calculate_sigmas` on a flow model of shift 3
(multiplier 1) and on Stable Diffusion's levels. Only its numbers are kept. One row is left out:
`kl_optimal` of one step, which there is not a number.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

COMFYUI = Path(sys.argv[1])
GOLDENS = Path(__file__).parents[1] / "python" / "goldens" / "comfyui_schedules.json"
STEPS = (1, 2, 3, 8, 20)
sys.path.insert(0, str(COMFYUI))
sys.argv = ["write_schedule_goldens", "--cpu"]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.model_sampling  # noqa: E402
import comfy.samplers  # noqa: E402


def models() -> dict[str, Any]:
    """The two models by the names that the test knows."""
    flow = comfy.model_sampling.ModelSamplingDiscreteFlow()
    flow.set_parameters(shift=3.0, multiplier=1.0)
    return {"flow": flow, "eps": comfy.model_sampling.ModelSamplingDiscrete()}


def main() -> None:
    rows = {
        f"{kind} {name} {steps}": comfy.samplers.calculate_sigmas(model, name, steps).tolist()
        for kind, model in models().items()
        for name in comfy.samplers.SCHEDULER_NAMES
        for steps in STEPS
        if (name, steps) != ("kl_optimal", 1)
    }
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(row)}" for key, row in rows.items())
    GOLDENS.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
