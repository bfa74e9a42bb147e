"""A file, and tensors that carry where in it they lie, as those of ComfyUI's loader do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import torch


class FileSlice(NamedTuple):
    """ComfyUI's note at a tensor's storage."""

    file_ref: int
    lock: object
    offset: int
    size: int


class SlicedFile:
    """Random bytes, on disk and here."""

    def __init__(self, path: Path, size: int = 1 << 16) -> None:
        self.bytes = torch.randint(0, 255, (size,), dtype=torch.uint8)
        path.write_bytes(bytes(self.bytes.tolist()))
        self.descriptor = os.open(path, os.O_RDONLY)

    def tensor(self, offset: int, shape: tuple[int, ...], dtype: Any = torch.uint8) -> Any:
        size = torch.Size(shape).numel() * dtype.itemsize
        content = self.bytes[offset : offset + size].clone().view(dtype).view(shape)
        slice_ = FileSlice(self.descriptor, None, offset, size)
        content.untyped_storage()._comfy_tensor_file_slice = slice_  # type: ignore[attr-defined]
        return content

    def pieces(self, offset: int, size: int) -> list[Any]:
        """That range, as registered memory would be handed out."""
        return [self.bytes[offset : offset + size]]

    def close(self) -> None:
        os.close(self.descriptor)
