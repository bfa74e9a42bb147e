"""Gives ComfyUI's patches, which is what LoRAs are, pins of their bytes in their files.

With dynamic VRAM a patched weight is computed anew whenever it has been moved, and for that ComfyUI
reads its patch: for each module a piece of the file, into a pinned buffer made for it. That was
most of what switching a LoRA on cost beside moving the weights. From a pin that is there already
ComfyUI copies, and computes as ever.
"""

from __future__ import annotations

import logging
import weakref
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
        # Of the running prompt: our pins by ComfyUI's patches, and the modules that they are for.
        self._given: weakref.WeakKeyDictionary[Any, torch.Tensor] = weakref.WeakKeyDictionary()
        self._modules: weakref.WeakSet[Any] = weakref.WeakSet()

    def give(self, root: Any) -> Patched:
        """Gives pins to the patches of weights that are to be moved; to be called after ComfyUI
        has prepared the model for work and before it works."""
        found = Patched()
        files = FilePins(self._alignment, self._find_file)
        for module, source in _sources(root):
            pin = self._pin_of(module, source, files)
            if pin is None:
                found.left_to_comfyui += 1
                continue
            found.patches += 1
            found.bytes += pin.numel()
        return found

    def take_back(self) -> None:
        """To be called after each prompt: ComfyUI makes its patches anew for the next one, while
        those of an idle model would keep their file mapped."""
        for source, pin in list(self._given.items()):
            if _pin(source) is pin:
                del source.__dict__["_pins"][_SUBSET]  # what else is there is ComfyUI's
        self._given.clear()
        self._modules.clear()

    def move_again(self) -> None:
        """Has ComfyUI move and patch anew what was patched in this prompt: some of it is wrong."""
        for module in self._modules:
            module._v_signature = None

    def _pin_of(self, module: Any, source: Any, files: FilePins) -> torch.Tensor | None:
        given = self._given.get(source)
        if given is not None and _pin(source) is given:
            return given
        if source.__dict__.get("_pins"):
            return None  # ComfyUI's own, or another pack's
        pin = self._make(source, files)
        if pin is not None:
            source.__dict__["_pins"] = {_SUBSET: {"pin": pin, "registered": True}}
            self._given[source] = pin
            self._modules.add(module)
        return pin

    def _make(self, source: Any, files: FilePins) -> torch.Tensor | None:
        values = [patch[1] for patch in source.patches[source.key]]
        shape = tuple((type(each).__name__, sum(1 for _ in _tensors(each))) for each in values)
        if self._packs_so.get(shape) is False:
            return None
        pin = files.make(tensor for each in values for tensor in _tensors(each))
        if pin is None or self._rounded_up(pin.numel()) != source.memory_required():
            return None
        if shape not in self._packs_so:
            self._packs_so[shape] = _is_what_comfyui_packs(source, pin)
        return pin if self._packs_so[shape] else None

    def _rounded_up(self, size: int) -> int:
        return -(-size // self._alignment) * self._alignment


def _sources(root: Any) -> Iterator[tuple[Any, Any]]:
    """Modules and patches of weights that are not on the device, by ComfyUI's own note."""
    for module in dynamic_modules(root):
        if module.__dict__.get("_v_signature") is not None:
            continue
        for name in _SOURCES:
            source = getattr(module, name, None)
            if getattr(source, "is_lowvram_patch", False) and hasattr(source, "memory_required"):
                yield module, source


def _pin(source: Any) -> Any:
    pins: dict[str, dict[str, Any]] = source.__dict__.get("_pins") or {}
    return (pins.get(_SUBSET) or {}).get("pin")


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
    theirs, ours = (torch.zeros(source.memory_required(), dtype=torch.uint8) for _ in range(2))
    source.prepare(theirs, None, copy=True, commit=False)
    ours[: pin.numel()].copy_(pin)
    if torch.equal(ours, theirs):
        return True
    _LOG.info("patches are packed in another way in this ComfyUI; it reads them by itself")
    return False
