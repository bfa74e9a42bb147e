"""Which files the five stock loaders read, as ComfyUI names their folders.

A table of its own, not hearth's: a loader that hearth forgot has to be noticed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# Loader class -> its name inputs, and the folder that these refer to.
_LOADERS: dict[str, tuple[tuple[str, ...], str]] = {
    "CheckpointLoaderSimple": (("ckpt_name",), "checkpoints"),
    "UNETLoader": (("unet_name",), "diffusion_models"),
    "CLIPLoader": (("clip_name",), "text_encoders"),
    "DualCLIPLoader": (("clip_name1", "clip_name2"), "text_encoders"),
    "VAELoader": (("vae_name",), "vae"),
}
# A tiny autoencoder is named without its folder and halves: `taesd` is taesd_encoder and _decoder.
_HALVES = "vae_approx"


def files_of_graph(graph: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """`folder/name` of every file that a stock loader of the graph names."""
    for node in graph.values():
        inputs, folder = _LOADERS.get(str(node["class_type"]), ((), ""))
        values = (node.get("inputs", {}).get(each) for each in inputs)
        yield from (f"{folder}/{value}" for value in values if isinstance(value, str))


def is_about(event: Mapping[str, Any], file: str) -> bool:
    """Whether a model event of hearth's is about the model that this file (`folder/name`) is of.

    One that names no model is about all that its loader could have read.
    """
    loader = str(event.get("loader", ""))
    folder, _, name = file.partition("/")
    expected = _LOADERS.get(loader, ((), ""))[1]
    models = _names(event)
    if folder == _HALVES and expected == "vae":
        stem = name.rsplit(".", 1)[0]
        halves = (f"{each}_{half}" for each in models for half in ("encoder", "decoder"))
        return not models or name in models or stem in halves
    return folder == expected and (not models or name in models)


def _names(event: Mapping[str, Any]) -> list[str]:
    """A dual loader's names are joined by ` + `."""
    return list(_not_empty(str(event.get("model", "")).split(" + ")))


def _not_empty(names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if name)
