"""SaveImage with a fast encoder, writing while the rest of the prompt runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .node import Node, Output, Result
from .service import NodeService
from .stock import stock_class, stock_inputs

_IMAGES = Output("IMAGE", "images", "The images that were saved.")


def image_nodes() -> list[Node]:
    """Save image, where this ComfyUI has what it stands for."""
    owner = stock_class("SaveImage")
    if owner is None:
        return []
    node = Node(
        id="HearthSaveImage",
        title="Save image (hearth)",
        description="SaveImage with the same files: pixels, names and metadata. They are encoded "
        "several times faster, and written while the rest of the prompt runs.",
        inputs=lambda: stock_inputs("SaveImage"),
        # Newer versions of ComfyUI hand the images on.
        outputs=(_IMAGES,) if owner.RETURN_TYPES else (),
        run=_save,
        hidden=("prompt", "extra_pnginfo"),
        is_output=True,
        writes=True,
        is_async=True,
    )
    return [node]


async def _save(
    service: NodeService,
    images: Any,
    filename_prefix: str = "ComfyUI",
    prompt: Any = None,
    extra_pnginfo: Mapping[str, Any] | None = None,
) -> Result:
    saved = await service.save(images, filename_prefix, prompt, extra_pnginfo)
    handed_on = (images,) if stock_class("SaveImage").RETURN_TYPES else ()
    return Result(handed_on, images=saved)
