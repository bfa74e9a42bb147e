"""The cache in lines for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MIB = 1 << 20


def status_text(views: Sequence[Mapping[str, Any]]) -> str:
    """A line for each model: how big and where, how long idle, and what keeps it.

    `views` are those of the native cache's residents().
    """
    if not views:
        return "hearth's cache is empty"
    return "\n".join(_line(view) for view in views)


def _line(view: Mapping[str, Any]) -> str:
    sizes = view["bytes"]
    host = sum(size for tier, size in sizes.items() if tier != "device")
    facts = [f"RAM {host / _MIB:.1f} MiB"]
    if sizes.get("device"):
        facts.append(f"VRAM {sizes['device'] / _MIB:.1f} MiB")
    facts += _state(view)
    return f"{view['name']} ({view['kind']}): {', '.join(facts)}"


def _state(view: Mapping[str, Any]) -> list[str]:
    if view["lingering"]:
        return ["evicted, still held by a workflow"]
    state = [f"used {view['uses']}x", f"idle {view['idle_seconds']:.0f} s"]
    if view["in_use"]:
        state.append("in use")
    if view["pinned"]:
        state.append("pinned")
    if view["keep_alive_seconds"] is not None:
        state.append(f"kept alive for {view['keep_alive_seconds']:g} s")
    return state
