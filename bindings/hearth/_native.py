"""Imports the native module, or says in one sentence why it cannot be used and what to do."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from hearth.errors import NativeUnavailable

_BUILD_HINT = "build it with `HEARTH_PYTHON={python} ./dev build` in hearth's folder"


def _hint() -> str:
    return _BUILD_HINT.format(python=sys.executable or "python3")


if sys.platform != "linux":
    raise NativeUnavailable(f"hearth's native module runs on Linux only, not on {sys.platform}.")

try:
    import hearth._core as _core
except ImportError as error:
    reason = "is not built for this Python" if error.name == "hearth._core" else f"failed ({error})"
    raise NativeUnavailable(f"hearth's native module {reason}: {_hint()}.") from error


def _is_of_these_sources() -> bool:
    """Whether the module was built with the stub file that lies beside this one."""
    stub = Path(__file__).with_name("_core.pyi").read_bytes()
    built_with = getattr(_core, "native_api", str)()
    return bool(built_with == hashlib.sha256(stub).hexdigest())


if not _is_of_these_sources():
    raise NativeUnavailable(f"hearth's native module is of another version: {_hint()}.")

__all__ = ["_core"]
