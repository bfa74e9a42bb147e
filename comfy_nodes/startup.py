"""Puts hearth into a ComfyUI that is starting. Whatever goes wrong, ComfyUI starts as it would."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
from pathlib import Path

from . import log_bridge

_LOG = logging.getLogger("hearth")


def start(repository: Path) -> bool:
    """Starts hearth; False, with one line in the log that says why, when ComfyUI stays stock.

    `repository` is hearth's folder. Never throws.
    """
    log_bridge.name_lines()
    if os.environ.get("HEARTH_DISABLE") == "1":
        _LOG.info("off (HEARTH_DISABLE=1), the loaders are ComfyUI's own")
        return False
    try:
        _make_importable(repository)
        importlib.import_module("hearth")
    except ImportError as error:
        _LOG.warning("off, the loaders are ComfyUI's own: %s", error)
        return False
    try:
        # Imported only now: everything it imports needs the native module.
        importlib.import_module(".composition", __package__).compose(repository)
    except Exception:
        _LOG.exception("could not start, the loaders are ComfyUI's own")
        return False
    return True


def _make_importable(repository: Path) -> None:
    """Prefers the package beside us over an installed one, unless only that one is built."""
    bindings = repository / "bindings"
    built_here = any((bindings / "hearth").glob("_core*.so"))
    installed = "hearth" in sys.modules or importlib.util.find_spec("hearth") is not None
    if (built_here or not installed) and str(bindings) not in sys.path:
        sys.path.insert(0, str(bindings))
