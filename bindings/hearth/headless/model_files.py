"""Whether the files that plans name are what their loaders take. Of each the header is read."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hearth.check import tensor_names
from hearth.errors import HearthError
from hearth.headless.checks import Plan, PlannedNode, origins_of
from hearth.headless.faults import Fault, quoted
from hearth.headless.loaders import Loader, loader_of_class
from hearth.headless.model_lists import ModelLists
from hearth.headless.prewarm_names import loader_of


@dataclass(frozen=True)
class _Part:
    """A model that a file may hold, told by one tensor that the engine asks for first."""

    what: str
    mark: str
    prefixes: tuple[str, ...]
    load_it_with: str

    def is_in(self, names: frozenset[str]) -> bool:
        return any(prefix + self.mark in names for prefix in self.prefixes)


# As cpp/zimage looks for them; what else a file lacks is told when it is loaded.
_PARTS = {
    "diffusion_model": _Part(
        "transformer",
        "cap_embedder.0.weight",
        ("", "model.diffusion_model.", "diffusion_model."),
        "UNETLoader",
    ),
    "text_encoder": _Part(
        "text encoder",
        "embed_tokens.weight",
        ("model.", "", "text_encoders.qwen3_4b.transformer.model.", "qwen3_4b.transformer.model."),
        "CLIPLoader",
    ),
    "vae": _Part("VAE", "decoder.conv_in.weight", ("", "vae.", "first_stage_model."), "VAELoader"),
}
_OF_OUTPUTS = {"CLIP": "text_encoder", "VAE": "vae"}


def faults_of_files(plans: Sequence[Plan], models: ModelLists) -> list[Fault]:
    """A fault for each file that is broken, or holds no model of the kind that is wanted of it.

    REQUIRES: the plans have no faults.
    """
    found: list[Fault] = []
    for plan in plans:
        used = _used_types(plan)
        for node in plan.nodes.values():
            for file in _files(node, used.get(node.id, set()), models):
                wrong = _wrong_about(file, _names(file.path, _stamp(file.path)))
                if wrong:
                    found.append(Fault(wrong, node.id, node.class_name, file.input))
    return list(dict.fromkeys(found))


def paths_of(plans: Iterable[Plan], models: ModelLists) -> Iterator[Path]:
    """Of the files that loaders and prewarm nodes name. REQUIRES: the plans have no faults."""
    for node in (node for plan in plans for node in plan.nodes.values()):
        yield from (file.path for file in _files(node, set(), models))


@dataclass(frozen=True)
class _File:
    path: Path
    input: str
    """The one that names it."""
    kinds: tuple[str, ...]
    """What has to be in it."""


def _files(node: PlannedNode, used: set[str], models: ModelLists) -> Iterator[_File]:
    class_name, values, input_ = node.class_name, node.values, ""
    if class_name == "HearthPrewarm":
        if not {"model", "options"} <= values.keys():
            return  # one comes by a link: known when it runs
        class_name, values = loader_of(values["model"], values["options"], models)
        input_ = "model"
    loader = loader_of_class(class_name)
    if loader is None:
        return
    path = models.path(loader.list_name, values[loader.field])
    yield _File(path, input_ or loader.field, _wanted(loader, used))


def _used_types(plan: Plan) -> dict[str, set[str]]:
    """By node, of its outputs that something takes, also by way of nodes that hand it on."""
    origins = origins_of(plan.nodes.values())
    found: dict[str, set[str]] = {}
    for link in (link for each in plan.nodes.values() for link in each.links.values()):
        made = origins.get(link, link)
        type_ = plan.nodes[made.node].node_class.outputs[made.output].type
        found.setdefault(made.node, set()).add(type_)
    return found


def _wanted(loader: Loader, used: set[str]) -> tuple[str, ...]:
    if loader.kind != "checkpoint":
        return (loader.kind,)
    # The engine takes no checkpoint without a transformer, whatever is used of it.
    further = [kind for type_, kind in _OF_OUTPUTS.items() if type_ in used]
    return ("diffusion_model", *further)


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        state = os.stat(path)
    except OSError:
        return ()
    return state.st_size, state.st_mtime_ns, state.st_ino


@functools.lru_cache
def _names(path: Path, stamp: tuple[int, ...]) -> frozenset[str] | str:
    """Of the tensors; a text says why the file has none. A file that stayed what it was is opened
    once in a process, so that a resident model is not read again."""
    try:
        return tensor_names(path)
    except HearthError as error:
        return str(error)


def _wrong_about(file: _File, names: frozenset[str] | str) -> str:
    if isinstance(names, str):
        return names
    for part in (_PARTS[kind] for kind in file.kinds):
        if not part.is_in(names):
            return _lack(file.path.name, part, names)
    return ""


def _lack(name: str, part: _Part, names: frozenset[str]) -> str:
    others = [each for each in _PARTS.values() if each.is_in(names)]
    text = f'{quoted(name)} holds no {part.what} of Z-Image: no tensor is called "{part.mark}"'
    if not others:
        return f"{text}; take another file"
    held = " and ".join(f"a {each.what}" for each in others)
    return f"{text}. It holds {held}; load a {part.what} with {part.load_it_with}"
