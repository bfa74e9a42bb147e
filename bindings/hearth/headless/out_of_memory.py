"""A node that runs out of memory: models that it does not need give way by the cache's policy, it
runs once more, and then the error says what would help. As the nodes in ComfyUI have it."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import hearth
import torch
from hearth.errors import DeviceOutOfMemoryError
from hearth.headless.run_models import ModelRef
from hearth.headless.work import Work

_ALL_BYTES = (1 << 64) - 1
_ALLOCATOR = "can't allocate memory"  # how torch words a failing malloc
_NEVER_AGAIN = ("SaveImage", "PreviewImage", "HearthSaveImage")
"""Classes of which a file that was begun would be there twice."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class _Short:
    """Which memory did not suffice, and for whom."""

    memory: str
    node: str

    @property
    def text(self) -> str:
        return f"{self.memory} did not suffice for {self.node}"


def with_room(work: Work, run: Callable[[Work], Result]) -> Result:
    """What `run` gives; when memory does not suffice, of a second time with room made for it.

    Raises what `run` raises; MemoryError, of a GPU DeviceOutOfMemoryError, where two were too few.
    """
    try:
        return run(work)
    except Exception as error:
        short = _short(work, error)
        if short is None or work.node.class_name in _NEVER_AGAIN:
            raise
        said = _first_line(error)
    # Outside of the handler: the error holds what the node had allocated.
    gave_way = _make_room(work, short)
    if not gave_way:
        raise _given_up(work, short, gave_way, said)
    try:
        return run(work)
    except Exception as error:
        if _short(work, error) is None:
            raise
        raise _given_up(work, short, gave_way, _first_line(error)) from error


def _short(work: Work, error: Exception) -> _Short | None:
    node = f"node {work.node.id} ({work.node.class_name})"
    if isinstance(error, (torch.OutOfMemoryError, DeviceOutOfMemoryError)):
        return _Short("GPU memory" if work.run.place.device != "cpu" else "RAM", node)
    is_ram = isinstance(error, MemoryError) or _ALLOCATOR in str(error)
    return _Short("RAM", node) if is_ram else None


def _make_room(work: Work, short: _Short) -> int:
    """How many models gave way. This run needs those of the node; it has others again from the
    cache when their turn comes."""
    cache = hearth.runtime().cache
    work.run.models.keep_only(ref for ref in work.inputs.values() if isinstance(ref, ModelRef))
    gc.collect()
    before = _gone_or_demoted()
    need = (_ALL_BYTES, 0) if short.memory == "RAM" else (0, _ALL_BYTES)
    cache.trim(*need, short.text)
    gave_way = _gone_or_demoted() - before
    if gave_way:
        _tell(work, f"{short.text}: {_models(gave_way)} gave way, and it runs once more")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return gave_way


def _given_up(work: Work, short: _Short, gave_way: int, said: str) -> Exception:
    _tell(work, short.text + (" a second time" if gave_way else ", and no model may give way"))
    loads = "Load" in work.node.class_name
    advice = "a smaller model" if loads else "a smaller size or batch"
    kind = MemoryError if short.memory == "RAM" else DeviceOutOfMemoryError
    return kind(
        f"{short.memory} did not suffice, not even after every model that may go had given way "
        f"({_models(gave_way)}). Use {advice}. ({said})"
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _gone_or_demoted() -> int:
    stats = hearth.runtime().cache.stats()
    return int(stats["evictions"] + stats["demotions"])


def _models(count: int) -> str:
    return "1 model" if count == 1 else f"{count} models"


def _tell(work: Work, text: str) -> None:
    hearth.runtime().cache.note("out_of_memory", reason=text, node=work.node.id)
    work.run.texts[work.node.id] = text
