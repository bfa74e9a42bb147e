"""The engine as nodes ask for it: wrapped around a MODEL, or put into a VAE for one decode."""

from __future__ import annotations

import importlib
import logging
from typing import Any

from hearth.errors import CheckpointMismatchError

from .adapter import ComfyAdapter
from .engine_paths import EnginePaths, Refusal
from .nodes.stock import call_stock

_LOG = logging.getLogger("hearth")


class Engine:
    """Makes nothing before it is asked to: hearth._torch may be absent, and is slow to import."""

    def __init__(self, adapter: ComfyAdapter) -> None:
        self._adapter = adapter
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
        around = forward.EngineForward(model, self.paths)
        return self._adapter.with_forward(model, around, around.ended)

    def decode(self, vae: Any, latent: Any) -> tuple[Any, ...]:
        """What VAEDecode returns; ComfyUI plans memory, tiles and brings the image home."""
        inputs = {"vae": vae, "samples": latent}
        decoding = self._import("engine_decode", "vae")
        if decoding is None:
            return call_stock("VAEDecode", inputs)
        with decoding.engine_in(vae, self.paths, self._adapter):
            return call_stock("VAEDecode", inputs)

    def _import(self, name: str, part: str) -> Any:
        try:
            return importlib.import_module(f".{name}", __package__)
        except ImportError as error:
            self.paths.by_python(part, Refusal("no engine", str(error)))
            return None


def _kind_of(model: Any) -> str:
    config = getattr(model.model, "model_config", None)
    return type(config).__name__ if config is not None else type(model.model).__name__
