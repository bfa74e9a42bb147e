"""The five stock loaders: which inputs name files, in which of ComfyUI's folders these lie, and
which of hearth's own nodes load as they do."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import hearth

_JOIN = " + "
# Of versions whose VAELoader does not list them itself.
_IMAGE_TAESDS = ("taesd", "taesdxl", "taesd3", "taef1")


@dataclass(frozen=True)
class StockLoader:
    """One loader class of ComfyUI and the folder that each of its name inputs refers to."""

    class_name: str
    kind: str
    folders: Mapping[str, str]


STOCK_LOADERS = (
    StockLoader("CheckpointLoaderSimple", "checkpoint", {"ckpt_name": "checkpoints"}),
    StockLoader("UNETLoader", "diffusion_model", {"unet_name": "diffusion_models"}),
    StockLoader("CLIPLoader", "text_encoder", {"clip_name": "text_encoders"}),
    StockLoader(
        "DualCLIPLoader",
        "text_encoder",
        {"clip_name1": "text_encoders", "clip_name2": "text_encoders"},
    ),
    StockLoader("VAELoader", "vae", {"vae_name": "vae"}),
)

# From the id of each loader node of hearth's to the class of ComfyUI that it loads as.
HEARTH_LOADERS: Mapping[str, str] = {
    "HearthCheckpointLoader": "CheckpointLoaderSimple",
    "HearthDiffusionModelLoader": "UNETLoader",
    "HearthCLIPLoader": "CLIPLoader",
    "HearthDualCLIPLoader": "DualCLIPLoader",
    "HearthVAELoader": "VAELoader",
    "HearthZImageLoader": "UNETLoader",
}


# Nodes that read a file for a model that was loaded before; their inputs, and in which folder.
PATCH_LOADERS: Mapping[str, Mapping[str, str]] = {
    "LoraLoader": {"lora_name": "loras"},
    "LoraLoaderModelOnly": {"lora_name": "loras"},
}


@dataclass(frozen=True)
class FileStamp:
    """What tells one file from another that took its place."""

    path: str
    size: int
    mtime_ns: int
    inode: int

    @property
    def identity(self) -> str:
        """One line without the path, so that no log or answer can show it."""
        place = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        return f"{place}:{self.size}:{self.mtime_ns}:{self.inode}"


@dataclass(frozen=True)
class LoadRequest:
    """One loader call: the key it has in the cache, and the files it will read."""

    loader: StockLoader
    key: hearth.ModelKey
    files: tuple[FileStamp, ...]

    @property
    def file_bytes(self) -> int:
        """Size of the files together."""
        return sum(file.size for file in self.files)


class NotCacheableError(ValueError):
    """This call names no file, so there is nothing to key it by."""


def loader_of(class_type: str) -> StockLoader | None:
    """The loader that a node of this class is or loads as; None for any other node."""
    class_name = HEARTH_LOADERS.get(class_type, class_type)
    return next((each for each in STOCK_LOADERS if each.class_name == class_name), None)


def names_model(name: str, model: str) -> bool:
    """Whether somebody who says `name` means the model of that name: by all of it, or by one of
    the files of a loader that takes two."""
    return name == model or name in model.split(_JOIN)


def bind_inputs(
    stock: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The loader's inputs by name, defaults filled in, so that every way to call it is one key.

    Throws TypeError as the call itself would, and where a pack has wrapped the loader in one that
    takes anything and now leaves out the names.
    """
    signature = inspect.signature(stock)
    bound = signature.bind(None, *args, **kwargs)
    bound.apply_defaults()
    inputs: dict[str, Any] = {}
    for place, (name, value) in enumerate(bound.arguments.items()):
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            inputs.update(value)
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            if len(value) > (place == 0):
                raise TypeError("another pack has wrapped it, and which input is which is not told")
        elif place > 0:  # behind self
            inputs[name] = value
    return inputs


def find_files(
    loader: StockLoader, inputs: Mapping[str, Any], owner: type
) -> tuple[FileStamp, ...]:
    """The files that a call will read. Throws NotCacheableError, FileNotFoundError or OSError."""
    places = [
        place
        for name, folder in loader.folders.items()
        for place in _places(inputs.get(name), folder, owner)
    ]
    folder_paths = importlib.import_module("folder_paths")
    return tuple(
        stamp_file(str(folder_paths.get_full_path_or_raise(folder, name)))
        for folder, name in places
    )


def has_linked_name(loader: StockLoader, inputs: Mapping[str, Any]) -> bool:
    """Whether another node gives one of the names, which a change check is told as None."""
    return any(name in inputs and inputs[name] is None for name in loader.folders)


def state_of_lists(
    loader: StockLoader, inputs: Mapping[str, Any], owner: type
) -> list[tuple[int, int, int]]:
    """The state of every file that a call may read whose names are not all known yet. Throws as
    find_files() does for a name that is known."""
    folder_paths = importlib.import_module("folder_paths")
    found: list[tuple[int, int, int]] = []
    for name, folder in loader.folders.items():
        if inputs.get(name) is not None:
            places = _places(inputs[name], folder, owner)
        else:
            folders = (folder, "vae_approx") if folder == "vae" else (folder,)
            places = [(each, file) for each in folders for file in _listed(folder_paths, each)]
        found += [_state(folder_paths.get_full_path(*place)) for place in places]
    return found


def _listed(folder_paths: Any, folder: str) -> list[str]:
    return list(folder_paths.get_filename_list(folder))


def _state(path: str | None) -> tuple[int, int, int]:
    # A list may be older than its folder.
    try:
        state = os.stat(path or "")
    except OSError:
        return 0, 0, 0
    return state.st_size, state.st_mtime_ns, state.st_ino


def make_request(
    loader: StockLoader,
    inputs: Mapping[str, Any],
    files: tuple[FileStamp, ...],
    devices: Mapping[str, str],
) -> LoadRequest:
    """The request for a call whose files are known."""
    from hearth import ModelKey  # here: the table above is read where hearth is not built, too

    options = {name: value for name, value in inputs.items() if name not in loader.folders}
    text = json.dumps({"inputs": options, "devices": dict(devices)}, sort_keys=True)
    name = _JOIN.join(str(inputs[field]) for field in loader.folders)
    identity = ";".join(file.identity for file in files)
    key = ModelKey(loader.kind, loader.class_name, name, text, identity)
    return LoadRequest(loader, key, files)


def stamp_file(path: str) -> FileStamp:
    """The stamp of a file now; throws OSError."""
    state = os.stat(path)
    return FileStamp(os.path.realpath(path), state.st_size, state.st_mtime_ns, state.st_ino)


def _places(name: Any, folder: str, owner: type) -> list[tuple[str, str]]:
    if not isinstance(name, str):
        raise NotCacheableError("its name comes from another node")
    if folder != "vae":
        return [(folder, name)]
    if name == "pixel_space":
        raise NotCacheableError("pixel_space has no file")
    if name in getattr(owner, "image_taes", _IMAGE_TAESDS):
        return [("vae_approx", _taesd_file(name, half)) for half in ("encoder", "decoder")]
    if os.path.splitext(name)[0] in getattr(owner, "video_taes", ()):
        return [("vae_approx", name)]
    return [(folder, name)]


def _taesd_file(name: str, half: str) -> str:
    folder_paths = importlib.import_module("folder_paths")
    for candidate in folder_paths.get_filename_list("vae_approx"):
        if candidate.startswith(f"{name}_{half}."):
            return str(candidate)
    raise FileNotFoundError(f"{name}: no {half} in vae_approx")
