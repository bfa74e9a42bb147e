"""From the name of a model in `prewarm.models` to the graph that loads it.

A name is an entry of ComfyUI's lists, with its folder where two lists have it, and with the
loader's other inputs after a question mark:

    sd3.safetensors
    diffusion_models/z_image.safetensors?weight_dtype=fp8_e4m3fn
    text_encoders/clip_l.safetensors?type=sd3
    clip_l.safetensors + clip_g.safetensors?type=sdxl
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from .combo import choices, did_you_mean, inputs_of
from .stock_loaders import STOCK_LOADERS, StockLoader

Graph = dict[str, dict[str, Any]]

NODE = "loader"
_JOIN = " + "


class PrewarmError(ValueError):
    """Something that cannot be prewarmed; the message says why and what to do."""


@dataclass(frozen=True)
class _Match:
    """A loader whose lists have the names that were asked for."""

    loader: StockLoader
    names: tuple[str, ...]

    @property
    def inputs(self) -> dict[str, Any]:
        return dict(zip(self.loader.folders, self.names, strict=True))

    @property
    def full_name(self) -> str:
        folder = next(iter(self.loader.folders.values()))
        return f"{folder}/{_JOIN.join(self.names)}"


def model_graph(text: str, classes: Mapping[str, Any]) -> Graph:
    """The graph of one loader node. `classes` are ComfyUI's node classes by name.

    Throws PrewarmError for a name that no list has, that two have, or that needs options.
    """
    name, _, query = text.partition("?")
    match = _the_match(name, classes)
    owner = classes[match.loader.class_name]
    given = dict(parse_qsl(query, keep_blank_values=True))
    inputs = _defaults(owner) | match.inputs | given
    _check_options(text, match, given, owner)
    return {NODE: {"class_type": match.loader.class_name, "inputs": inputs}}


def _the_match(name: str, classes: Mapping[str, Any]) -> _Match:
    matches = list(_matches(name, classes))
    if len(matches) == 1:
        return matches[0]
    if matches:
        full = ", ".join(match.full_name for match in matches)
        raise PrewarmError(f"{name} stands in several lists; say which: {full}")
    known = [entry for loader in STOCK_LOADERS for entry in _entries(loader, classes)]
    hint = did_you_mean(name.rpartition("/")[2], known)
    raise PrewarmError(f"{name} is in none of ComfyUI's lists of models{hint}")


def _matches(name: str, classes: Mapping[str, Any]) -> Iterator[_Match]:
    for loader in STOCK_LOADERS:
        entries = set(_entries(loader, classes))
        parts = name.split(_JOIN) if len(loader.folders) > 1 else [name]
        if not entries or len(parts) != len(loader.folders):
            continue
        for shorten in (False, True):
            names = tuple(
                part.removeprefix(f"{folder}/") if shorten else part
                for part, folder in zip(parts, loader.folders.values(), strict=True)
            )
            if all(each in entries for each in names):
                yield _Match(loader, names)
                break


def _entries(loader: StockLoader, classes: Mapping[str, Any]) -> list[str]:
    owner = classes.get(loader.class_name)
    if owner is None:
        return []
    options = choices(inputs_of(owner).get(next(iter(loader.folders))))
    return [str(entry) for entry in options]


def _defaults(owner: Any) -> dict[str, Any]:
    """What the node has in the editor before anybody changes it."""
    found: dict[str, Any] = {}
    for name, spec in inputs_of(owner).items():
        listed = choices(spec)
        further = spec[1] if len(spec) > 1 else {}
        if "default" in further or listed:
            found[name] = further.get("default", listed[0] if listed else None)
    return found


def _check_options(text: str, match: _Match, given: Mapping[str, str], owner: Any) -> None:
    inputs = inputs_of(owner).items()
    known = {name: spec for name, spec in inputs if name not in match.loader.folders}
    for name, value in given.items():
        if name not in known:
            there = f"it has {', '.join(known)}" if known else "it has no options"
            raise PrewarmError(f"{text}: {match.loader.class_name} has no input {name}; {there}")
        listed = [str(choice) for choice in choices(known[name])]
        if listed and value not in listed:
            hint = did_you_mean(value.lower(), listed)
            raise PrewarmError(f"{text}: {name} cannot be {value}{hint}")
    # The editor's first entry is a guess that would load the encoder as another type's.
    if match.loader.kind == "text_encoder" and "type" not in given:
        raise PrewarmError(
            f"{text}: say the type of the text encoder, e.g. {match.full_name}?type=sd3; "
            f"types are {', '.join(map(str, choices(known.get('type'))))}"
        )
