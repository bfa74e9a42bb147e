"""The lists of model files below a models folder, as ComfyUI makes them."""

from __future__ import annotations

import os
from pathlib import Path

FOLDERS = {
    "checkpoints": ("checkpoints",),
    "diffusion_models": ("unet", "diffusion_models"),
    "text_encoders": ("text_encoders", "clip"),
    "vae": ("vae",),
}
"""ComfyUI's name of each list, and the folders that its entries lie in."""
_ENDINGS = {".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".bin", ".pth", ".pkl", ".gguf"}
READABLE = (".safetensors", ".sft")
"""What hearth reads; a file of another kind is listed, so that it can be told why it is refused."""


class ModelLists:
    """The files of one models folder. Each list is made when it is first asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lists: dict[str, dict[str, Path]] = {}

    @property
    def is_there(self) -> bool:
        """Whether it is a models folder at all: one with a folder of any list in it."""
        return any(os.path.isdir(self.root / each) for all_ in FOLDERS.values() for each in all_)

    def names(self, list_name: str) -> list[str]:
        """Entries of a list, sorted; those of a folder below begin with its name and a slash."""
        return sorted(self._files(list_name))

    def path(self, list_name: str, name: str) -> Path:
        """Where an entry lies. Throws KeyError for what is none."""
        return self._files(list_name)[name]

    def find(self, name: str) -> list[str]:
        """The lists that have this entry."""
        return [list_name for list_name in FOLDERS if name in self._files(list_name)]

    def refresh(self) -> None:
        """Has the lists made anew."""
        self._lists.clear()

    def _files(self, list_name: str) -> dict[str, Path]:
        if list_name not in self._lists:
            found: dict[str, Path] = {}
            for folder in FOLDERS[list_name]:
                for path in _files_below(self.root / folder):
                    found.setdefault(path.relative_to(self.root / folder).as_posix(), path)
            self._lists[list_name] = found
        return self._lists[list_name]


def _files_below(folder: Path) -> list[Path]:
    found: list[Path] = []
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(real)
        found += [Path(place, name) for name in files if Path(name).suffix.lower() in _ENDINGS]
    return found
