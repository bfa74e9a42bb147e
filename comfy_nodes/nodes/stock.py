"""ComfyUI's own node classes, as hearth's nodes build on them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from .node import Inputs

# For inputs that ComfyUI gives no tooltip.
_TOOLTIPS = {
    "ckpt_name": "The checkpoint file, from models/checkpoints.",
    "unet_name": "The diffusion model file, from models/diffusion_models.",
    "weight_dtype": "The type the weights are held in; default is that of the file.",
    "clip_name": "The text encoder file, from models/text_encoders.",
    "clip_name1": "The first text encoder file, from models/text_encoders.",
    "clip_name2": "The second text encoder file, from models/text_encoders.",
    "type": "The kind of model that the text encoder is made for.",
    "device": "Where the text encoder runs; default is ComfyUI's choice.",
    "vae_name": "The VAE file, from models/vae.",
    "model": "The MODEL that denoises.",
    "add_noise": "Whether noise is added to the latent before the first step.",
    "noise_seed": "The number from which the noise is made.",
    "seed": "The number from which the noise is made.",
    "steps": "The number of steps of the whole schedule.",
    "cfg": "How closely the image follows the prompt; too high values lose quality.",
    "sampler_name": "The sampler: how one step leads to the next.",
    "scheduler": "How the noise level falls from step to step.",
    "positive": "What to have in the image.",
    "negative": "What not to have in the image.",
    "latent_image": "The latent to begin with.",
    "denoise": "How much of it is made anew: 1 is all, 0 is nothing.",
    "start_at_step": "The step of the schedule to begin with.",
    "end_at_step": "The step of the schedule to end before.",
    "return_with_leftover_noise": "Whether noise that is left is returned for a further sampler.",
}


def stock_class(class_name: str) -> Any:
    """A node class of ComfyUI; None where this ComfyUI has none of that name."""
    return getattr(sys.modules.get("nodes"), "NODE_CLASS_MAPPINGS", {}).get(class_name)


def stock_inputs(class_name: str) -> Inputs:
    """The inputs of a stock node as this ComfyUI has them, each with a tooltip."""
    types = stock_class(class_name).INPUT_TYPES()
    return {
        section: {name: _with_tooltip(name, spec) for name, spec in types.get(section, {}).items()}
        for section in ("required", "optional")
    }


def call_stock(class_name: str, inputs: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a stock node returns for these inputs."""
    owner = stock_class(class_name)
    answer = getattr(owner(), owner.FUNCTION)(**inputs)
    return tuple(getattr(answer, "result", answer))


def _with_tooltip(name: str, spec: Any) -> tuple[Any, dict[str, Any]]:
    settings = dict(spec[1]) if len(spec) > 1 else {}
    settings.setdefault("tooltip", _TOOLTIPS.get(name, f"As in ComfyUI's own node: {name}."))
    return spec[0], settings
