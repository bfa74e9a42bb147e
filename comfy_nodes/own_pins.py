"""Pinned memory of ComfyUI's own, of models that are kept and idle.

Where hearth gives a model no pins ComfyUI makes some: a copy of the weights in anonymous RAM, for
as long as the model lives. ComfyUI alone drops the model with the next workflow; that hearth keeps
it must not keep the copy, which is as large as its file.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import hearth

from .file_work import samples
from .host import Host
from .measure import is_dynamic, pinned_bytes

_ALL_BYTES = 1e30


def give_up_own_pins(host: Host, used: Collection[hearth.ModelKey]) -> int:
    """Frees those of kept diffusion models that the last prompt has not used; what is in VRAM stays
    there. Returns how many bytes that were. Between prompts, on the worker."""
    freed = 0
    for resident in host.models.kept_but(used):
        patchers = [resident.patcher_of(module) for module in resident.modules()]
        pinned = [each for each in patchers if each is not None and _has_own_pins(each)]
        if not pinned:
            continue
        host.adapter.finish_transfers()
        freed += sum(int(each.partially_unload_ram(_ALL_BYTES)) for each in pinned)
        host.runtime.cache.update_bytes(resident.key, resident.bytes())
    return freed


def _has_own_pins(patcher: Any) -> bool:
    if not (samples(patcher) and is_dynamic(patcher) and pinned_bytes(patcher) > 0):
        return False
    return callable(getattr(patcher, "partially_unload_ram", None))
