"""The decoder of a VAE of Flux's kind inside ComfyUI's own decode: the engine, or the module."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hearth import zimage
from hearth.errors import CheckpointMismatchError

from .adapter import ComfyAdapter
from .engine_copy import CopyWish, EngineCopies
from .engine_paths import EnginePaths, Refusal
from .engine_weights import code_fault, type_fault, views_of, weights_fault
from .measure import is_dynamic

_LOG = logging.getLogger("hearth")
_PART = "vae"


@dataclass(frozen=True)
class DecodeContext:
    """What a decode by the engine is done with, and counted in."""

    paths: EnginePaths
    adapter: ComfyAdapter
    copies: EngineCopies
    fused: bool


@contextmanager
def engine_in(vae: Any, context: DecodeContext) -> Iterator[None]:
    """The VAE decodes by the engine until the end of the block, where the engine can."""
    module = getattr(getattr(vae, "first_stage_model", None), "decoder", None)
    refusal = _why_not(vae, module)
    if refusal is not None:
        context.paths.by_python(_PART, refusal)
        yield
        return
    # As the module's forward: memory, batches, tiles and the image's way home stay ComfyUI's.
    vars(module)["forward"] = _Decoder(vae.patcher, module, context)
    try:
        yield
    finally:
        vars(module).pop("forward", None)


class _Decoder:
    """Stands in for the forward of one decoder, for one decode."""

    def __init__(self, patcher: Any, module: Any, context: DecodeContext) -> None:
        self._patcher = patcher
        self._module = module
        self._forward = module.forward
        self._context = context
        self._engine: Any = None
        self._refusal: Refusal | None = None

    def __call__(self, z: Any, **options: Any) -> Any:
        """batch x channels x height x width to batch x 3 x 8 height x 8 width."""
        try:
            self._refusal = self._refusal or self._prepare(z, options)
            answer = self._engine.decode(z).to(z.dtype) if self._refusal is None else None
        except Exception as error:
            if self._context.adapter.is_device_oom(error):
                raise  # ComfyUI decodes in tiles then
            self._refusal = _failure(error)
        if self._refusal is None:
            self._context.paths.by_engine(_PART)
            return answer
        self._engine = None
        self._context.paths.by_python(_PART, self._refusal)
        return self._forward(z, **options)

    def _prepare(self, z: Any, options: dict[str, Any]) -> Refusal | None:
        if any(value is not None for value in options.values()):
            return Refusal("unknown option", ", ".join(options))
        if z.dim() != 4:
            return Refusal("unfamiliar shapes", str(tuple(z.shape)))
        if self._engine is None:
            found = self._copied(z) if is_dynamic(self._patcher) else self._viewed(z)
            if isinstance(found, Refusal):
                return found
            self._engine = found
        return None

    def _viewed(self, z: Any) -> Any:
        """The engine over views of the module's parameters, or a Refusal."""
        fault = weights_fault(self._module, z, ours=self)
        if fault is not None:
            return fault
        return _decoder(zimage.weights_of(*views_of(self._module, "decoder.")), self._wish(z))

    def _copied(self, z: Any) -> Any:
        """The engine over its own placement of the VAE's file, or a Refusal."""
        fault = type_fault(z) or code_fault(self._module, ours=self)
        if fault is not None:
            return fault
        wish = self._wish(z)
        base = self._patcher.model
        found = self._context.copies.get(base, wish, lambda weights: _decoder(weights, wish))
        return found if isinstance(found, Refusal) else found.model

    def _wish(self, z: Any) -> CopyWish:
        return CopyWish(_PART, z.device, z.dtype, self._context.fused)


def _decoder(weights: Any, wish: CopyWish) -> Any:
    return zimage.vae_decoder(
        weights, compute_type=wish.type, device=str(wish.device), fused=wish.fused
    )


def _why_not(vae: Any, module: Any) -> Refusal | None:
    """What can be told before the weights are where they will be used."""
    if not _is_of_fluxs_kind(module):
        kind = type(getattr(vae, "first_stage_model", None)).__name__
        return Refusal("another architecture", kind)
    if "forward" in vars(module):
        return Refusal("object patch", "decoder.forward")
    patcher = vae.patcher
    if patcher.patches or patcher.object_patches:
        return Refusal("LoRA or other weight patch")
    return None


def _is_of_fluxs_kind(module: Any) -> bool:
    """Two-dimensional, attention in the middle only: an image VAE of Stable Diffusion's line."""
    if type(module).__name__ != "Decoder" or getattr(module, "carried", False):
        return False
    middle = getattr(module, "mid", None)
    kinds = [type(getattr(middle, name, None)).__name__ for name in ("block_1", "attn_1")]
    return (
        kinds == ["ResnetBlock", "AttnBlock"]
        and not module.tanh_out
        and not any(len(level.attn) for level in module.up)
    )


def _failure(error: Exception) -> Refusal:
    if isinstance(error, CheckpointMismatchError):
        return Refusal("another architecture", str(error))
    _LOG.warning("the engine failed, ComfyUI decodes instead", exc_info=error)
    return Refusal("error of the engine", f"{type(error).__name__}: {error}")
