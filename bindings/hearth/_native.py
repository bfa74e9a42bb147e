"""Imports the native module, or says in one sentence why it cannot be used and what to do."""

from __future__ import annotations

import hashlib
import importlib
import sys
from pathlib import Path
from types import ModuleType

from hearth.errors import NativeUnavailable

_BUILD_HINT = "build it with `HEARTH_PYTHON={python} ./dev build` in hearth's folder"


def build_hint() -> str:
    """What to do when a native module is missing or of other sources."""
    return _BUILD_HINT.format(python=sys.executable or "python3")


if sys.platform != "linux":
    raise NativeUnavailable(f"hearth's native module runs on Linux only, not on {sys.platform}.")


def _in_a_subinterpreter() -> bool:
    for name in ("_interpreters", "_xxsubinterpreters"):  # of Python 3.13, and of those before
        try:
            interpreters = importlib.import_module(name)
        except ImportError:
            continue
        return bool(interpreters.get_current() != interpreters.get_main())
    return False


if _in_a_subinterpreter():  # importing the module there never returns
    raise NativeUnavailable(
        "hearth's native module works in Python's main interpreter only, and this is a "
        "subinterpreter: import hearth in the main one."
    )

try:
    import hearth._core as _core
except ImportError as error:
    reason = "is not built for this Python" if error.name == "hearth._core" else f"failed ({error})"
    raise NativeUnavailable(f"hearth's native module {reason}: {build_hint()}.") from error


def is_of_these_sources(module: ModuleType, stub: str) -> bool:
    """Whether a native module was built with the stub file that lies beside this one."""
    text = Path(__file__).with_name(stub).read_bytes()
    built_with = getattr(module, "native_api", str)()
    return bool(built_with == hashlib.sha256(text).hexdigest())


if not is_of_these_sources(_core, "_core.pyi"):
    raise NativeUnavailable(f"hearth's native module is of another version: {build_hint()}.")

__all__ = ["_core", "build_hint", "is_of_these_sources"]
