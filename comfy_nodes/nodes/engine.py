"""Nodes whose work hearth's own engine does, wherever that gives what ComfyUI gives."""

from __future__ import annotations

from typing import Any

from ..stock_loaders import HEARTH_LOADERS
from .loaders import load, loader_inputs, name_fault, stamp
from .node import Node, Output, Result
from .service import NodeService
from .stock import stock_class, stock_inputs

_ID = "HearthZImageLoader"
_LOADER = HEARTH_LOADERS[_ID]


def engine_nodes() -> list[Node]:
    """The engine's loader and its VAE decode, where this ComfyUI has what they build on."""
    nodes = {_LOADER: _zimage_loader, "VAEDecode": _decode}
    return [make() for class_name, make in nodes.items() if stock_class(class_name) is not None]


def _zimage_loader() -> Node:
    def run(service: NodeService, **inputs: Any) -> Result:
        (model,) = load(service, _LOADER, **inputs)
        return Result((service.with_engine(model, str(inputs["unet_name"])),))

    return Node(
        id=_ID,
        title="Load Z-Image (hearth engine)",
        description="A Z-Image MODEL that hearth's own engine computes. With a LoRA, a patch, "
        "ControlNet or anything else the engine does not know, ComfyUI's own code computes, with "
        "the result it always has; Cache status says which did.",
        inputs=lambda: loader_inputs(_LOADER),
        outputs=(Output("MODEL", "MODEL", "The MODEL that samplers take."),),
        run=run,
        fingerprint=lambda service, **inputs: stamp(service, _LOADER, **inputs),
        fault=lambda service, **names: name_fault(_LOADER, names),
        checked=("unet_name",),
    )


def _decode() -> Node:
    return Node(
        id="HearthVAEDecode",
        title="VAE decode (hearth)",
        description="VAE Decode, by hearth's own engine for VAEs of Flux's kind (Flux, Z-Image, "
        "SD3) and by ComfyUI for any other.",
        inputs=lambda: stock_inputs("VAEDecode"),
        outputs=(Output("IMAGE", "IMAGE", "The decoded image."),),
        run=lambda service, vae, samples: Result(service.decode(vae, samples)),
    )
