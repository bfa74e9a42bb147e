"""Nodes from finished latents to files."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hearth import zimage
from hearth.errors import HearthError
from hearth.headless.image_writer import ImageFile
from hearth.headless.images import find_series, host_bytes
from hearth.headless.prefixes import PREVIEWS
from hearth.headless.work import Work

_PREVIEW = "ComfyUI_temp"


def decode(work: Work) -> tuple[Any, ...]:
    """VAEDecode: batch x height x width x 3, 0 to 1."""
    ref, latents = work.inputs["vae"], work.inputs["samples"]
    model = work.run.models.get(ref, work.node)
    if model.vae is None:
        raise HearthError(f"{ref.file.name} has no VAE; load one with VAELoader.")
    if latents.shape[1] != model.vae.channels:
        raise HearthError(
            f"latents of {latents.shape[1]} channels, and the VAE's have {model.vae.channels}."
        )
    image = zimage.as_image(model.vae.decode(latents.to(ref.device))).float()
    model.require_sound()
    return (image,)


def save_image(work: Work) -> tuple[Any, ...]:
    """SaveImage."""
    return _save(work, work.run.place.out, work.inputs["filename_prefix"])


def preview_image(work: Work) -> tuple[Any, ...]:
    """PreviewImage: into the folder `temp` of the output folder."""
    return _save(work, work.run.place.out / PREVIEWS, _PREVIEW)


def _save(work: Work, folder: Path, prefix: str) -> tuple[Any, ...]:
    images, writer = work.inputs["images"], work.run.place.writer
    height, width = images.shape[1:3]
    series = find_series(folder, prefix, (width, height), writer.names_in)
    texts = {"prompt": json.dumps(work.run.prompt)}
    for index, pixels in enumerate(host_bytes(images)):
        image = ImageFile(functools.partial(series.paths, index), pixels, texts)
        work.run.writing.append((work.node, writer.begin(image)))
    return (images,)


FUNCTIONS: dict[str, Callable[[Work], tuple[Any, ...]]] = {
    "VAEDecode": decode,
    "SaveImage": save_image,
    "PreviewImage": preview_image,
    "HearthVAEDecode": decode,
    "HearthSaveImage": save_image,
}
