"""A thread that watches the time and posts jobs; it never touches a model."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from .config_file import ConfigFile, when_changed
from .log_bridge import LogBridge
from .prefetch import Prefetch
from .residents import ResidentModels

_LOG = logging.getLogger("hearth")
_POLL_SECONDS = 1.0
_SHORTEST_WAIT_SECONDS = 0.05


class Clock:
    """Wakes for idle times, changed config files, lingering models that died and log lines, and
    reads ahead for the queue."""

    def __init__(
        self,
        runtime: Any,
        models: ResidentModels,
        config: ConfigFile,
        log: LogBridge,
        prefetch: Prefetch,
    ) -> None:
        self._runtime = runtime
        self._log = log
        self._prefetch = prefetch
        self._models = models
        self._config = config
        self._stop = threading.Event()
        self._posted: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="hearth clock", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and waits for it."""
        self._stop.set()
        self._thread.join(timeout=2 * _POLL_SECONDS)

    def tick(self) -> None:
        """Posts what is due; each job once until it has run, however long a prompt takes."""
        self._log.drain()
        self._prefetch.look()
        when_changed(self._config, self._post)
        if self._models.has_changes:
            self._post("lingering", lambda: self._models.report_changes(self._runtime.cache))
        if self._models.without_file():
            self._post("deleted files", self._drop_without_file)
        expiry = self._runtime.cache.seconds_to_next_expiry()
        if expiry is not None and expiry <= 0:
            self._post("enforce", self._runtime.cache.enforce)

    def _drop_without_file(self) -> None:
        # Kept mapped, a deleted file would also keep its place on the disk.
        for resident in self._models.without_file():
            self._runtime.cache.erase(resident.key, "its file was deleted")

    def _run(self) -> None:
        while not self._stop.wait(self._seconds_to_wait()):
            try:
                self.tick()
            except Exception:
                _LOG.exception("the clock thread failed once")

    def _seconds_to_wait(self) -> float:
        expiry = self._runtime.cache.seconds_to_next_expiry()
        due = _POLL_SECONDS if expiry is None else min(_POLL_SECONDS, expiry)
        return max(_SHORTEST_WAIT_SECONDS, due)

    def _post(self, name: str, job: Callable[[], Any]) -> None:
        if name in self._posted:
            return

        def run() -> None:
            self._posted.discard(name)
            job()

        self._posted.add(name)
        if not self._runtime.executor.post(run):
            self._posted.discard(name)
