"""Reads ahead what the queue's next prompts will load, while another prompt runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from .ahead import files_of_graph, read_files
from .settings import Settings

# Places in ComfyUI's queue items, of every version: number, id, graph.
_NUMBER, _ID, _GRAPH = 0, 1, 2


class Prefetch:
    """Looks at the queue and never changes it. Used by one thread, which is no prompt's."""

    def __init__(self, runtime: Any, settings: Settings, queue: Any) -> None:
        self._runtime = runtime
        self._settings = settings
        self._queue = queue
        self._seen: set[str] = set()

    def look(self) -> int:
        """Begins to read what waiting prompts need and is not in host memory yet; returns how many
        files. A prompt is looked at once."""
        waiting = self._waiting()
        new = [(name, graph) for name, graph in waiting if name not in self._seen]
        self._seen = {name for name, _ in waiting}
        tier = self._runtime.host_tier
        paths = dict.fromkeys(path for _, graph in new for path in files_of_graph(graph))
        return read_files(tier, [path for path in paths if not _is_here(tier, path)])

    def _waiting(self) -> list[tuple[str, Mapping[str, Any]]]:
        depth = self._settings.prefetch_depth
        if depth == 0 or not getattr(self._queue, "queue", None):
            return []
        with self._queue.mutex:
            items = sorted(self._queue.queue, key=lambda item: item[_NUMBER])[:depth]
        return list(_graphs(items))


def _graphs(items: list[Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for item in items:
        if isinstance(item[_GRAPH], Mapping):
            yield str(item[_ID]), item[_GRAPH]


def _is_here(tier: Any, path: str) -> bool:
    try:
        state = os.stat(path)
    except OSError:
        return True  # whoever loads it says so
    return tier.find(state.st_dev, state.st_ino) is not None
