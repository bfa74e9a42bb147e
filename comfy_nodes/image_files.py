"""Images written beside the prompt: encoded by threads, waited for before anybody hears of them."""

from __future__ import annotations

import asyncio
import errno
import importlib
import io
import json
import os
import secrets
import string
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearth import png

_THREADS = min(4, os.cpu_count() or 1)
_LETTERS = string.ascii_lowercase + string.digits
_MOST_TRIES = 1000
_GREY_AND_ALPHA = 2


@dataclass(frozen=True)
class ImageRequest:
    """What SaveImage is given: images as batch x height x width x channels, from 0 to 1, and what
    goes into their metadata."""

    images: Any
    prefix: str
    texts: Mapping[str, str]


def texts_of(prompt: Any, extra: Mapping[str, Any] | None) -> dict[str, str]:
    """The metadata that ComfyUI writes: the workflow, as JSON."""
    texts = {} if prompt is None else {"prompt": json.dumps(prompt)}
    return texts | {name: json.dumps(value) for name, value in (extra or {}).items()}


class ImageFiles:
    """Writes images in threads of its own. The interpreter's end waits for these."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="hearth images")

    async def save(self, request: ImageRequest) -> list[dict[str, str]]:
        """Where the files are, in the words of ComfyUI's UI, once all of them are there.

        Raises OSError where one could not be written, and ValueError for what is no image.
        """
        folders = importlib.import_module("folder_paths")
        height, width = request.images[0].shape[:2]
        folder, name, counter, subfolder, _ = folders.get_save_image_path(
            request.prefix, folders.get_output_directory(), width, height
        )
        # On the device, so that a quarter of the bytes is to be copied. Cut off, as ComfyUI does.
        pixels = (request.images * 255.0).clamp(0, 255).byte().cpu().contiguous().numpy()
        jobs, answers = [], []
        for index, image in enumerate(pixels):
            file = f"{name.replace('%batch_num%', str(index))}_{counter + index:05}_.png"
            jobs.append(self._begin(Path(folder) / file, image, request.texts))
            answers.append({"filename": file, "subfolder": subfolder, "type": "output"})
        await asyncio.gather(*map(asyncio.wrap_future, jobs))
        return answers

    def _begin(self, path: Path, pixels: Any, texts: Mapping[str, str]) -> Future[None]:
        # ComfyUI takes the next number by the files that are there, this one's among them.
        with _told(path):
            partial = _make_partial(path)
        job = self._pool.submit(_write, path, partial, pixels, texts)
        job.add_done_callback(lambda done: _tidy(partial) if done.cancelled() else None)
        return job


def _make_partial(path: Path) -> Path:
    """A file of nobody else's, with a name that is as long as the path's: some folders take no
    longer one, and ComfyUI has to read the number in it."""
    for _ in range(_MOST_TRIES):
        end = "".join(secrets.choice(_LETTERS) for _ in range(2))
        partial = path.with_name(f"{path.name.removesuffix('.png')}.~{end}")
        with suppress(FileExistsError):
            partial.open("xb").close()
            return partial
    raise FileExistsError(errno.EEXIST, "unfinished files have taken all names beside it")


def _write(path: Path, partial: Path, pixels: Any, texts: Mapping[str, str]) -> None:
    try:
        with _told(path):
            partial.write_bytes(_encode(pixels, texts))
            partial.replace(path)
    except BaseException:
        _tidy(partial)
        raise


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Has an OSError say which image could not be written, and no folder."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        text = f"{path.name} could not be written to ComfyUI's output folder: {reason}"
        raise OSError(error.errno, text) from error


def _encode(pixels: Any, texts: Mapping[str, str]) -> bytes:
    return (_encode_grey if pixels.shape[-1] == _GREY_AND_ALPHA else png.encode)(pixels, texts)


def _encode_grey(pixels: Any, texts: Mapping[str, str]) -> bytes:
    """As ComfyUI writes it; too rare to be made fast."""
    info = importlib.import_module("PIL.PngImagePlugin").PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    file = io.BytesIO()
    image = importlib.import_module("PIL.Image").fromarray(pixels)
    image.save(file, "PNG", pnginfo=info, compress_level=4)
    return file.getvalue()


def _tidy(partial: Path) -> None:
    partial.unlink(missing_ok=True)
