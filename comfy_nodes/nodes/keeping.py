"""Nodes that say in a graph what stays and what goes. Each hands on what it is given, so that its
place in the graph says when it happens."""

from __future__ import annotations

from typing import Any

from ..combo import choices, inputs_of
from ..stock_loaders import STOCK_LOADERS
from .node import ANY, Inputs, Node, Output, Result, always_anew, spec
from .service import NodeService
from .stock import stock_class

_ALL_IDLE = "(all that are idle)"
_AFTER = Output(ANY, "after", "What was given to after.")
_AFTER_TIP = "Anything: this node runs once it is there, and hands it on."


def keeping_nodes() -> list[Node]:
    """Prewarm, Evict, Pin and Cache status."""
    return [_prewarm(), _evict(), _pin(), _status()]


def _prewarm() -> Node:
    def run(service: NodeService, model: str, options: str = "", after: Any = None) -> Result:
        return Result((after,), service.prewarm(model, options))

    return Node(
        id="HearthPrewarm",
        title="Prewarm (hearth)",
        description="Loads a model into hearth's cache, so that later workflows find it there.",
        inputs=_prewarm_inputs,
        outputs=(_AFTER,),
        run=run,
        is_output=True,
        runs_again=True,
    )


def _evict() -> Node:
    def run(service: NodeService, model: str, free: bool = False, after: Any = None) -> Result:
        return Result((after,), service.evict(None if model == _ALL_IDLE else model, free))

    return Node(
        id="HearthEvict",
        title="Evict (hearth)",
        description="Drops a model from hearth's cache, here in the graph and in every prompt.",
        inputs=_evict_inputs,
        outputs=(_AFTER,),
        run=run,
        fingerprint=always_anew,
        is_output=True,
    )


def _pin() -> Node:
    def run(service: NodeService, model: Any, pinned: bool = True) -> Result:
        return Result((model,), service.pin(model, pinned))

    return Node(
        id="HearthPin",
        title="Pin (hearth)",
        description="Pins the model behind a MODEL, CLIP or VAE, or unpins it.",
        inputs=_pin_inputs,
        outputs=(Output(ANY, "model", "What was given to model."),),
        run=run,
        is_output=True,
    )


def _status() -> Node:
    def run(service: NodeService, after: Any = None) -> Result:
        text = service.status()
        return Result((text,), text)

    return Node(
        id="HearthCacheStatus",
        title="Cache status (hearth)",
        description="Says what is in hearth's cache, here in the graph and in every prompt.",
        inputs=lambda: {"required": {}, "optional": {"after": spec(ANY, _AFTER_TIP)}},
        outputs=(Output("STRING", "text", "A line for each model."),),
        run=run,
        fingerprint=always_anew,
        is_output=True,
    )


def _prewarm_inputs() -> Inputs:
    return {
        "required": {"model": spec(_names(with_folder=True), "The model, by its folder and name.")},
        "optional": {
            "options": spec(
                "STRING",
                "Further inputs of its loader, as in prewarm.models: type=sd3 for a text encoder, "
                "weight_dtype=fp8_e4m3fn for a diffusion model.",
                default="",
            ),
            "after": spec(ANY, _AFTER_TIP),
        },
    }


def _evict_inputs() -> Inputs:
    return {
        "required": {
            "model": spec(
                [_ALL_IDLE, *_names(with_folder=False)],
                "The model to drop, pinned or not; or all that are neither pinned nor used by this "
                "prompt.",
            )
        },
        "optional": {
            "free": spec(
                "BOOLEAN",
                "Also have ComfyUI's node cache let go of what earlier prompts hold.",
                default=False,
            ),
            "after": spec(ANY, _AFTER_TIP),
        },
    }


def _pin_inputs() -> Inputs:
    return {
        "required": {"model": spec(ANY, "A MODEL, CLIP or VAE, from a loader or further on.")},
        "optional": {"pinned": spec("BOOLEAN", "Off unpins it.", default=True)},
    }


def _names(with_folder: bool) -> list[str]:
    """The files that one-file loaders list, in the order of the loaders."""
    found: dict[str, None] = {}
    for loader in STOCK_LOADERS:
        owner = stock_class(loader.class_name)
        if owner is not None and len(loader.folders) == 1:
            (field, folder), *_ = loader.folders.items()
            for name in choices(inputs_of(owner).get(field)):
                found[f"{folder}/{name}" if with_folder else str(name)] = None
    return list(found)
