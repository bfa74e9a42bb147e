"""The native check of a file, before ComfyUI sees it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def refuse_if_corrupt(path: str) -> None:
    """Throws hearth.errors.CheckpointCorruptError for a safetensors file that is not what its name
    promises. Other formats are ComfyUI's business."""
    check = native_check()
    if check is not None:
        check(path)


def native_check() -> Callable[[str], Any] | None:
    """The check, where this build of hearth has it."""
    try:
        check: Callable[[str], Any] = importlib.import_module("hearth.check").refuse_if_corrupt
    except (ImportError, AttributeError):
        return None
    return check
