"""Which models are pinned, and which of these pins a loader node may take back.

The cache keeps pins, also of models that it has evicted, but lists only those of its residents.
"""

from __future__ import annotations

import threading
from typing import Any

from hearth import ModelKey

_Slot = tuple[str, str, str, str]


class Pins:
    """Every pin goes through here. Thread-safe: the server's thread asks, the worker changes."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._pinned: dict[_Slot, ModelKey] = {}
        self._by_loaders: set[_Slot] = set()

    def put(self, key: ModelKey, pinned: bool) -> None:
        """Pins or unpins for somebody who names the model; a loader's `pin` has no more say."""
        with self._lock:
            self._by_loaders.discard(_slot(key))
            self._change(key, pinned)

    def put_by_loader(self, key: ModelKey, pinned: bool) -> None:
        """Pins for a loader node, or takes back what a loader node has pinned and nobody else."""
        slot = _slot(key)
        with self._lock:
            if pinned and slot not in self._pinned:
                self._by_loaders.add(slot)
                self._change(key, True)
            elif not pinned and slot in self._by_loaders:
                self._by_loaders.remove(slot)
                self._change(key, False)

    def keys_of(self, name: str) -> list[ModelKey]:
        """Keys of the pinned models of that name, evicted ones included."""
        with self._lock:
            return [key for key in self._pinned.values() if key.name == name]

    def _change(self, key: ModelKey, pinned: bool) -> None:
        if pinned:
            self._cache.pin(key)
            self._pinned[_slot(key)] = key
        else:
            self._cache.unpin(key)
            self._pinned.pop(_slot(key), None)


def _slot(key: ModelKey) -> _Slot:
    """What stays the same when the file is replaced, as the cache has it."""
    return key.kind, key.loader, key.name, key.options
