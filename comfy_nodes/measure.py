"""Where the bytes of a ComfyUI model are now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Bytes = dict[str, int]


def is_dynamic(patcher: Any) -> bool:
    """Whether the weights are used from the mapped file and moved when they are needed."""
    question = getattr(patcher, "is_dynamic", None)
    return bool(question()) if callable(question) else False


def on_host(patcher: Any) -> bool:
    """Whether the model works on the CPU."""
    return getattr(patcher.load_device, "type", str(patcher.load_device)) == "cpu"


def loaded_bytes(patcher: Any) -> int:
    """Bytes that ComfyUI counts as loaded on the device the model works on."""
    return int(patcher.loaded_size())


def pinned_bytes(patcher: Any) -> int:
    """Bytes in ComfyUI's pinned buffers of this model; 0 where this ComfyUI counts otherwise."""
    try:
        return int(patcher.loaded_ram_size())
    except (AttributeError, KeyError, TypeError):
        return 0


def bytes_of(patchers: Iterable[Any], file_bytes: int) -> Bytes:
    """Sums over the patchers of one model whose files have `file_bytes` in all.

    ComfyUI drops from the page cache what it has pinned, so pinned bytes are not counted as mapped
    again: counting both would evict at half the budget.
    """
    mapped = anonymous = pinned = device = 0
    for patcher in patchers:
        size = int(patcher.model_size())
        here = 0 if on_host(patcher) else loaded_bytes(patcher)
        device += here
        if is_dynamic(patcher):
            mapped += size
            pinned += pinned_bytes(patcher)
        else:
            anonymous += max(0, size - here)
    return {
        "mapped": max(0, min(mapped, file_bytes) - pinned),
        "anonymous": anonymous,
        "pinned": pinned,
        "device": device,
    }
