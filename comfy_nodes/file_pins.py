"""Makes pins of tensors' bytes where they lie in mapped files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import torch

from .gathered_pin import PinPart, make_pin

# Scales of quantised weights are made by ComfyUI and lie in no file; larger ones are left to it.
_LARGEST_OWN_BYTES = 1 << 16
_SAMPLE_BYTES = 256


class FileBytes(Protocol):
    """The bytes of one file that a device can copy from by itself."""

    def pieces(self, offset: int, size: int) -> Sequence[torch.Tensor]:
        """That range (uint8, one dimension) in as few copies as it takes; empty: not all of it can
        be copied from."""


# By the descriptor that ComfyUI reads the file through; None: this file is not ours.
FindFile = Callable[[int], FileBytes | None]


class FilePins:
    """`alignment`: where ComfyUI lets each tensor of a packed buffer begin, in bytes. Remembers
    what it has found, so that it serves for one occasion."""

    def __init__(self, alignment: int, find_file: FindFile) -> None:
        self._alignment = alignment
        self._find_file = find_file
        self._known: dict[int, FileBytes | None] = {}

    def make(self, tensors: Iterable[Any]) -> torch.Tensor | None:
        """One pin for these, packed as ComfyUI packs them; None: some of it is converted, or not
        ours, or cannot be copied from."""
        parts: list[PinPart] = []
        offset, from_file = 0, False
        for leaf in (leaf for tensor in tensors for leaf in leaves(tensor)):
            pieces = self._pieces(leaf)
            from_file = from_file or bool(pieces)
            if not pieces:
                pieces = _own_bytes(leaf)
            if not pieces:
                return None
            parts += _place(pieces, offset)
            offset += -(-leaf.nbytes // self._alignment) * self._alignment
        return make_pin(parts, offset) if from_file else None

    def _pieces(self, leaf: torch.Tensor) -> Sequence[torch.Tensor]:
        slice_ = getattr(leaf.untyped_storage(), "_comfy_tensor_file_slice", None)
        if slice_ is None or not isinstance(slice_.file_ref, int) or not _is_whole(leaf):
            return ()
        file = self._find(slice_.file_ref) if slice_.size == leaf.nbytes else None
        pieces = file.pieces(slice_.offset, slice_.size) if file is not None else ()
        return pieces if pieces and _same_sample(pieces, leaf) else ()

    def _find(self, descriptor: int) -> FileBytes | None:
        if descriptor not in self._known:
            self._known[descriptor] = self._find_file(descriptor)
        return self._known[descriptor]


def leaves(tensor: Any) -> Iterable[torch.Tensor]:
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
