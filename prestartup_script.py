"""ComfyUI runs this before it imports torch: files that will be prewarmed are read meanwhile."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

_PACKAGE = "hearth_before_comfyui"


def _prepare() -> None:
    folder = Path(__file__).resolve().parent / "comfy_nodes"
    spec = importlib.util.spec_from_file_location(
        _PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        return
    package = importlib.util.module_from_spec(spec)
    sys.modules[_PACKAGE] = package
    spec.loader.exec_module(package)
    importlib.import_module(f"{_PACKAGE}.before_comfyui").prepare(folder.parent)


_prepare()
