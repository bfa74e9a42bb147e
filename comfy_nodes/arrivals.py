"""When the weights of a model reached the device it works on.

Without dynamic VRAM the transfer happens inside load_models_gpu(). With it, weights move one module
after the other while the first pass computes; what is reported then is the whole first pass, and
the event says so.
"""

from __future__ import annotations

import time
from typing import Any

from .host import Host
from .measure import is_dynamic, loaded_bytes, on_host, pinned_bytes
from .prompt_scope import Asker
from .residents import ResidentModel

_MOVED = "moved as a whole"
_STAYED = "works on the host, nothing to move"
_INTERLEAVED = "moved during the first pass; the time includes its computing"


class Arrivals:
    """Notes one `weights_arrived` per arrival: not again while the weights stay."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._waiting: list[FirstPass] = []

    def after_load(self, resident: ResidentModel, patcher: Any, before: int, ms: float) -> None:
        """Called after each load_models_gpu(); `before` is what was loaded when it began."""
        self.settle()
        if before > 0:
            return
        if is_dynamic(patcher):
            self._waiting.append(FirstPass(resident, patcher, self._host.asker()))
        elif loaded_bytes(patcher) > 0:
            reason = _STAYED if on_host(patcher) else _MOVED
            self._note(resident, patcher, reason, ms, self._host.asker())

    def settle(self) -> None:
        """Notes what has arrived since; called at every later load and at the end of a prompt."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            ms = each.finished_after_ms()
            self._note(each.resident, each.patcher, _INTERLEAVED, ms, each.asker)

    def _note(
        self, resident: ResidentModel, patcher: Any, reason: str, ms: float, asker: Asker
    ) -> None:
        self._host.runtime.cache.note(
            "weights_arrived",
            model=resident.key.name,
            loader=resident.key.loader,
            reason=f"{type(patcher.model).__name__}: {reason}",
            node=asker.node,
            prompt=asker.prompt,
            bytes=_arrived_bytes(patcher),
            ms=ms,
        )


class FirstPass:
    """A model whose weights are on their way."""

    def __init__(self, resident: ResidentModel, patcher: Any, asker: Asker) -> None:
        self.resident = resident
        self.patcher = patcher
        self.asker = asker
        self._started = time.perf_counter()

    def finished_after_ms(self) -> float:
        """Milliseconds from the start to now."""
        return (time.perf_counter() - self._started) * 1000.0


def _arrived_bytes(patcher: Any) -> dict[str, int]:
    loaded = loaded_bytes(patcher)
    if on_host(patcher):
        return {"anonymous": loaded}
    return {"device": loaded, "pinned": pinned_bytes(patcher) if is_dynamic(patcher) else 0}
