"""Work on models when no prompt runs, on ComfyUI's prompt worker.

The worker asks its queue for a prompt (`get`) and, after each, for flags (`get_flags`). Both are
wrapped on the queue object: jobs run in `get_flags`, and `get` returns at once while jobs wait.
Without the second a job posted at the wrong moment would sleep until the next prompt, because
`get` does not look at flags again before it waits. For the same reason a `/free` would at times act
only after the prompt that was sent behind it, and take that prompt's models: flags go first.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, Protocol

from .arrivals import Arrivals
from .host import Host
from .node_cache import ComfyNodeCache
from .seams import Seams

_LOG = logging.getLogger("hearth")
_FLAG = "hearth"
# What users who wait in the queue may be kept waiting for per gap; at least one job is always run.
_SECONDS_PER_GAP = 0.5
_ALL_BYTES = (1 << 64) - 1
# Idle work that waits lets so many prompts go first; else a queue that is never empty, as that of a
# busy server, would put it off for ever.
_PROMPTS_BEFORE_A_STEP = 4


class Idle(Protocol):
    """Work for when nobody waits, in steps as long as a prompt; one step after every few prompts
    where somebody always does. It runs outside the gate, as prompts do: the end of the process does
    not wait for it."""

    @property
    def has_work(self) -> bool:
        """Whether step() would do something."""

    def step(self) -> None:
        """Does the next piece; never throws."""


class BetweenPrompts:
    """The executor's thread is the prompt worker, its time the gap between two prompts."""

    def __init__(self, host: Host, arrivals: Arrivals, node_cache: ComfyNodeCache) -> None:
        self._host = host
        self._idle: Idle | None = None
        self._went_first = 0  # prompts since idle work began to wait for its next step
        self._arrivals = arrivals
        self._node_cache = node_cache
        self._after_gap: list[Callable[[], None]] = []
        self._before_each_wait: list[Callable[[], None]] = []

    def at_each_gap(self, action: Callable[[], None]) -> None:
        """Has something cheap done in every gap."""
        self._after_gap.append(action)

    def before_each_wait(self, action: Callable[[], None]) -> None:
        """Has something cheap done before the worker waits for a prompt, the first one included."""
        self._before_each_wait.append(action)

    def when_idle(self, work: Idle) -> None:
        """Has work done step by step while no prompt waits, and between prompts now and then."""
        self._idle = work

    def install(self, queue: Any, seams: Seams) -> bool:
        """Wraps the queue object's methods, both or none; whether it could."""
        wanted = ("get", "get_flags", "set_flag", "flags", "mutex", "not_empty", "queue")
        if not seams.record("between_prompts", all(hasattr(queue, name) for name in wanted)):
            return False
        queue.get = self._wrap_get(queue, queue.get)
        queue.get_flags = self._wrap_get_flags(queue, queue.get_flags)
        # A flag that ComfyUI does not know is ignored by it, but wakes the worker.
        self._host.runtime.executor.set_wake(lambda: queue.set_flag(_FLAG, True))
        return True

    def _wrap_get(self, queue: Any, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def get(timeout: float | None = None) -> Any:
            self._guarded(self._before_wait)
            # The wait releases the mutex, and a post takes it to wake us: between the question
            # and the wait no job can slip in. Flags that came while jobs ran have woken nobody.
            with queue.mutex:
                if not (queue.queue or queue.flags or self._has_jobs()):
                    queue.not_empty.wait(timeout)
                asked = queue.flags.keys() - {_FLAG}
                item = None if asked else original(timeout=0)
            self._node_cache.prompt_running = item is not None
            return item

        return get

    def _wrap_get_flags(self, queue: Any, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def get_flags(*args: Any, **kwargs: Any) -> Any:
            flags = original(*args, **kwargs)
            prompt_ended, self._node_cache.prompt_running = self._node_cache.prompt_running, False
            self._guarded(lambda: self._gap(queue, flags))
            if self._is_turn_of_idle_work(queue, prompt_ended):
                self._idle_step()
            return flags

        return get_flags

    def _before_wait(self) -> None:
        host = self._host
        host.runtime.executor.adopt_current_thread()
        # ComfyUI collects garbage after the flags: what died of it is known only now.
        host.models.report_changes(host.runtime.cache)
        host.models.adopt_loaded()
        for action in self._before_each_wait:
            action()

    def _has_jobs(self) -> bool:
        with self._host.gate.enter() as is_open:
            pending = is_open and bool(self._host.runtime.executor.has_pending)
        return pending or self._has_idle_work()

    def _has_idle_work(self) -> bool:
        return self._idle is not None and not self._host.gate.closed and self._idle.has_work

    def _is_turn_of_idle_work(self, queue: Any, prompt_ended: bool) -> bool:
        if not self._has_idle_work():
            self._went_first = 0
            return False
        self._went_first += prompt_ended
        return not queue.queue or self._went_first >= _PROMPTS_BEFORE_A_STEP

    def _idle_step(self) -> None:
        self._went_first = 0
        if self._idle is not None:
            self._idle.step()
        self._guarded(self._arrivals.settle)

    def _guarded(self, action: Callable[[], None]) -> None:
        # Nothing stands between this and the end of ComfyUI's worker: let nothing out.
        try:
            with self._host.gate.enter() as is_open:
                if is_open:
                    action()
        except BaseException:
            _LOG.exception("work between prompts failed")

    def _gap(self, queue: Any, flags: Any) -> None:
        host = self._host
        with host.adapter.inference_mode():
            self._arrivals.settle()
            host.scope.end()
            host.models.report_changes(host.runtime.cache)
            if flags.get("unload_models"):
                host.models.drop_copies()
            if flags.get("free_memory"):
                host.runtime.cache.trim(_ALL_BYTES, _ALL_BYTES, "free requested")
            host.runtime.cache.enforce()
            host.runtime.executor.run_pending(_SECONDS_PER_GAP if queue.queue else None)
        for action in self._after_gap:
            action()
