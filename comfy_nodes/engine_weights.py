"""The weights of a module of ComfyUI as the engine takes them: views, where they are plain."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import torch

from .engine_paths import Refusal

Tensors = Mapping[str, Any]
_TYPES = (torch.bfloat16, torch.float32)
_numbers = itertools.count()


def weights_fault(module: Any, like: Any, ours: Any = None) -> Refusal | None:
    """Why these weights cannot be computed with by somebody else than the module; `like` is the
    input of the pass, for device and type, and `ours` a forward that is no reason."""
    if fault := type_fault(like):
        return fault
    for name, tensor in module.named_parameters():
        if type(tensor.data) is not torch.Tensor or tensor.layout != torch.strided:
            return Refusal("quantised weights", name)
        if tensor.dtype not in _TYPES:
            return Refusal("type", f"{name} is {tensor.dtype}")
        if tensor.device != like.device:
            return Refusal("weights elsewhere", f"{name} is on {tensor.device}")
    return code_fault(module, ours)


def type_fault(like: Any) -> Refusal | None:
    """Why the engine does not compute in the type of `like`."""
    return None if like.dtype in _TYPES else Refusal("type", f"computed in {like.dtype}")


def code_fault(module: Any, ours: Any = None) -> Refusal | None:
    """What somebody has hung on parts of the module, so that weights alone do not say it all;
    `ours` is a forward that is no reason."""
    for name, part in module.named_modules():
        if part is not module and (part._forward_hooks or part._forward_pre_hooks):
            return Refusal("hook", f"on {name}")
        own = (vars(part).get(place, ours) for place in ("forward", "_forward"))
        if any(each is not ours for each in own):
            return Refusal("object patch", f"{name}.forward")
        if getattr(part, "weight_function", None) or getattr(part, "bias_function", None):
            return Refusal("LoRA or other weight patch", f"on {name}")
    return None


def addresses(module: Any) -> tuple[int, ...]:
    """Where the weights are now: other places, other views."""
    return tuple(tensor.data_ptr() for tensor in module.parameters())


def views_of(module: Any, prefix: str = "") -> tuple[str, Tensors]:
    """A name that no other weights have, and the parameters without their gradients."""
    tensors = {prefix + name: tensor.detach() for name, tensor in module.named_parameters()}
    return f"{type(module).__name__} {next(_numbers)}", tensors
