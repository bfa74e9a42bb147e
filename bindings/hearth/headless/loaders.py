"""The loader nodes: which input of each names a file, and in which list it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hearth.headless.model_lists import ModelLists


@dataclass(frozen=True)
class Loader:
    """One stock loader."""

    class_name: str
    kind: Literal["checkpoint", "diffusion_model", "text_encoder", "vae"]
    field: str
    list_name: str


LOADERS = (
    Loader("CheckpointLoaderSimple", "checkpoint", "ckpt_name", "checkpoints"),
    Loader("UNETLoader", "diffusion_model", "unet_name", "diffusion_models"),
    Loader("CLIPLoader", "text_encoder", "clip_name", "text_encoders"),
    Loader("VAELoader", "vae", "vae_name", "vae"),
)
_HEARTHS = {
    "HearthCheckpointLoader": "CheckpointLoaderSimple",
    "HearthDiffusionModelLoader": "UNETLoader",
    "HearthCLIPLoader": "CLIPLoader",
    "HearthVAELoader": "VAELoader",
    "HearthZImageLoader": "UNETLoader",
}
_BY_CLASS = {loader.class_name: loader for loader in LOADERS}


def loader_of_class(class_name: str) -> Loader | None:
    """The stock loader that a node class is or stands for; None for any other class."""
    return _BY_CLASS.get(_HEARTHS.get(class_name, class_name))


def path_of(class_name: str, values: Mapping[str, Any], models: ModelLists) -> Path | None:
    """The file that a node with these inputs reads; None for one that reads none."""
    loader = loader_of_class(class_name)
    return None if loader is None else models.path(loader.list_name, values[loader.field])
