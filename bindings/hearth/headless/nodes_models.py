"""Nodes that load models, and that say what stays in the cache and what goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import hearth
from hearth.headless.loaders import LOADERS
from hearth.headless.node_table import ALL_IDLE, NODES
from hearth.headless.prewarm_names import loader_of
from hearth.headless.run_models import ModelRef, file_of, key_of
from hearth.headless.work import Work
from hearth.status_text import status_text

_ALL_BYTES = (1 << 64) - 1
_REASON = "asked for by a node"


def load(work: Work) -> tuple[Any, ...]:
    """A loader of ComfyUI's: as many references as it has outputs."""
    ref = _reference(work, work.node.class_name, work.inputs)
    work.run.models.get(ref, work.node)
    return (ref,) * len(NODES[work.node.class_name].outputs)


def load_and_keep(work: Work) -> tuple[Any, ...]:
    """A loader of hearth's own: it also says how long the model stays."""
    outputs = load(work)
    key, cache = key_of(outputs[0]), hearth.runtime().cache
    slot = (key.kind, key.loader, key.name, key.options)
    pinned = work.run.place.pinned_by_loaders
    if work.inputs["pin"]:
        cache.pin(key)
        pinned.add(slot)
    elif slot in pinned:
        cache.unpin(key)
        pinned.remove(slot)
    cache.keep_alive(key, work.inputs["keep_alive_s"] or None)
    return outputs


def shift_noise(work: Work) -> tuple[Any, ...]:
    """ModelSamplingAuraFlow: the same model with other noise levels."""
    return (replace(work.inputs["model"], shift=work.inputs["shift"]),)


def prewarm(work: Work) -> tuple[Any, ...]:
    """Loads a model that a later run is to find."""
    model = work.inputs["model"]
    class_name, inputs = loader_of(model, work.inputs["options"], work.run.place.models)
    work.run.models.get(_reference(work, class_name, inputs), work.node)
    _say(work, f"{model} is loaded")
    return (work.inputs["after"],)


def evict(work: Work) -> tuple[Any, ...]:
    """Drops a model, also one that this run has used; or all that are idle."""
    cache = hearth.runtime().cache
    before = cache.stats()["resident"]
    if work.inputs["model"] == ALL_IDLE:
        cache.trim(_ALL_BYTES, _ALL_BYTES, _REASON)
    else:
        _erase(work, work.inputs["model"])
    _say(work, f"evicted: {before - cache.stats()['resident']}")
    return (work.inputs["after"],)


def pin(work: Work) -> tuple[Any, ...]:
    """Pins the model behind a link, or unpins it."""
    ref, pinned = work.inputs["model"], work.inputs["pinned"]
    if isinstance(ref, ModelRef):
        cache = hearth.runtime().cache
        (cache.pin if pinned else cache.unpin)(key_of(ref))
        _say(work, f"{ref.file.name} is {'pinned' if pinned else 'not pinned any more'}")
    else:
        _say(work, "not pinned: this is no model")
    return (ref,)


def status(work: Work) -> tuple[Any, ...]:
    """What is in the cache."""
    text = status_text(hearth.runtime().cache.residents())
    _say(work, text)
    return (text,)


def _reference(work: Work, class_name: str, inputs: dict[str, Any]) -> ModelRef:
    place = work.run.place
    # As ComfyUI's input `device` of CLIPLoader has it.
    device = "cpu" if inputs.get("device") == "cpu" else place.device
    numbers = place.numbers if device != "cpu" else "parity"
    return ModelRef(file_of(class_name, inputs, place.models), device, numbers)


def _erase(work: Work, name: str) -> None:
    cache = hearth.runtime().cache
    for view in cache.residents():
        list_name = _LISTS.get(view["kind"], "")
        if name in (view["name"], f"{list_name}/{view['name']}"):
            work.run.models.let_go(view["key"])
            cache.erase(view["key"], _REASON)


def _say(work: Work, text: str) -> None:
    work.run.texts[work.node.id] = text


_LISTS: dict[str, str] = {loader.kind: loader.list_name for loader in LOADERS}
FUNCTIONS: dict[str, Callable[[Work], tuple[Any, ...]]] = {
    "CheckpointLoaderSimple": load,
    "UNETLoader": load,
    "CLIPLoader": load,
    "VAELoader": load,
    "HearthCheckpointLoader": load_and_keep,
    "HearthDiffusionModelLoader": load_and_keep,
    "HearthCLIPLoader": load_and_keep,
    "HearthVAELoader": load_and_keep,
    "HearthZImageLoader": load_and_keep,
    "ModelSamplingAuraFlow": shift_noise,
    "HearthPrewarm": prewarm,
    "HearthEvict": evict,
    "HearthPin": pin,
    "HearthCacheStatus": status,
}
