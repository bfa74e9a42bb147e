"""The decoder of a VAE of Flux's kind inside ComfyUI's own decode: the engine, or the module."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hearth import zimage
from hearth.errors import CheckpointMismatchError

from .adapter import ComfyAdapter
from .engine_paths import EnginePaths, Refusal
from .engine_weights import views_of, weights_fault

_LOG = logging.getLogger("hearth")
_PART = "vae"


@contextmanager
def engine_in(vae: Any, paths: EnginePaths, adapter: ComfyAdapter) -> Iterator[None]:
    """The VAE decodes by the engine until the end of the block, where the engine can."""
    module = getattr(getattr(vae, "first_stage_model", None), "decoder", None)
    refusal = _why_not(vae, module)
    if refusal is not None:
        paths.by_python(_PART, refusal)
        yield
        return
    # As the module's forward: memory, batches, tiles and the image's way home stay ComfyUI's.
    vars(module)["forward"] = _Decoder(module, paths, adapter)
    try:
        yield
    finally:
        vars(module).pop("forward", None)


class _Decoder:
    """Stands in for the forward of one decoder, for one decode."""

    def __init__(self, module: Any, paths: EnginePaths, adapter: ComfyAdapter) -> None:
        self._module = module
        self._forward = module.forward
        self._paths = paths
        self._adapter = adapter
        self._engine: Any = None
        self._refusal: Refusal | None = None

    def __call__(self, z: Any, **options: Any) -> Any:
        """batch x channels x height x width to batch x 3 x 8 height x 8 width."""
        try:
            self._refusal = self._refusal or self._prepare(z, options)
            answer = self._engine.decode(z).to(z.dtype) if self._refusal is None else None
        except Exception as error:
            if self._adapter.is_device_oom(error):
                raise  # ComfyUI decodes in tiles then
            self._refusal = _failure(error)
        if self._refusal is None:
            self._paths.by_engine(_PART)
            return answer
        self._engine = None
        self._paths.by_python(_PART, self._refusal)
        return self._forward(z, **options)

    def _prepare(self, z: Any, options: dict[str, Any]) -> Refusal | None:
        if any(value is not None for value in options.values()):
            return Refusal("unknown option", ", ".join(options))
        if z.dim() != 4:
            return Refusal("unfamiliar shapes", str(tuple(z.shape)))
        if self._engine is None:
            fault = weights_fault(self._module, z, ours=self)
            if fault is not None:
                return fault
            name, tensors = views_of(self._module, "decoder.")
            self._engine = zimage.vae_decoder(
                zimage.weights_of(name, tensors), compute_type=z.dtype, device=str(z.device)
            )
        return None


def _why_not(vae: Any, module: Any) -> Refusal | None:
    """What can be told before the weights are where they will be used."""
    if not _is_of_fluxs_kind(module):
        kind = type(getattr(vae, "first_stage_model", None)).__name__
        return Refusal("another architecture", kind)
    if "forward" in vars(module):
        return Refusal("object patch", "decoder.forward")
    patcher = vae.patcher
    if getattr(patcher, "is_dynamic", bool)():
        return Refusal("dynamic VRAM", "weights come and go while the VAE decodes")
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
