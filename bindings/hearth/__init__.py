"""hearth keeps diffusion models warm: the Python face of the native model cache.

Importing this package imports the native module; `hearth.errors.NativeUnavailable` says what to do
when there is none. It needs neither torch nor ComfyUI.
"""

from __future__ import annotations

from hearth import errors
from hearth._native import _core

CacheLimits = _core.CacheLimits
LoadTicket = _core.LoadTicket
ManualClock = _core.ManualClock
ModelCache = _core.ModelCache
ModelHandle = _core.ModelHandle
ModelKey = _core.ModelKey
QueueExecutor = _core.QueueExecutor
Runtime = _core.Runtime
check_config = _core.check_config
runtime = _core.runtime
NativeUnavailable = errors.NativeUnavailable

__version__: str = _core.__version__

__all__ = [
    "CacheLimits",
    "LoadTicket",
    "ManualClock",
    "ModelCache",
    "ModelHandle",
    "ModelKey",
    "NativeUnavailable",
    "QueueExecutor",
    "Runtime",
    "__version__",
    "check_config",
    "errors",
    "runtime",
]
