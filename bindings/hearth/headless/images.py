"""Images as files: ComfyUI's names, its counter, and the workflow in the metadata."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hearth import zimage
from hearth.errors import HearthError
from hearth.headless.prefixes import filled, leaves_folder

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

    def paths(self, index: int) -> Iterator[Path]:
        """Of the image with this index in its batch: the name it is to have, and those with the
        numbers after it, for when somebody else has taken that."""
        name = self.name.replace("%batch_num%", str(index))
        for number in itertools.count(self.number + index):
            yield self.folder / f"{name}_{number:05}_.png"


def find_series(out: Path, prefix: str, size: tuple[int, int], under_way: UnderWay) -> Series:
    """The next free names for a prefix, which may begin with folders below `out`. `size`: width and
    height of an image.

    `%width%`, `%height%`, `%year%` … `%second%` in it are replaced as ComfyUI does.
    """
    place = filled(prefix, size)
    if leaves_folder(place):
        raise HearthError(f'the prefix "{place}" leads out of the output folder.')
    below, name = os.path.split(os.path.normpath(place))
    folder = out / below
    # As ComfyUI counts on Linux: a number ends at "_", "." or with the name, and capitals count.
    taken = re.compile(re.escape(name) + r"_(\d+)(?![^_.])")
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
