"""The models of one run, and what links carry in their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import hearth
import torch
from hearth import engine
from hearth.headless.checks import PlannedNode
from hearth.headless.loaders import loader_of_class
from hearth.headless.model_lists import ModelLists

_KEEPING = ("pin", "keep_alive_s")


@dataclass(frozen=True)
class ModelRef:
    """What a MODEL, CLIP or VAE link carries: which model, and nothing that keeps it."""

    file: engine.ModelFile
    device: str
    numbers: engine.Numbers = "parity"
    shift: float = 3.0
    """Of a MODEL's noise levels; Z-Image's own until a node says otherwise."""


def file_of(node_class: str, inputs: Mapping[str, Any], models: ModelLists) -> engine.ModelFile:
    """What a loader with these inputs names. hearth's loaders and ComfyUI's name the same.

    REQUIRES: it is a loader.
    """
    loader = loader_of_class(node_class)
    assert loader is not None
    name = inputs[loader.field]
    left_out = (loader.field, *_KEEPING)
    options = "&".join(f"{key}={inputs[key]}" for key in sorted(inputs) if key not in left_out)
    path = models.path(loader.list_name, name)
    return engine.ModelFile(loader.kind, loader.class_name, name, (path,), options)


class RunModels:
    """Models in use: each from the node that first needs it to the last that does.

    What is resident is the cache's to decide; here is only what this run still needs.
    """

    def __init__(self) -> None:
        self._open: dict[ModelRef, engine.Model] = {}

    def get(self, ref: ModelRef, node: PlannedNode) -> engine.Model:
        """The model, loaded where it is not resident. Raises what engine.acquire() raises."""
        place = replace(ref, shift=ModelRef.shift)
        if place not in self._open:
            self._open[place] = engine.acquire(
                ref.file,
                compute_type=compute_type(ref),
                device=ref.device,
                numbers=ref.numbers,
                requested_by=f"{node.id} ({node.class_name})",
            )
        return self._open[place]

    def let_go(self, key: hearth.ModelKey) -> None:
        """Uses the model of this key no longer."""
        for place, model in list(self._open.items()):
            if model.key == key:
                self._open.pop(place).close()

    def keep_only(self, refs: Iterable[ModelRef]) -> None:
        """Uses no others any longer; `get` has them again."""
        places = {replace(ref, shift=ModelRef.shift) for ref in refs}
        for place in set(self._open) - places:
            self._open.pop(place).close()

    def close(self) -> None:
        """Uses none any longer."""
        while self._open:
            self._open.popitem()[1].close()


def key_of(ref: ModelRef) -> hearth.ModelKey:
    """What the model is called in the cache."""
    kind = compute_type(ref)
    return engine.key_of(ref.file, compute_type=kind, device=ref.device, numbers=ref.numbers)


def compute_type(ref: ModelRef) -> Any:
    """As ComfyUI: float32 on a CPU and for text encoders, bfloat16 elsewhere. Without
    parity bfloat16 on a GPU."""
    is_text = ref.file.kind == "text_encoder" and ref.numbers == "parity"
    return torch.float32 if is_text or ref.device == "cpu" else torch.bfloat16
