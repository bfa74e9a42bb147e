"""Keeps ComfyUI's prompt worker out of native code while the process ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Open until the process ends.

    The worker is a daemon thread: Python stops it at the end by unwinding it when it next asks for
    the GIL, and an unwound C++ frame aborts the process. So nobody may be inside by then.
    """

    def __init__(self) -> None:
        self._inside = threading.RLock()
        self._closed = False

    @contextmanager
    def enter(self) -> Iterator[bool]:
        """False: the process is ending, leave native code alone. Can be nested."""
        with self._inside:
            yield not self._closed

    @property
    def closed(self) -> bool:
        """Whether the process is ending."""
        return self._closed

    def close(self, seconds: float) -> bool:
        """Lets nobody in any more and waits for who is inside; False when he stayed too long."""
        self._closed = True
        left = self._inside.acquire(timeout=seconds)
        if left:
            self._inside.release()
        return left
