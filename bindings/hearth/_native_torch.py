"""Imports the native module that works on tensors, or says in one sentence why it cannot."""

from __future__ import annotations

import importlib
from typing import Any

from hearth._native import build_hint, is_of_these_sources
from hearth.errors import NativeUnavailable


def _import() -> Any:
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        raise NativeUnavailable(f"hearth._torch needs torch ({error}).") from error
    try:
        module = importlib.import_module("hearth._torch")
    except ImportError as error:
        reason = _why(error, str(torch.__version__))
        raise NativeUnavailable(
            f"hearth._torch cannot be used, {reason}: {build_hint()}."
        ) from error
    if not is_of_these_sources(module, "_torch.pyi"):
        raise NativeUnavailable(f"hearth._torch is of another version of hearth: {build_hint()}.")
    return module


def _why(error: ImportError, running: str) -> str:
    if isinstance(error, ModuleNotFoundError):
        return "it is not built for this Python"
    if "undefined symbol" in str(error):
        return f"it was built against another torch than this one, {running}"
    return str(error)


_torch = _import()

__all__ = ["_torch"]
