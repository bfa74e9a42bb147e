"""Takes a model out of ComfyUI's node cache, and nothing else with it."""

from __future__ import annotations

import functools
import logging
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .seams import Seams

_LOG = logging.getLogger("hearth")
# What the caches of ComfyUI keep per key beside the entry, where a cache keeps it at all.
_SIDE_TABLES = ("used_generation", "timestamps", "children")


class ComfyNodeCache:
    """ComfyUI's cache of node outputs, found through the PromptExecutor that owns it."""

    def __init__(self) -> None:
        self._executors: weakref.WeakSet[Any] = weakref.WeakSet()
        self._make: Callable[[], Any] | None = None
        self.prompt_running = False

    def install(self, execution: Any, seams: Seams) -> None:
        """Learns of every PromptExecutor made from now on; the worker makes its own later."""
        executor_class: Any = getattr(execution, "PromptExecutor", None)
        if not seams.record("node_cache", executor_class is not None):
            return
        original, known = executor_class.__init__, self._executors

        @functools.wraps(original)
        def __init__(executor: Any, *args: Any, **kwargs: Any) -> None:
            original(executor, *args, **kwargs)
            known.add(executor)
            self._make = lambda: executor_class(*args, **kwargs)

        executor_class.__init__ = __init__

    def new_executor(self) -> Any:
        """Another PromptExecutor, made as the last one was. REQUIRES: the worker has made its own.

        Throws RuntimeError where ComfyUI has no PromptExecutor.
        """
        if self._make is None:
            raise RuntimeError("this ComfyUI has no PromptExecutor that hearth knows")
        return self._make()

    def renew_unused(self) -> None:
        """Has every executor make its caches anew, but for those that a prompt has used. On the
        prompt worker, between two prompts."""
        for executor in list(self._executors):
            try:
                if not any(getattr(cache, "initialized", True) for cache in executor.caches.all):
                    executor.reset()
            except Exception as error:
                _LOG.info("ComfyUI's node cache could not be made anew (%s)", error)

    @contextmanager
    def prompt_runs(self) -> Iterator[None]:
        """While in it, entries of the prompt that runs are spared."""
        before, self.prompt_running = self.prompt_running, True
        try:
            yield
        finally:
            self.prompt_running = before

    def remove(self, modules: Sequence[Any]) -> int:
        """Removes the entries whose outputs carry one of the modules; returns how many.

        While a prompt runs its own entries stay: a node that waits for them would find nothing.
        """
        wanted = {id(module) for module in modules}
        removed = 0
        for executor in list(self._executors):
            try:
                removed += _remove_from(executor.caches.outputs, wanted, self.prompt_running)
            except Exception as error:
                _LOG.info("ComfyUI's node cache could not be looked into (%s)", error)
        return removed


def _remove_from(cache: Any, wanted: set[int], spare_current: bool) -> int:
    entries = getattr(cache, "cache", None)
    if not isinstance(entries, dict):
        return 0
    # What nodes that expand have run lies in a cache for each of them, where it is kept at all.
    below = sum(_remove_from(each, wanted, spare_current) for each in _subcaches(cache))
    spared = _current_keys(cache) if spare_current else set()
    doomed = [
        key
        for key, entry in entries.items()
        if key not in spared and any(id(module) in wanted for module in _modules_in(entry))
    ]
    for key in doomed:
        _drop(cache, key)
    return below + len(doomed)


def _subcaches(cache: Any) -> list[Any]:
    found = getattr(cache, "subcaches", None)
    return list(found.values()) if isinstance(found, dict) else []


def _current_keys(cache: Any) -> set[Any]:
    keys = getattr(getattr(cache, "cache_key_set", None), "keys", {})
    return set(keys.values())


def _drop(cache: Any, key: Any) -> None:
    del cache.cache[key]
    for name in _SIDE_TABLES:
        table = getattr(cache, name, None)
        if isinstance(table, dict):
            table.pop(key, None)


def _modules_in(entry: Any) -> Iterator[Any]:
    # An entry is an object with `outputs` or, in older versions, the list of outputs itself.
    yield from _walk(getattr(entry, "outputs", entry))


def _walk(outputs: Any) -> Iterator[Any]:
    if isinstance(outputs, (list, tuple)):
        for output in outputs:
            yield from _walk(output)
        return
    patcher = getattr(outputs, "patcher", outputs)
    if _looks_like_patcher(patcher):
        yield patcher.model


def _looks_like_patcher(value: Any) -> bool:
    is_clone: Callable[..., Any] | None = getattr(type(value), "is_clone", None)
    return is_clone is not None and hasattr(value, "model")
