"""Images as files: ComfyUI's names, its counter, and the workflow in the metadata."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hearth import zimage
from hearth.errors import HearthError
from hearth.headless.checks import leaves_folder

Tensor = Any
Array = Any
UnderWay = Callable[[Path], Iterable[str]]
"""Gives the names of files that will be in a folder and are not yet."""


@dataclass(frozen=True)
class Series:
    """Where the images of one node go: `name_00001_.png` and so on, from the first free number."""

    folder: Path
    name: str
    number: int

    def path(self, index: int) -> Path:
        """Of the image with this index in its batch."""
        name = self.name.replace("%batch_num%", str(index))
        return self.folder / f"{name}_{self.number + index:05}_.png"


def find_series(out: Path, prefix: str, size: tuple[int, int], under_way: UnderWay) -> Series:
    """The next free names for a prefix, which may begin with folders below `out`. `size`: width and
    height of an image.

    `%width%`, `%height%`, `%year%` … `%second%` in it are replaced as ComfyUI does.
    """
    filled = _filled(prefix, *size)
    if leaves_folder(filled):
        raise HearthError(f'the prefix "{filled}" leads out of the output folder.')
    below, name = os.path.split(os.path.normpath(filled))
    folder = out / below
    taken = re.compile(re.escape(name) + r"_(\d+)", re.IGNORECASE)
    # In this order: what is written meanwhile is seen at least once.
    names = [*under_way(folder), *(os.listdir(folder) if folder.is_dir() else ())]
    numbers = [int(match[1]) for match in map(taken.match, names) if match]
    return Series(folder, name, max(numbers, default=0) + 1)


def host_bytes(images: Tensor) -> Array:
    """Images, from 0 to 1, as uint8 in host memory. They become bytes where they are, so that one
    copy of a quarter of the size brings them here, through pinned memory from a GPU."""
    pixels = zimage.as_bytes(images)
    if pixels.is_cuda:
        with contextlib.suppress(RuntimeError):  # no more memory can be pinned: a slower copy
            host = torch.empty(pixels.shape, dtype=torch.uint8, pin_memory=True)
            pixels = host.copy_(pixels)
    return pixels.cpu().contiguous().numpy()


def _filled(prefix: str, width: int, height: int) -> str:
    now = time.localtime()
    words = {
        "width": str(width),
        "height": str(height),
        "year": str(now.tm_year),
        "month": f"{now.tm_mon:02}",
        "day": f"{now.tm_mday:02}",
        "hour": f"{now.tm_hour:02}",
        "minute": f"{now.tm_min:02}",
        "second": f"{now.tm_sec:02}",
    }
    for word, text in words.items():
        prefix = prefix.replace(f"%{word}%", text)
    return prefix
