"""Gives ComfyUI's modules views of hearth's mapped files as their pins.

With dynamic VRAM ComfyUI moves a module's weights through a pinned buffer that it fills from the
file, one module after the other; filling, pinning and freeing that buffer is what a load costs. A
module that has a pin already is copied from it at the bus's rate. ComfyUI's own transfer, cast,
LoRA and prefetch run unchanged, and the file's pages are the only copy in RAM.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from .gathered_pin import PinPart, make_pin

# Under this name ComfyUI looks first for the pin of a module's weights.
_SUBSET = "weights"
# Scales of quantised weights are made by ComfyUI and lie in no file; larger ones are left to it.
_LARGEST_OWN_BYTES = 1 << 16
_SAMPLE_BYTES = 256


class FileBytes(Protocol):
    """The bytes of one file that a device can copy from by itself."""

    def pieces(self, offset: int, size: int) -> Sequence[torch.Tensor]:
        """That range (uint8, one dimension) in as few copies as it takes; empty: not all of it can
        be copied from."""


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
        finder = _ByDescriptor(find_bytes)
        for module in _dynamic_modules(root):
            pin = self._pin_of(model, module, finder)
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

    def _pin_of(self, model: _Model, module: Any, finder: _ByDescriptor) -> torch.Tensor | None:
        tensors = [each for each in (module.weight, module.bias) if each is not None]
        addresses = tuple(leaf.data_ptr() for each in tensors for leaf in _leaves(each))
        given = model.by_module.get(id(module))
        if given is not None and given.module() is module and given.addresses == addresses:
            if _has(module, given.pin):
                return given.pin
        elif given is not None:
            _withdraw(given)
            del model.by_module[id(module)]
        if _pin_entry(module).get("pin") is not None:
            return None  # ComfyUI's own, or another pack's
        pin = self._make(tensors, finder)
        if pin is not None:
            module.__dict__.setdefault("_pins", {})[_SUBSET] = {"pin": pin, "registered": True}
            model.by_module[id(module)] = _Given(weakref.ref(module), pin, addresses)
        return pin

    def _make(self, tensors: list[Any], finder: _ByDescriptor) -> torch.Tensor | None:
        parts: list[PinPart] = []
        offset, from_file = 0, False
        for leaf in (leaf for tensor in tensors for leaf in _leaves(tensor)):
            pieces = finder.pieces(leaf)
            from_file = from_file or bool(pieces)
            if not pieces:
                pieces = _own_bytes(leaf)
            if not pieces:
                return None
            parts += _place(pieces, offset)
            offset += -(-leaf.nbytes // self._alignment) * self._alignment
        return make_pin(parts, offset) if from_file else None


class _ByDescriptor:
    """The files of one give(), by the descriptors that ComfyUI reads them through."""

    def __init__(self, find_bytes: FindBytes) -> None:
        self._find_bytes = find_bytes
        self._known: dict[int, FileBytes | None] = {}

    def pieces(self, leaf: torch.Tensor) -> Sequence[torch.Tensor]:
        """The bytes of a tensor where it lies in its file; empty: it is converted, or not ours."""
        slice_ = getattr(leaf.untyped_storage(), "_comfy_tensor_file_slice", None)
        if slice_ is None or not isinstance(slice_.file_ref, int) or not _is_whole(leaf):
            return ()
        file = self._find(slice_.file_ref) if slice_.size == leaf.nbytes else None
        pieces = file.pieces(slice_.offset, slice_.size) if file is not None else ()
        return pieces if pieces and _same_sample(pieces, leaf) else ()

    def _find(self, descriptor: int) -> FileBytes | None:
        if descriptor not in self._known:
            state = os.fstat(descriptor)
            self._known[descriptor] = self._find_bytes(state.st_dev, state.st_ino)
        return self._known[descriptor]


def _dynamic_modules(root: Any) -> Iterator[Any]:
    """Modules whose weights ComfyUI moves when they are used."""
    return (module for module in root.modules() if "_v" in module.__dict__)


def _size_of(module: Any) -> int:
    tensors = [each for each in (module.weight, module.bias) if each is not None]
    return sum(int(leaf.nbytes) for each in tensors for leaf in _leaves(each))


def _leaves(tensor: Any) -> Iterable[torch.Tensor]:
    """The plain tensors of one weight, in the order in which ComfyUI packs them."""
    if not hasattr(tensor, "__tensor_flatten__"):
        return (tensor,)
    names, _ = tensor.__tensor_flatten__()
    return tuple(getattr(tensor, name) for name in names)


def _is_whole(leaf: torch.Tensor) -> bool:
    if leaf.device.type != "cpu" or leaf.nbytes == 0:
        return False
    return bool(leaf.is_contiguous() and leaf.storage_offset() == 0)


def _own_bytes(leaf: torch.Tensor) -> Sequence[torch.Tensor]:
    """A small tensor that lies in no file; larger ones are left to ComfyUI."""
    in_file = hasattr(leaf.untyped_storage(), "_comfy_tensor_file_slice")
    if in_file or not _is_whole(leaf) or leaf.nbytes > _LARGEST_OWN_BYTES:
        return ()
    return (_bytes_of(leaf),)


def _place(pieces: Sequence[torch.Tensor], offset: int) -> list[PinPart]:
    parts = []
    for piece in pieces:
        parts.append(PinPart(piece, offset))
        offset += piece.numel()
    return parts


def _bytes_of(leaf: torch.Tensor) -> torch.Tensor:
    return leaf.detach().reshape(-1).view(torch.uint8)


def _same_sample(pieces: Sequence[torch.Tensor], leaf: torch.Tensor) -> bool:
    theirs = _bytes_of(leaf)
    head, tail = pieces[0][:_SAMPLE_BYTES], pieces[-1][-_SAMPLE_BYTES:]
    starts_so = bool(torch.equal(head, theirs[: head.numel()]))
    return starts_so and bool(torch.equal(tail, theirs[-tail.numel() :]))


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
