"""Gives ComfyUI's patches, which is what LoRAs are, pins of their bytes in their files.

With dynamic VRAM a patched weight is computed anew whenever it has been moved, and for that ComfyUI
reads its patch: for each module a piece of the file, into a pinned buffer made for it. That was
most of what switching a LoRA on cost beside moving the weights. From a pin that is there already
ComfyUI copies, and computes as ever.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from .file_pins import FilePins, FindFile
from .pin_supply import dynamic_modules

_LOG = logging.getLogger("hearth")
# Where ComfyUI keeps the patches of a module, and the name under which it looks first for a pin.
_SOURCES = ("weight_lowvram_function", "bias_lowvram_function")
_SUBSET = "patches"


@dataclass
class Patched:
    """What one give() found of the weights that are about to be patched: how many patches come
    from pins, their bytes, and how many are left to ComfyUI."""

    patches: int = 0
    bytes: int = 0
    left_to_comfyui: int = 0


class PatchPins:
    """Runs on the prompt worker only. `alignment`: where ComfyUI lets each tensor of a packed
    buffer begin, in bytes."""

    def __init__(self, alignment: int, find_file: FindFile) -> None:
        self._alignment = alignment
        self._find_file = find_file
        self._packs_so: dict[tuple[tuple[str, int], ...], bool] = {}

    def give(self, root: Any) -> Patched:
        """Gives pins to the patches of weights that are to be moved; to be called after ComfyUI
        has prepared the model for work and before it works. The pins go with ComfyUI's objects,
        which it makes anew each time."""
        found = Patched()
        files = FilePins(self._alignment, self._find_file)
        for source in _sources(root):
            pin = self._pin_of(source, files)
            if pin is None:
                found.left_to_comfyui += 1
                continue
            source.__dict__["_pins"] = {_SUBSET: {"pin": pin, "registered": True}}
            found.patches += 1
            found.bytes += pin.numel()
        return found

    def _pin_of(self, source: Any, files: FilePins) -> torch.Tensor | None:
        if source.__dict__.get("_pins"):
            return None  # ComfyUI's own, or another pack's
        values = [patch[1] for patch in source.patches[source.key]]
        shape = tuple((type(each).__name__, sum(1 for _ in _tensors(each))) for each in values)
        if self._packs_so.get(shape) is False:
            return None
        pin = files.make(tensor for each in values for tensor in _tensors(each))
        if pin is None or pin.numel() != source.memory_required():
            return None
        if shape not in self._packs_so:
            self._packs_so[shape] = _is_what_comfyui_packs(source, pin)
        return pin if self._packs_so[shape] else None


def _sources(root: Any) -> Iterator[Any]:
    """Patches of weights of which ComfyUI's own note says that they are not on the device."""
    for module in dynamic_modules(root):
        if module.__dict__.get("_v_signature") is not None:
            continue
        for name in _SOURCES:
            source = getattr(module, name, None)
            if getattr(source, "is_lowvram_patch", False) and hasattr(source, "memory_required"):
                yield source


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """Those of one patch, in the order in which ComfyUI packs them."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _tensors(each)
    elif hasattr(value, "loaded_keys"):  # an adapter: LoRA, LoHa, LoKr …
        yield from _tensors(value.weights)


def _is_what_comfyui_packs(source: Any, pin: torch.Tensor) -> bool:
    """Tried once for each kind of patch, with ComfyUI's own function, byte for byte."""
    theirs = torch.zeros(pin.numel(), dtype=torch.uint8)
    source.prepare(theirs, None, copy=True, commit=False)
    if torch.equal(torch.zeros_like(theirs).copy_(pin), theirs):
        return True
    _LOG.info("patches are packed in another way in this ComfyUI; it reads them by itself")
    return False
