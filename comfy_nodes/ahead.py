"""Which files prompts will need, known from names alone: before ComfyUI's nodes exist, and while
another prompt runs.

A name that is in no list, or in a file that is no workflow, is passed over here: whoever loads it
says what is wrong.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .prewarm_names import PrewarmError
from .prewarm_workflows import check_graph, read_workflow
from .stock_loaders import PATCH_LOADERS, STOCK_LOADERS, loader_of

_LOG = logging.getLogger("hearth")
_JOIN = " + "
SAFETENSORS = (".safetensors", ".sft")


def files_of_graph(graph: Mapping[str, Any]) -> Iterator[str]:
    """Paths of the files that the loaders of an API-format graph will read, hearth's and those of
    LoRAs included."""
    for node in graph.values():
        class_type = str(node.get("class_type", ""))
        loader = loader_of(class_type)
        folders = PATCH_LOADERS.get(class_type, {}) if loader is None else loader.folders
        inputs = node.get("inputs", {}) if folders else {}
        for field, folder in folders.items():
            if isinstance(inputs.get(field), str):
                yield from _paths(folder, inputs[field])


def files_of_model(text: str) -> Iterator[str]:
    """Paths of the files of a model as `prewarm.models` names it."""
    for name in text.partition("?")[0].split(_JOIN):
        folder, _, rest = name.partition("/")
        named = [(folder, rest)] if rest else []
        for place, entry in [*named, *((each, name) for each in _folders())]:
            found = list(_paths(place, entry))
            if found:
                yield from found
                break


def files_of_config(config: Mapping[str, Any], folders: list[Path]) -> list[str]:
    """Paths of all that a config wants prewarmed, each once, in the order given."""
    if not config["prewarm_on_startup"] or not config["host_tier"]["enabled"]:
        return []
    found: dict[str, None] = {}
    for model in config["prewarm"]["models"]:
        found.update(dict.fromkeys(files_of_model(model)))
    for workflow in config["prewarm"]["workflows"]:
        try:
            graph = check_graph(read_workflow(workflow, folders), workflow)
        except PrewarmError:
            continue
        found.update(dict.fromkeys(files_of_graph(graph)))
    return list(found)


def read_files(tier: Any, paths: Iterable[str]) -> int:
    """Has native threads read these files into RAM; returns at once with the number begun."""
    begun = 0
    for path in paths:
        try:
            with tier.hold(path) as file:
                file.read_ahead(wait=False)
                begun += 1
        except (OSError, RuntimeError, ValueError) as error:
            _LOG.debug("not read ahead: %s", error)
    return begun


def register_files(tier: Any, paths: Sequence[str], register: Callable[[Any], None]) -> None:
    """Registers files for transfers as soon as they are read; blocks, so it has its own thread.
    `register` does it where that stalls nothing."""
    for path in paths:
        try:
            with tier.hold(path) as file:
                file.read_ahead(wait=True)
                register(file)
        except (OSError, RuntimeError, ValueError) as error:
            _LOG.debug("not registered ahead: %s", error)


def _folders() -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(folder for loader in STOCK_LOADERS for folder in loader.folders.values())
    )


def _paths(folder: str, name: str) -> Iterator[str]:
    # Other formats are unpickled or converted into private memory: their pages are of no use.
    if not name.endswith(SAFETENSORS):
        return
    folder_paths = importlib.import_module("folder_paths")
    if folder not in folder_paths.folder_names_and_paths:
        return
    path = folder_paths.get_full_path(folder, name)
    if path is not None:
        yield str(path)
