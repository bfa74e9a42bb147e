"""Images as files: ComfyUI's names, its counter, and the workflow in the metadata."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearth import zimage
from hearth.errors import HearthError
from hearth.headless.checks import leaves_folder
from hearth.headless.whole_files import write_whole

Tensor = Any


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


def find_series(out: Path, prefix: str, width: int, height: int) -> Series:
    """The next free names for a prefix, which may begin with folders below `out`.

    `%width%`, `%height%`, `%year%` … `%second%` in it are replaced as ComfyUI does.
    """
    filled = _filled(prefix, width, height)
    if leaves_folder(filled):
        raise HearthError(f'the prefix "{filled}" leads out of the output folder.')
    below, name = os.path.split(os.path.normpath(filled))
    folder = out / below
    taken = re.compile(re.escape(name) + r"_(\d+)", re.IGNORECASE)
    numbers = [0]
    if folder.is_dir():
        found = (taken.match(each) for each in os.listdir(folder))
        numbers += [int(match[1]) for match in found if match]
    return Series(folder, name, max(numbers) + 1)


def save(images: Tensor, series: Series, prompt: Mapping[str, Any], level: int) -> list[Path]:
    """Writes a batch as PNG. `images`: batch x height x width x 3, 0 to 1. `level`: of zlib."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    written = []
    for index, image in enumerate(images):
        metadata = PngInfo()
        metadata.add_text("prompt", json.dumps(prompt))
        picture = Image.fromarray(zimage.as_bytes(image).cpu().numpy())
        path = series.path(index)
        options = {"format": "PNG", "pnginfo": metadata, "compress_level": level}
        write_whole(path, lambda file, p=picture, o=options: p.save(file, **o))  # type: ignore[misc]
        written.append(path)
    return written


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
