"""The engine as nodes ask for it: wrapped around a MODEL, or put into a VAE for one decode."""

from __future__ import annotations

import importlib
import logging
from typing import Any

from hearth.errors import CheckpointMismatchError

from .engine_paths import EnginePaths, Refusal
from .host import Host
from .nodes.stock import call_stock

_LOG = logging.getLogger("hearth")
_NO_WRAPPERS = Refusal("no engine", "this ComfyUI has no wrappers around a diffusion model")


class Engine:
    """Makes nothing before it is asked to: hearth._torch may be absent, and is slow to import."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._adapter = host.adapter
        self._copies: Any = None
        self.paths = EnginePaths()

    def with_engine(self, model: Any, name: str) -> Any:
        """A clone of the MODEL that the engine computes, or the MODEL where there is no engine.

        Throws CheckpointMismatchError for a model that is not Z-Image.
        """
        forward = self._import("engine_forward", "transformer")
        if forward is None:
            return model
        module = getattr(model.model, "diffusion_model", None)
        if fault := forward.zimage_fault(module):
            raise CheckpointMismatchError(
                f"{name} is not a Z-Image transformer that hearth computes: ComfyUI takes it for "
                f"{_kind_of(model)} ({fault}). Load it with Load Diffusion Model (hearth)."
            )
        if not self._adapter.has("diffusion_forward"):
            self.paths.by_python("transformer", _NO_WRAPPERS)
            return model
        means = forward.ForwardMeans(self.paths, self._adapter, self._kept_copies(), self._fused)
        around = forward.EngineForward(model, means)
        return self._adapter.with_forward(model, around, around.ended)

    def decode(self, vae: Any, latent: Any) -> tuple[Any, ...]:
        """What VAEDecode returns; ComfyUI plans memory, tiles and brings the image home."""
        inputs = {"vae": vae, "samples": latent}
        decoding = self._import("engine_decode", "vae")
        if decoding is None:
            return call_stock("VAEDecode", inputs)
        context = decoding.DecodeContext(
            self.paths, self._adapter, self._kept_copies(), self._fused
        )
        with decoding.engine_in(vae, context):
            return call_stock("VAEDecode", inputs)

    def give_way(self, patchers: Any) -> None:
        """Told of the models that are about to work: copies of others may have to go for them."""
        if self._copies is not None:
            self._copies.give_way(patchers)

    @property
    def _fused(self) -> bool:
        return self._host.settings.engine_numbers == "fast"

    def _kept_copies(self) -> Any:
        if self._copies is None:
            self._copies = importlib.import_module(".engine_copy", __package__).EngineCopies(
                self._host
            )
        return self._copies

    def _import(self, name: str, part: str) -> Any:
        try:
            return importlib.import_module(f".{name}", __package__)
        except ImportError as error:
            self.paths.by_python(part, Refusal("no engine", str(error)))
            return None


def _kind_of(model: Any) -> str:
    config = getattr(model.model, "model_config", None)
    return type(config).__name__ if config is not None else type(model.model).__name__
