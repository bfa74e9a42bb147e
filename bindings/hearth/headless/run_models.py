"""The models of one run, and what links carry in their place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

import hearth
from hearth import engine
from hearth.headless.checks import PlannedNode
from hearth.headless.model_lists import ModelLists

_KINDS: Mapping[str, tuple[engine.Kind, str, str]] = {
    "CheckpointLoaderSimple": ("checkpoint", "ckpt_name", "checkpoints"),
    "UNETLoader": ("diffusion_model", "unet_name", "diffusion_models"),
    "CLIPLoader": ("text_encoder", "clip_name", "text_encoders"),
    "VAELoader": ("vae", "vae_name", "vae"),
}
"""Kind, input with the name, and list of each loader."""
_STOCK = {
    "HearthCheckpointLoader": "CheckpointLoaderSimple",
    "HearthDiffusionModelLoader": "UNETLoader",
    "HearthCLIPLoader": "CLIPLoader",
    "HearthVAELoader": "VAELoader",
}
_KEEPING = ("pin", "keep_alive_s")


@dataclass(frozen=True)
class ModelRef:
    """What a MODEL, CLIP or VAE link carries: which model, and nothing that keeps it."""

    file: engine.ModelFile
    device: str
    shift: float = 3.0
    """Of a MODEL's noise levels; Z-Image's own until a node says otherwise."""


def loader_class(node_class: str) -> str:
    """The stock loader that a loader of hearth's stands for; any other class is itself."""
    return _STOCK.get(node_class, node_class)


def is_loader(node_class: str) -> bool:
    """Whether a node class reads a model file."""
    return loader_class(node_class) in _KINDS


def file_of(node_class: str, inputs: Mapping[str, Any], models: ModelLists) -> engine.ModelFile:
    """What a loader with these inputs names. hearth's loaders and ComfyUI's name the same."""
    loader = loader_class(node_class)
    kind, field, list_name = _KINDS[loader]
    name = inputs[field]
    options = {key: inputs[key] for key in sorted(inputs) if key not in (field, *_KEEPING)}
    text = "&".join(f"{key}={value}" for key, value in options.items())
    return engine.ModelFile(kind, loader, name, (models.path(list_name, name),), text)


class RunModels:
    """Models in use: each from the node that first needs it until the run ends.

    What is resident is the cache's to decide; here is only what this run still needs.
    """

    def __init__(self) -> None:
        self._open: dict[ModelRef, engine.Model] = {}

    def get(self, ref: ModelRef, node: PlannedNode) -> engine.Model:
        """The model, loaded where it is not resident. Raises what engine.acquire() raises."""
        place = ModelRef(ref.file, ref.device)
        if place not in self._open:
            self._open[place] = engine.acquire(
                ref.file,
                compute_type=compute_type(ref),
                device=ref.device,
                requested_by=f"node {node.id} ({node.class_name})",
            )
        return self._open[place]

    def let_go(self, key: hearth.ModelKey) -> None:
        """Uses the model of this key no longer."""
        for place, model in list(self._open.items()):
            if model.key == key:
                self._open.pop(place).close()

    def close(self) -> None:
        """Uses none any longer."""
        while self._open:
            self._open.popitem()[1].close()


def key_of(ref: ModelRef) -> hearth.ModelKey:
    """What the model is called in the cache."""
    return engine.key_of(ref.file, compute_type=compute_type(ref), device=ref.device)


def compute_type(ref: ModelRef) -> Any:
    """As ComfyUI: float32 on a CPU and for text encoders, bfloat16 elsewhere."""
    is_text = ref.file.kind == "text_encoder"
    return torch.float32 if is_text or ref.device == "cpu" else torch.bfloat16
