"""Stand-ins for ComfyUI's stock loader classes."""

from __future__ import annotations

from typing import Any

from fakes.comfy_fakes import Clip, Patcher, Vae


class Loads:
    """The stock loader classes, counting what they read."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.error: BaseException | None = None
        self.classes = {
            "CheckpointLoaderSimple": self._checkpoint(),
            "UNETLoader": self._unet(),
            "DualCLIPLoader": self._dual_clip(),
            "VAELoader": self._vae(),
        }

    def note(self, name: str) -> None:
        self.read.append(name)
        if self.error is not None:
            raise self.error

    def _checkpoint(self) -> type:
        loads = self

        class CheckpointLoaderSimple:
            FUNCTION = "load_checkpoint"

            def load_checkpoint(self, ckpt_name: str) -> tuple[Any, ...]:
                loads.note(ckpt_name)
                return Patcher(), Clip(), Vae()

        return CheckpointLoaderSimple

    def _unet(self) -> type:
        loads = self

        class UNETLoader:
            FUNCTION = "load_unet"

            def load_unet(self, unet_name: str, weight_dtype: str = "default") -> tuple[Any, ...]:
                loads.note(unet_name)
                return (Patcher(),)

        return UNETLoader

    def _dual_clip(self) -> type:
        loads = self

        class DualCLIPLoader:
            FUNCTION = "load_clip"

            def load_clip(self, clip_name1: str, clip_name2: str, type: str) -> tuple[Any, ...]:
                loads.note(f"{clip_name1},{clip_name2}")
                return (Clip(),)

        return DualCLIPLoader

    def _vae(self) -> type:
        loads = self

        class VAELoader:
            FUNCTION = "load_vae"

            def load_vae(self, vae_name: str) -> tuple[Any, ...]:
                loads.note(vae_name)
                return (Vae(),)

        return VAELoader
