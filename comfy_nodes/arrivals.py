"""When the weights of a model reached the device it works on.

Without dynamic VRAM the transfer happens inside load_models_gpu(). With it, weights move one module
after the other while the first pass computes; what is reported then is the whole first pass, and
the event says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .first_pass import FirstPass
from .host import Host
from .measure import Bytes, is_dynamic, loaded_bytes, on_host
from .prompt_scope import Asker
from .residents import ResidentModel

_MOVED = "moved as a whole"
_STAYED = "works on the host, nothing to move"
_INTERLEAVED = "moved during the first pass; the time includes its computing"


@dataclass
class _Awaited:
    resident: ResidentModel
    part: str
    asker: Asker
    first_pass: FirstPass


class Arrivals:
    """Notes one `weights_arrived` per arrival: not again while the weights stay."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._awaited: list[_Awaited] = []

    def after_load(self, resident: ResidentModel, patcher: Any, before: int, ms: float) -> None:
        """Called after each load_models_gpu(); `before` is what was loaded when it began."""
        self.settle()
        if before > 0 or not self._host.settings.trace_loads:
            return
        part = type(patcher.model).__name__
        asker = self._host.asker()
        if is_dynamic(patcher):
            first_pass = FirstPass(self._host.adapter, patcher)
            self._awaited.append(_Awaited(resident, part, asker, first_pass))
            return
        loaded = loaded_bytes(patcher)
        if loaded == 0:
            return
        if on_host(patcher):
            self._note(resident, f"{part}: {_STAYED}", asker, {"anonymous": loaded}, ms)
        else:
            self._note(resident, f"{part}: {_MOVED}", asker, {"device": loaded}, ms)

    def settle(self) -> None:
        """Notes what has arrived since; called at every later load and at the end of a prompt."""
        awaited, self._awaited = self._awaited, []
        for each in awaited:
            ms = each.first_pass.finish()
            reason = f"{each.part}: {_INTERLEAVED}"
            self._note(each.resident, reason, each.asker, each.first_pass.bytes, ms)

    def _note(
        self, resident: ResidentModel, reason: str, asker: Asker, arrived: Bytes, ms: float
    ) -> None:
        self._host.runtime.cache.note(
            "weights_arrived",
            model=resident.key.name,
            loader=resident.key.loader,
            reason=reason,
            node=asker.node,
            prompt=asker.prompt,
            bytes=arrived,
            ms=ms,
        )
