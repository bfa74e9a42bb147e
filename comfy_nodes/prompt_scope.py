"""Who asks, and what the running prompt uses."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hearth

from .seams import Seams


@dataclass(frozen=True)
class Asker:
    """The node and the prompt that caused something; empty where nobody in particular did."""

    node: str = ""
    prompt: str = ""


class AskerProbe:
    """Reads ComfyUI's executing context."""

    def __init__(self, seams: Seams) -> None:
        self._read: Callable[[], Any] | None = None
        try:
            module = importlib.import_module("comfy_execution.utils")
            self._read = module.get_executing_context
        except (ImportError, AttributeError):
            pass
        seams.record("executing_context", self._read is not None)

    def __call__(self) -> Asker:
        """The asker now."""
        context = None if self._read is None else self._read()
        if context is None:
            return Asker()
        return Asker(str(context.node_id), str(context.prompt_id))


class PromptScope:
    """Handles of every model that the running prompt loaded or worked with.

    They keep the models out of eviction's reach until the prompt ends.
    """

    def __init__(self, cache: Any) -> None:
        self._cache = cache
        self._handles: dict[hearth.ModelKey, Any] = {}

    def keep(self, handle: Any) -> None:
        """Keeps a handle until the prompt ends."""
        self._handles[handle.key] = handle

    def use(self, key: hearth.ModelKey) -> None:
        """Records work done with a model; takes a lingering one back."""
        if key in self._handles:
            self._cache.record_use(key, True)
            return
        handle = self._cache.lookup(key)
        if handle is None and self._cache.record_use(key, True):
            handle = self._cache.lookup(key)
        if handle is not None:
            self._handles[key] = handle

    def make_ready(self) -> None:
        """Has the files of what is held read and registered now rather than at the first use."""
        for handle in self._handles.values():
            feed = handle.value.feed
            if feed is not None:
                feed.make_ready()

    def take(self) -> list[Any]:
        """Hands over what is held; whoever takes it closes it."""
        handles, self._handles = self._handles, {}
        return list(handles.values())

    def let_go(self, key: hearth.ModelKey) -> None:
        """Lets go of one model before the prompt ends."""
        handle = self._handles.pop(key, None)
        if handle is not None:
            handle.close()

    def end(self) -> None:
        """Lets go of everything; the models are idle from now on."""
        for handle in self.take():
            handle.close()
