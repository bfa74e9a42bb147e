"""Gives ComfyUI's modules views of hearth's mapped files as their pins.

With dynamic VRAM ComfyUI moves a module's weights through a pinned buffer that it fills from the
file, one module after the other; filling, pinning and freeing that buffer is what a load costs. A
module that has a pin already is copied from it at the bus's rate. ComfyUI's own transfer, cast,
LoRA and prefetch run unchanged, and the file's pages are the only copy in RAM.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from .file_pins import FileBytes, FilePins, leaves

# Under this name ComfyUI looks first for the pin of a module's weights.
_SUBSET = "weights"

# By device and inode of a file; None: this file is not ours.
FindBytes = Callable[[int, int], FileBytes | None]


@dataclass
class Supplied:
    """What one give() found: modules fed from our pins, and modules left to ComfyUI: converted,
    quantised in a way that is not in the file, or in a file that is not registered there."""

    modules: int = 0
    bytes: int = 0
    left_to_comfyui: int = 0
    left_bytes: int = 0


@dataclass
class _Given:
    module: weakref.ref[Any]
    pin: torch.Tensor
    # Where the weights lay: another address is another weight, and the pin would be a stale one.
    addresses: tuple[int, ...]


@dataclass
class _Model:
    by_module: dict[int, _Given] = field(default_factory=dict)


class PinSupply:
    """Runs on the prompt worker only. `alignment`: where ComfyUI lets each tensor of a packed
    buffer begin, in bytes."""

    def __init__(self, alignment: int) -> None:
        self._alignment = alignment
        self._models: weakref.WeakKeyDictionary[Any, _Model] = weakref.WeakKeyDictionary()

    def give(self, root: Any, find_bytes: FindBytes) -> Supplied:
        """Gives pins to the modules of a model that want one; to be called after ComfyUI has
        prepared it for work and before it works. Cheap when there is nothing to do."""
        model = self._models.setdefault(root, _Model())
        found = Supplied()
        files = FilePins(self._alignment, lambda each: find_bytes(*_place_of(each)))
        for module in dynamic_modules(root):
            pin = self._pin_of(model, module, files)
            if pin is None:
                found.left_to_comfyui += 1
                found.left_bytes += _size_of(module)
            else:
                found.modules += 1
                found.bytes += pin.numel()
        return found

    def take_back(self, root: Any) -> int:
        """Removes every pin of ours from a model; returns how many. After it the mapping may go,
        once no transfer is under way."""
        model = self._models.pop(root, None)
        if model is None:
            return 0
        return sum(_withdraw(given) for given in model.by_module.values())

    def _pin_of(self, model: _Model, module: Any, files: FilePins) -> torch.Tensor | None:
        tensors = [each for each in (module.weight, module.bias) if each is not None]
        addresses = tuple(leaf.data_ptr() for each in tensors for leaf in leaves(each))
        given = model.by_module.get(id(module))
        if given is not None and given.module() is module and given.addresses == addresses:
            if _has(module, given.pin):
                return given.pin
        elif given is not None:
            _withdraw(given)
            del model.by_module[id(module)]
        if _pin_entry(module).get("pin") is not None:
            return None  # ComfyUI's own, or another pack's
        pin = files.make(tensors)
        if pin is not None:
            module.__dict__.setdefault("_pins", {})[_SUBSET] = {"pin": pin, "registered": True}
            model.by_module[id(module)] = _Given(weakref.ref(module), pin, addresses)
        return pin


def dynamic_modules(root: Any) -> Iterator[Any]:
    """Modules whose weights ComfyUI moves when they are used."""
    return (module for module in root.modules() if "_v" in module.__dict__)


def _size_of(module: Any) -> int:
    tensors = [each for each in (module.weight, module.bias) if each is not None]
    return sum(int(leaf.nbytes) for each in tensors for leaf in leaves(each))


def _place_of(descriptor: int) -> tuple[int, int]:
    state = os.fstat(descriptor)
    return state.st_dev, state.st_ino


def _pin_entry(module: Any) -> dict[str, Any]:
    pins: dict[str, dict[str, Any]] = module.__dict__.get("_pins") or {}
    return pins.get(_SUBSET) or {}


def _has(module: Any, pin: torch.Tensor) -> bool:
    return _pin_entry(module).get("pin") is pin


def _withdraw(given: _Given) -> int:
    module = given.module()
    if module is None or not _has(module, given.pin):
        return 0
    del module.__dict__["_pins"][_SUBSET]
    return 1
