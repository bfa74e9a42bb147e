"""What exists when ComfyUI has started is not looked at by every garbage collection.

ComfyUI collects garbage after a prompt, every ten seconds at most, and where it takes a model for
leaked. Each time Python walks over half a million objects of imported modules, which nothing will
ever free; a prompt that waits begins 0.1 to 0.4 s later. Set aside they cost nothing; models come
later and are collected as ever.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable

from .settings import Settings

_LOG = logging.getLogger("hearth")


class StartupObjects:
    """Runs on the prompt worker."""

    def __init__(self, settings: Settings, renew_node_caches: Callable[[], None]) -> None:
        self._settings = settings
        self._renew_node_caches = renew_node_caches
        self._looked = False

    def set_aside(self) -> None:
        """Does it the first time, if it is wanted; what is garbage by then is never collected."""
        if self._looked:
            return
        self._looked = True
        if self._settings.gc_freeze:
            gc.freeze()
            count = gc.get_freeze_count()
            # ComfyUI's node cache is a ring of objects once a prompt was run. Set aside, it and
            # every model in it would stay for ever when `/free` puts another in its place.
            self._renew_node_caches()
            _LOG.info("%d objects of the start are set aside from garbage collection", count)
