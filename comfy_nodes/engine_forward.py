"""Z-Image's transformer inside a MODEL of ComfyUI: hearth's engine, or ComfyUI's own forward."""

from __future__ import annotations

import logging
import weakref
from dataclasses import dataclass
from typing import Any

import torch
from hearth import zimage
from hearth.errors import CheckpointMismatchError

from .adapter import ComfyAdapter
from .engine_call import ForwardCall, why_not
from .engine_copy import CopyWish, EngineCopies
from .engine_paths import EnginePaths, Refusal
from .engine_weights import addresses, code_fault, type_fault, views_of, weights_fault
from .measure import is_dynamic

_LOG = logging.getLogger("hearth")
_PART = "transformer"
_EXPECTED = {"patch_size": 2, "time_scale": 1000.0, "pad_tokens_multiple": 32}
_ABSENT = ("siglip_embedder", "clip_text_pooled_proj", "dec_net")


@dataclass
class _Session:
    """One sampling: the engine over the weights where they are now, and its schedule."""

    velocity: Any
    places: tuple[int, ...]  # none: over its own copy
    type: Any
    schedule: Any

    def fits(self, places: tuple[int, ...], call: ForwardCall) -> bool:
        same = self.places == places and self.schedule is call.schedule
        return same and self.type == call.inputs["x"].dtype


@dataclass(frozen=True)
class ForwardMeans:
    """What a forward by the engine is done with, and counted in."""

    paths: EnginePaths
    adapter: ComfyAdapter
    copies: EngineCopies
    fused: bool


class EngineForward:
    """What stands around the forward of one diffusion model. Holds no model alive; between two
    samplings it holds no weights either, so that a model that is unloaded gives its memory back.
    """

    def __init__(self, model: Any, means: ForwardMeans) -> None:
        self._base = weakref.ref(model.model)
        self._paths = means.paths
        self._adapter = means.adapter
        self._copies = means.copies
        self._fused = means.fused
        self._session: _Session | None = None
        self._broken: Refusal | None = None
        self._has_asked_for_memory = False

    def __call__(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """As a wrapper of ComfyUI's: the velocity, in the type of the latents."""
        if torch.compiler.is_compiling():
            return executor(*args, **kwargs)
        call = ForwardCall.of(args, kwargs)
        try:
            refusal = self._why_not(executor.class_obj, call) or self._prepare(
                executor.class_obj, call
            )
            answer = self._compute(call) if refusal is None else None
        except Exception as error:
            if self._adapter.is_device_oom(error) and not self._has_asked_for_memory:
                self._session = None  # its weights are what others may need
                self._has_asked_for_memory = True
                raise  # idle models give way then, and the node runs once more (oom.py)
            refusal = self._failed(error)
        self._has_asked_for_memory = False
        if refusal is None:
            self._paths.by_engine(_PART)
            return answer
        self._paths.by_python(_PART, refusal)
        return executor(*args, **kwargs)

    def ended(self, patcher: Any) -> None:
        """The sampling is over."""
        self._session = None
        self._broken = None

    def _why_not(self, module: Any, call: ForwardCall) -> Refusal | None:
        base = self._base()
        if base is None or module is not getattr(base, "diffusion_model", None):
            return Refusal("another copy of the model")
        return self._broken or why_not(call, getattr(base, "current_patcher", None))

    def _prepare(self, module: Any, call: ForwardCall) -> Refusal | None:
        """Has a session over the weights as they are now; or says why they are not to be used."""
        base: Any = self._base()
        streamed = is_dynamic(base.current_patcher)
        places = () if streamed else addresses(module)
        if self._session is not None and self._session.fits(places, call):
            return None
        self._session = None  # before the next one takes memory
        x = call.inputs["x"]
        found = self._copied(base, module, x) if streamed else self._viewed(module, x)
        if isinstance(found, Refusal):
            return found
        velocity = zimage.StepwiseVelocity(found, call.schedule)
        self._session = _Session(velocity, places, x.dtype, call.schedule)
        return None

    def _viewed(self, module: Any, x: Any) -> Any:
        """The engine over views of the module's parameters, or a Refusal."""
        fault = weights_fault(module, x)
        if fault is not None:
            return fault
        weights = zimage.weights_of(*views_of(module))
        return _transformer(weights, module, CopyWish(_PART, x.device, x.dtype, self._fused))

    def _copied(self, base: Any, module: Any, x: Any) -> Any:
        """The engine over its own placement of the model's file, or a Refusal."""
        fault = type_fault(x) or code_fault(module)
        if fault is not None:
            return fault
        wish = CopyWish(_PART, x.device, x.dtype, self._fused)
        found = self._copies.get(base, wish, lambda weights: _transformer(weights, module, wish))
        if isinstance(found, Refusal):
            self._broken = found  # for this sampling: asking again would make room in every step
            return found
        return found.model

    def _compute(self, call: ForwardCall) -> Any:
        assert self._session is not None
        x, level, context = (call.inputs[name] for name in ("x", "timesteps", "context"))
        return self._session.velocity(x, level.reshape(-1)[:1], context).to(x.dtype)

    def _failed(self, error: Exception) -> Refusal:
        self._session = None
        if isinstance(error, CheckpointMismatchError):
            self._broken = Refusal("variant of Z-Image", str(error))
        else:
            self._broken = Refusal("error of the engine", f"{type(error).__name__}: {error}")
            _LOG.warning("the engine failed, ComfyUI computes instead", exc_info=error)
        return self._broken


def zimage_fault(module: Any) -> str:
    """Why a diffusion model of ComfyUI is not Z-Image; "" when it is."""
    if type(module).__name__ != "NextDiT":
        return "another architecture"
    for name, value in _EXPECTED.items():
        if getattr(module, name, None) != value:
            return f"{name} is {getattr(module, name, None)}"
    present = next((name for name in _ABSENT if getattr(module, name, None) is not None), "")
    return f"it has a {present}" if present else ""


def _transformer(weights: Any, module: Any, wish: CopyWish) -> Any:
    eps = module.layers[0].attention.q_norm.eps
    return zimage.transformer(
        weights,
        compute_type=wish.type,
        device=str(wish.device),
        qk_norm_eps=zimage.QK_NORM_EPS_COMFYUI if eps is None else float(eps),
        fused=wish.fused,
    )
