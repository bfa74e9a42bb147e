"""ComfyUI's five loaders with a say in how long the model stays."""

from __future__ import annotations

from typing import Any

from ..combo import choices, did_you_mean, inputs_of
from ..stock_loaders import HEARTH_LOADERS, STOCK_LOADERS
from .node import Inputs, Node, Output, Result, spec
from .service import NodeService
from .stock import stock_class, stock_inputs

_SECONDS_A_YEAR = 31_536_000
_NAMES = {loader.class_name: tuple(loader.folders) for loader in STOCK_LOADERS}

_MODEL = Output("MODEL", "MODEL", "The MODEL that samplers take.")
_CLIP = Output("CLIP", "CLIP", "The text encoder that prompts are encoded with.")
_VAE = Output("VAE", "VAE", "The autoencoder between images and latents.")


def loader_nodes() -> list[Node]:
    """One node for each stock loader that this ComfyUI has."""
    nodes = [
        _loader("HearthCheckpointLoader", "Load Checkpoint", _MODEL, _CLIP, _VAE),
        _loader("HearthDiffusionModelLoader", "Load Diffusion Model", _MODEL),
        _loader("HearthCLIPLoader", "Load CLIP", _CLIP),
        _loader("HearthDualCLIPLoader", "DualCLIPLoader", _CLIP),
        _loader("HearthVAELoader", "Load VAE", _VAE),
    ]
    return [node for node in nodes if node is not None]


def name_fault(class_name: str, inputs: dict[str, Any]) -> str:
    """What is wrong with the names of a loader's files, and what to do; "" when nothing is."""
    known = inputs_of(stock_class(class_name))
    for name in _NAMES[class_name]:
        value, list_ = inputs.get(name), choices(known.get(name))
        if value is not None and value not in list_:
            hint = did_you_mean(str(value), list_)
            return (
                f"{name}: ComfyUI has no model file {value!r}{hint}. Put it into the models "
                "folder, or choose one of the list."
            )
    return ""


def _loader(id_: str, title: str, *outputs: Output) -> Node | None:
    class_name = HEARTH_LOADERS[id_]
    if stock_class(class_name) is None:
        return None
    return Node(
        id=id_,
        title=f"{title} (hearth)",
        description=f"{class_name} through hearth's cache, with a say in how long the model stays. "
        "It is the same model: nothing is loaded twice.",
        inputs=lambda: loader_inputs(class_name),
        outputs=outputs,
        run=lambda service, **inputs: Result(load(service, class_name, **inputs)),
        fingerprint=lambda service, **inputs: stamp(service, class_name, **inputs),
        fault=lambda service, **names: name_fault(class_name, names),
        checked=_NAMES[class_name],
    )


def loader_inputs(class_name: str) -> Inputs:
    """Those of the stock loader, and hearth's two."""
    inputs = stock_inputs(class_name)
    inputs["optional"] |= {
        "pin": spec(
            "BOOLEAN",
            "Never evict this model, whatever the limits are. Off takes back a pin that a loader "
            "has set, and leaves other pins as they are.",
            default=False,
        ),
        "keep_alive_s": spec(
            "INT",
            "Evict this model when it was not used for so many seconds, and not before for being "
            "idle, in place of unload.idle_seconds. 0: as configured.",
            default=0,
            min=0,
            max=_SECONDS_A_YEAR,
        ),
    }
    return inputs


def load(
    service: NodeService,
    class_name: str,
    pin: bool = False,
    keep_alive_s: float = 0,
    **inputs: Any,
) -> tuple[Any, ...]:
    """What the stock loader returns, through the cache."""
    # A name that came by a link was not there to be checked before the prompt began.
    if fault := name_fault(class_name, inputs):
        raise service.not_found(fault)
    outputs = service.load(class_name, inputs)
    name = " + ".join(str(inputs[field]) for field in _NAMES[class_name])
    service.retain(name, outputs, pin, keep_alive_s)
    return outputs


def stamp(
    service: NodeService, class_name: str, pin: Any = None, keep_alive_s: Any = None, **inputs: Any
) -> Any:
    """The state of the files that load() would read."""
    return service.stamp(class_name, inputs)
