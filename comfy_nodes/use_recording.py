"""Records use where ComfyUI loads models for work, and when their weights have arrived.

Loader calls say nothing about use: on a hit of the node cache ComfyUI never calls the loader, and
the busiest model would look idle. Sampling, encoding and decoding all pass load_models_gpu().
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hearth
from hearth.errors import CheckpointCorruptError

from .arrivals import Arrivals
from .host import Host
from .host_supply import Feed
from .measure import loaded_bytes
from .own_pins import give_up_own_pins
from .residents import ResidentModel
from .seams import Seams

_LOG = logging.getLogger("hearth")


@dataclass
class _Work:
    """One model of hearth's that is about to work."""

    resident: ResidentModel
    patcher: Any
    loaded_before: int


class UseRecorder:
    """Wraps `comfy.model_management.load_models_gpu`; no caller imports it by name. `before` is
    told of the models that are about to be loaded."""

    def __init__(
        self, host: Host, arrivals: Arrivals, before: Callable[[Any], None] | None = None
    ) -> None:
        self._host = host
        self._arrivals = arrivals
        self._before = before or (lambda models: None)
        self._complained = False
        self._used: set[hearth.ModelKey] = set()  # by the running prompt
        self._fault: CheckpointCorruptError | None = None

    def install(self, management: Any, seams: Seams) -> None:
        """Takes hold of the seam, if it is there."""
        original: Any = getattr(management, "load_models_gpu", None)
        if seams.record("use_recording", callable(original)):
            management.load_models_gpu = self.wrap(original)

    def wrap(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """The function with recording around it; its result and errors are untouched."""

        @functools.wraps(original)
        def load_models_gpu(*args: Any, **kwargs: Any) -> Any:
            if not self._host.runtime.executor.is_current():
                return original(*args, **kwargs)
            models = args[0] if args else kwargs.get("models", ())
            self._guarded(lambda: self._before(models))
            work = self._guarded(lambda: self._begin(models)) or []
            # Outside the guard: an interrupt that ended the wait for a file ends the prompt, and
            # so do bytes that are gone.
            self._host.adapter.stop_if_interrupted()
            self._raise_fault()
            started = time.perf_counter()
            result = original(*args, **kwargs)
            ms = (time.perf_counter() - started) * 1000.0
            self._guarded(lambda: self._end(work, ms))
            self._guarded(lambda: self._host.supply.work.follow(models))
            return result

        return load_models_gpu

    def end_prompt(self) -> None:
        """To be called between prompts, and after each."""
        self._host.supply.work.end_prompt()
        used, self._used = self._used, set()
        if used:  # a prompt ran, and with other models perhaps
            self._guarded(lambda: give_up_own_pins(self._host, used))
            self._guarded(self._host.supply.end_prompt)

    def _begin(self, patchers: Any) -> list[_Work]:
        work: list[_Work] = []
        self._host.models.adopt_loaded()
        # Bytes that were gone when they were first read were zeros: what this prompt made of them
        # is not to become an image. Nobody knew before they were read.
        for worked in self._host.models.kept_of(self._used):
            self._sound_feed(worked)
        self._keep_fault(self._host.supply.check_patches)
        for patcher in patchers:
            resident = self._host.models.find(getattr(patcher, "model", None))
            if resident is None:
                continue
            self._host.scope.use(resident.key)
            self._used.add(resident.key)
            feed = self._sound_feed(resident)
            if feed is not None:
                feed.make_ready(lambda: not self._host.adapter.is_interrupted())
            work.append(_Work(resident, patcher, loaded_bytes(patcher)))
        return work

    def _sound_feed(self, resident: ResidentModel) -> Feed | None:
        """What feeds it, if there is any; without it where bytes of its files are gone, of which
        the fault is kept for `_raise_fault`."""
        feed = resident.feed
        if feed is None or resident.released:
            return None
        return feed if self._keep_fault(lambda: feed.check(resident.modules())) else None

    def _keep_fault(self, check: Callable[[], None]) -> bool:
        try:
            check()
        except CheckpointCorruptError as fault:
            self._fault = fault
            return False
        return True

    def _raise_fault(self) -> None:
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    def _end(self, work: list[_Work], ms: float) -> None:
        for each in work:
            feed = each.resident.feed
            if feed is not None and not each.resident.released:
                feed.give(each.patcher.model)
                self._host.supply.give_patches(each.patcher.model)
            self._arrivals.after_load(each.resident, each.patcher, each.loaded_before, ms)
            self._host.runtime.cache.update_bytes(each.resident.key, each.resident.bytes())

    def _guarded(self, action: Callable[[], Any]) -> Any:
        # A prompt must never fail because its use could not be recorded.
        try:
            with self._host.gate.enter() as is_open:
                return action() if is_open else None
        except Exception:
            if not self._complained:
                self._complained = True
                _LOG.warning("use of a model could not be recorded", exc_info=True)
            return None
