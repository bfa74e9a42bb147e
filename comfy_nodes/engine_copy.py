"""The engine's own weights of a model that ComfyUI streams: a second placement of the same file.

With dynamic VRAM a module's parameters come and go while it computes, and there is nothing to take
views of. The engine then has the file's weights in one piece where the model works. They come from
the host tier, which ComfyUI's own transfers are fed from as well: nothing is read twice. While the
engine computes, ComfyUI's parameters do not come, so that VRAM holds one set of them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from hearth import zimage

from .engine_paths import Refusal
from .host import Host
from .residents import ResidentModel
from .stock_loaders import stamp_file

_READABLE = (".safetensors", ".sft")
# Inputs of a loader that leave the weights as they are in the file.
_AS_IN_FILE: dict[str, object] = {"weight_dtype": "default"}
# What work needs beside the weights: latents, activations, the recorded memory of libraries.
_WORKING_BYTES = 2 << 30
_CAUSE = "dynamic VRAM"

Make = Callable[[Any], Any]
"""From the file's tensors to the part that computes."""


@dataclass(frozen=True)
class CopyWish:
    """Which part of a model, and how it is to compute."""

    part: str
    device: Any
    type: Any
    fused: bool


@dataclass(frozen=True)
class EngineCopy:
    """A part as the engine computes it. Belongs to one resident, and goes with its VRAM."""

    wish: CopyWish
    model: Any
    device_bytes: int


class EngineCopies:
    """Makes copies, and has them give way to models that ComfyUI loads. Prompt worker only."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def get(self, base: Any, wish: CopyWish, make: Make) -> EngineCopy | Refusal:
        """The copy of the model that ComfyUI keeps as `base`, or why there is none."""
        resident = self._host.models.find(base)
        if resident is None or resident.released:
            return Refusal(_CAUSE, "the model is not in hearth's cache")
        found: EngineCopy | None = resident.copies.get(wish.part)
        if found is not None and found.wish == wish:
            return found
        resident.copies.pop(wish.part, None)
        return _why_unlike(resident) or self._make(resident, base, wish, make)

    def give_way(self, patchers: Iterable[Any]) -> None:
        """Drops the copies of other models where those that are about to work lack memory.

        ComfyUI streams a model that does not fit, at the bus's speed in every step; a copy is back
        within the time that it takes to pass the bus once.
        """
        working = {id(getattr(patcher, "model", None)): patcher for patcher in patchers}
        idle = []
        for resident in self._host.models.with_copies():
            used = working.keys() & set(map(id, resident.modules()))
            for module in used:
                del working[module]  # it computes with its copy, and nothing is to be loaded
            if not used:
                idle.append(resident)
        if idle and not self._host.adapter.have_room(working.values(), _WORKING_BYTES):
            for resident in idle:
                resident.copies.clear()
                self._host.runtime.cache.update_bytes(resident.key, resident.bytes())
            self._host.adapter.empty_device_cache()

    def _make(
        self, resident: ResidentModel, base: Any, wish: CopyWish, make: Make
    ) -> EngineCopy | Refusal:
        started = time.perf_counter()
        weights = zimage.open_weights(*resident.paths)
        size = resident.file_bytes if wish.device.type != "cpu" else 0
        if not self._host.adapter.make_room(size + _WORKING_BYTES, wish.device, base):
            return Refusal("too little VRAM", f"{size / 1e9:.1f} GB in one piece")
        copy = EngineCopy(wish, make(weights), size)
        weights.require_sound()
        resident.copies[wish.part] = copy
        self._tell(resident, copy, (time.perf_counter() - started) * 1000.0)
        return copy

    def _tell(self, resident: ResidentModel, copy: EngineCopy, ms: float) -> None:
        cache, asker = self._host.runtime.cache, self._host.asker()
        cache.update_bytes(resident.key, resident.bytes())
        cache.note(
            "weights_arrived",
            model=resident.key.name,
            loader=resident.key.loader,
            reason=f"{copy.wish.part}: in one piece, for hearth's engine",
            node=asker.node,
            prompt=asker.prompt,
            bytes={"device": copy.device_bytes} if copy.device_bytes else {},
            ms=ms,
        )


def _why_unlike(resident: ResidentModel) -> Refusal | None:
    """Why the file does not say what the module holds."""
    if resident.key.kind == "checkpoint" or len(resident.paths) != 1:
        return Refusal(_CAUSE, "the file holds more than this model")
    (path,) = resident.paths
    if not path.lower().endswith(_READABLE):
        return Refusal(_CAUSE, "the file is not a safetensors file")
    inputs = json.loads(resident.key.options)["inputs"]
    if any(_AS_IN_FILE.get(name) != value for name, value in inputs.items()):
        return Refusal(_CAUSE, "the loader changes the weights")
    if stamp_file(path).identity != resident.key.identity:
        return Refusal(_CAUSE, "the file is another one by now")
    return None
