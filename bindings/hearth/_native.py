"""Imports the native module, or says in one sentence why it cannot be used and what to do."""

from __future__ import annotations

import sys

from hearth.errors import NativeUnavailable

# The meaning of the native functions this Python code was written for; bindings/native/module.cc
# carries its counterpart.
NATIVE_API = 1

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

if getattr(_core, "NATIVE_API", None) != NATIVE_API:
    raise NativeUnavailable(f"hearth's native module is of another version: {_hint()}.")

__all__ = ["NATIVE_API", "_core"]
