"""Whether a pass of Z-Image is one that the engine computes: text to image, and nothing else.

Functions over what ComfyUI hands to the diffusion model. What is not known to change nothing is a
reason to leave the pass to ComfyUI.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .engine_paths import Refusal

OWN_KEY = "hearth"
_POSITIONS = ("x", "timesteps", "context", "num_tokens", "attention_mask")
# Inputs that may be there in any value: Z-Image's forward does not look at them.
_UNREAD = frozenset({"num_tokens", "clip_text_pooled", "transformer_options"})
# Of `transformer_options`: what sampling itself notes there.
_NOTES = frozenset(
    {"cond_or_uncond", "uuids", "sigmas", "sample_sigmas", "total_blocks", "block_type"}
    | {"block_index", "prefetch_dynamic_vbars"}
)
# Of `model_options`: what samplers do with the model's answers, outside of its forward.
_OUTSIDE = frozenset(
    {"transformer_options", "sampler_cfg_function", "sampler_post_cfg_function"}
    | {"sampler_pre_cfg_function", "disable_cfg1_optimization", "denoise_mask_function"}
)
_PATCHER_PARTS = {
    "patches": "LoRA or other weight patch",
    "weight_wrapper_patches": "LoRA or other weight patch",
    "hook_patches": "hook",
    "current_hooks": "hook",
    "forced_hooks": "hook",
    "injections": "injection",
    "additional_models": "further model",
    "attachments": "attachment",
}
_INPUT_CAUSES = {
    "control": "ControlNet",
    "ref_latents": "reference latents",
    "ref_contexts": "reference latents",
    "siglip_feats": "reference latents",
    "attention_mask": "attention mask",
}


@dataclass(frozen=True)
class ForwardCall:
    """The inputs of one pass by name."""

    inputs: Mapping[str, Any]
    too_many: bool = False

    @classmethod
    def of(cls, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> ForwardCall:
        """From the arguments of the diffusion model's forward."""
        named = dict(zip(_POSITIONS, args, strict=False))
        return cls({**named, **kwargs}, len(args) > len(_POSITIONS) or bool(named.keys() & kwargs))

    @property
    def options(self) -> Mapping[str, Any]:
        """The `transformer_options`."""
        found: Mapping[str, Any] = self.inputs.get("transformer_options") or {}
        return found

    @property
    def schedule(self) -> Any:
        """The noise levels of the sampling; None where ComfyUI does not say."""
        return self.options.get("sample_sigmas")


def why_not(call: ForwardCall, patcher: Any) -> Refusal | None:
    """The first reason to leave the pass to ComfyUI; `patcher` is what sampling runs with."""
    if patcher is None:
        return Refusal("unfamiliar sampling", "no patcher is noted in the model")
    reasons = (*_of_patcher(patcher), *_of_options(call.options), *_of_inputs(call))
    return next(iter(reasons), None)


def _of_patcher(patcher: Any) -> Iterator[Refusal]:
    for name, cause in _PATCHER_PARTS.items():
        if getattr(patcher, name, None):
            yield Refusal(cause)
    for name in getattr(patcher, "object_patches", ()):
        if name != "model_sampling":  # how noise levels are spaced, outside of the forward
            yield Refusal("object patch", str(name))
    for name, value in getattr(patcher, "model_options", {}).items():
        if name not in _OUTSIDE and value:
            yield Refusal("unknown option", str(name))


def _of_options(options: Mapping[str, Any]) -> Iterator[Refusal]:
    for name, value in options.items():
        if name in ("wrappers", "callbacks"):
            yield from (Refusal("wrapper of another pack", other) for other in _foreign(value))
        elif name in ("patches", "patches_replace"):
            if any(value.values()):
                yield Refusal("patch", ", ".join(map(str, value)))
        elif name not in _NOTES:
            yield Refusal("unknown option", str(name))


def _foreign(kinds: Mapping[str, Any]) -> Iterator[str]:
    for kind, by_key in kinds.items():
        for key, calls in by_key.items():
            if calls and key != OWN_KEY:
                yield f"{kind}: {key}"


def _of_inputs(call: ForwardCall) -> Iterator[Refusal]:
    if call.too_many or any(call.inputs.get(name) is None for name in _POSITIONS[:3]):
        yield Refusal("unfamiliar call")
        return
    for name, value in call.inputs.items():
        if name in _POSITIONS[:3] or name in _UNREAD:
            continue
        if value is not None and not (isinstance(value, (list, tuple)) and not value):
            yield Refusal(_INPUT_CAUSES.get(name, "unknown input"), name)
    yield from _of_shapes(*(call.inputs[name] for name in _POSITIONS[:3]))


def _of_shapes(x: Any, timesteps: Any, context: Any) -> Iterator[Refusal]:
    """x: batch x channels x height x width, context: batch (or 1) x tokens x width."""
    if x.dim() != 4 or context.dim() != 3 or context.shape[0] not in (1, x.shape[0]):
        yield Refusal("unfamiliar shapes", f"{tuple(x.shape)}, {tuple(context.shape)}")
    elif x.requires_grad or context.requires_grad:
        yield Refusal("gradients")
    elif not bool((timesteps == timesteps.reshape(-1)[0]).all()):
        yield Refusal("several noise levels at once")
