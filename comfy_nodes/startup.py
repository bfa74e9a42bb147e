"""Puts hearth into a ComfyUI that is starting. Whatever goes wrong, ComfyUI starts as it would."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
from pathlib import Path

from . import log_bridge
from .nodes.service import NodeService, StockService

_LOG = logging.getLogger("hearth")


def start(repository: Path) -> NodeService:
    """Starts hearth; a StockService, with one line in the log, when ComfyUI stays stock.

    `repository` is hearth's folder. Never throws.
    """
    log_bridge.name_lines()
    _restore_collector()
    if os.environ.get("HEARTH_DISABLE") == "1":
        _LOG.info("off (HEARTH_DISABLE=1), the loaders are ComfyUI's own")
        return StockService("HEARTH_DISABLE is 1")
    try:
        make_importable(repository)
        importlib.import_module("hearth")
    except ImportError as error:
        _LOG.warning("off, the loaders are ComfyUI's own: %s", error)
        return StockService(str(error))
    try:
        # Imported only now: everything it imports needs the native module.
        composition = importlib.import_module(".composition", __package__)
        service: NodeService = composition.compose(repository)
    except Exception:
        _LOG.exception("could not start, the loaders are ComfyUI's own")
        return StockService("it could not start; the log says why")
    return service


def _restore_collector() -> None:
    # prestartup_script.py has its own copy of this package, under a name that ComfyUI does not use.
    before = sys.modules.get("hearth_before_comfyui.before_comfyui")
    if before is not None:
        before.restore_collector()


def make_importable(repository: Path) -> None:
    """Prefers the package beside us over an installed one, unless only that one is built."""
    bindings = repository / "bindings"
    built_here = any((bindings / "hearth").glob("_core*.so"))
    installed = "hearth" in sys.modules or importlib.util.find_spec("hearth") is not None
    if (built_here or not installed) and str(bindings) not in sys.path:
        sys.path.insert(0, str(bindings))
