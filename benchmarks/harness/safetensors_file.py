"""Writes safetensors files tensor by tensor, so that a file may be larger than memory.

The values of a tensor depend on the seed and on its own name only: two files that share a tensor
name and a seed share its values, whatever else they hold. Zero tensors are left as holes.
"""

from __future__ import annotations

import json
import math
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

_TORCH_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_CHUNK_ELEMENTS = 1 << 24

Progress = Callable[[int], None]


@dataclass(frozen=True)
class TensorSpec:
    """One tensor to write: normal values of `mean` and `std`, or zeros when both are 0."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "F32"
    std: float = 0.0
    mean: float = 0.0

    @property
    def elements(self) -> int:
        """How many numbers the tensor holds."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """How many bytes the tensor takes in the file."""
        return self.elements * int(_TORCH_DTYPES[self.dtype].itemsize)


def total_bytes(specs: Sequence[TensorSpec]) -> int:
    """Bytes of all tensors together, without the header."""
    return sum(spec.nbytes for spec in specs)


def write_safetensors(
    path: Path,
    specs: Sequence[TensorSpec],
    seed: int,
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> Path:
    """Writes `specs` to `path` by renaming a finished temporary file over it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header, offsets = _layout(specs)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + total_bytes(specs))
        file.flush()
        with ThreadPoolExecutor(max_workers=threads) as pool:
            jobs = [
                pool.submit(_write_tensor, file.fileno(), len(header) + offset, spec, seed)
                for spec, offset in zip(specs, offsets, strict=True)
            ]
            for job in jobs:
                written = job.result()
                if progress is not None:
                    progress(written)
    os.replace(partial, path)
    return path


def _layout(specs: Sequence[TensorSpec]) -> tuple[bytes, list[int]]:
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offsets: list[int] = []
    end = 0
    for spec in specs:
        offsets.append(end)
        entries[spec.name] = {
            "dtype": spec.dtype,
            "shape": list(spec.shape),
            "data_offsets": [end, end + spec.nbytes],
        }
        end += spec.nbytes
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text, offsets


def _write_tensor(descriptor: int, offset: int, spec: TensorSpec, seed: int) -> int:
    if spec.std == 0.0 and spec.mean == 0.0:
        return spec.nbytes
    # torch keeps 32 bits of a seed only, so both parts have to be mixed into those.
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}:{spec.name}".encode()))
    left = spec.elements
    while left:
        count = min(left, _CHUNK_ELEMENTS)
        chunk = torch.empty(count, dtype=_TORCH_DTYPES[spec.dtype])
        chunk.normal_(spec.mean, spec.std, generator=generator)
        raw: Any = chunk.view(torch.uint8).numpy()
        view = memoryview(raw)
        while view:
            written = os.pwrite(descriptor, view, offset)
            view = view[written:]
            offset += written
        left -= count
    return spec.nbytes
