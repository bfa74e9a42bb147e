"""A node's inputs with every model on the CPU, for a node that found no room on its device."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .adapter import ComfyAdapter

Inputs = dict[str, list[Any]]


@contextmanager
def on_cpu(adapter: ComfyAdapter, inputs: Mapping[str, list[Any]]) -> Iterator[Inputs]:
    """The inputs with MODEL, CLIP, VAE and GUIDER replaced by twins; at the end these are unloaded,
    so that the next use finds the weights where it expects them."""
    twins = _Twins(adapter)
    try:
        yield {name: [twins.of(value) for value in values] for name, values in inputs.items()}
    finally:
        for patcher in twins.patchers:
            adapter.unload(patcher)


def has_models(inputs: Mapping[str, list[Any]]) -> bool:
    """Whether on_cpu() would replace anything."""
    return any(_patcher_name(value) is not None for values in inputs.values() for value in values)


def _patcher_name(value: Any) -> str | None:
    """Under which name a value has its patcher; "" when it is one, None when it has none."""
    if hasattr(value, "is_clone") and hasattr(value, "load_device"):
        return ""
    for name in ("patcher", "model_patcher"):
        if hasattr(getattr(value, name, None), "is_clone"):
            return name
    return None


class _Twins:
    """One twin a patcher, however many inputs share it."""

    def __init__(self, adapter: ComfyAdapter) -> None:
        self._adapter = adapter
        self._by_original: dict[int, Any] = {}

    @property
    def patchers(self) -> list[Any]:
        return list(self._by_original.values())

    def of(self, value: Any) -> Any:
        name = _patcher_name(value)
        if name is None:
            return value
        if not name:
            return self._patcher(value)
        twin = value.clone() if hasattr(value, "clone") else copy.copy(value)
        patcher = self._patcher(getattr(value, name))
        setattr(twin, name, patcher)
        for module in ("cond_stage_model", "first_stage_model"):
            if hasattr(twin, module):
                setattr(twin, module, patcher.model)
        if hasattr(twin, "device"):
            twin.device = patcher.load_device
        read_again = patcher.model is not getattr(value, name).model
        if read_again and hasattr(twin, "vae_dtype"):
            twin.vae_dtype = self._adapter.as_float(patcher.model)
        return twin

    def _patcher(self, original: Any) -> Any:
        known = self._by_original.get(id(original))
        if known is None:
            self._adapter.unload(original)
            known = self._by_original[id(original)] = self._adapter.cpu_patcher(original)
        return known
