"""A node that runs out of memory: make room by the policy, run it once more, then say so.

The seam is `execution.get_output_data`, which runs one node: an error that leaves it makes ComfyUI
unload every model. Without anything to evict, errors pass as if hearth were not there.
"""

from __future__ import annotations

import errno
import functools
import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from hearth.errors import DeviceOutOfMemoryError

from .cpu_inputs import has_models, on_cpu
from .host import Host
from .node_text import NodeTexts
from .nodes.node import RUNS_AGAIN, WRITES
from .prewarm_workflows import MODEL_TYPES
from .prompt_scope import Asker
from .seams import Seams

_LOG = logging.getLogger("hearth")
_ALL_BYTES = (1 << 64) - 1
_PARAMETERS = ["prompt_id", "unique_id", "obj", "input_data_all"]
_RAM = "RAM"
_ALLOCATOR = "can't allocate memory"  # how torch words a failing malloc

Run = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class _Node:
    """One call of get_output_data(): whose it is, and with what."""

    prompt: str
    id: str
    owner: Any
    inputs: dict[str, list[Any]]

    @property
    def label(self) -> str:
        kind = self.owner if inspect.isclass(self.owner) else type(self.owner)
        return f"node {self.id} ({kind.__name__})"

    @property
    def loads(self) -> bool:
        """Whether it gives a MODEL, CLIP or VAE, and is not given one."""
        returned = getattr(self.owner, "RETURN_TYPES", None) or ()
        return not MODEL_TYPES.isdisjoint(returned) and not has_models(self.inputs)


class OutOfMemory:
    """Wraps the function that runs a node. At most one retry and one rerun on the CPU a node."""

    def __init__(self, host: Host, texts: NodeTexts) -> None:
        self._host = host
        self._texts = texts

    def install(self, execution: Any, seams: Seams) -> None:
        """Takes hold of the seam, if it looks as expected."""
        original: Any = getattr(execution, "get_output_data", None)
        found = inspect.iscoroutinefunction(original)
        if found:
            found = list(inspect.signature(original).parameters)[: len(_PARAMETERS)] == _PARAMETERS
        if seams.record("out_of_memory", found):
            execution.get_output_data = self.wrap(original)

    def wrap(self, original: Run) -> Run:
        """The function with room made for a second run; results and other errors are untouched."""

        @functools.wraps(original)
        async def get_output_data(*args: Any, **kwargs: Any) -> Any:
            try:
                return await original(*args, **kwargs)
            except Exception as error:
                kind = self._kind(error)
                node = None if kind is None else _node_of(args)
                if node is None or not self._may_run_again(node):
                    raise
                gave_way = self._make_room(kind or "", node)
                if not gave_way and not self._may_use_cpu(error, node):
                    raise
            # Outside of the handler: the error holds what the node had allocated.
            if not gave_way:
                return await self._on_cpu(original, node, args, kwargs)
            return await self._again(original, node, args, kwargs)

        return get_output_data

    async def _again(self, original: Run, node: _Node, args: Any, kwargs: Any) -> Any:
        try:
            return await original(*args, **kwargs)
        except Exception as error:
            kind = self._kind(error)
            if kind is None:
                raise
            if not self._may_use_cpu(error, node):
                raise self._given_up(kind, node, error) from error
        return await self._on_cpu(original, node, args, kwargs)

    async def _on_cpu(self, original: Run, node: _Node, args: Any, kwargs: Any) -> Any:
        self._tell(node, f"{node.label} is run on the CPU (oom_fallback)")
        adapter = self._host.adapter
        self._give_back()
        with on_cpu(adapter, node.inputs) as inputs:
            return await original(*args[:3], inputs, *args[4:], **kwargs)

    def _kind(self, error: Exception) -> str | None:
        """Which memory did not suffice, in words; None: the error is another one."""
        if self._host.adapter.is_device_oom(error):
            return _RAM if self._host.adapter.works_on_cpu() else "GPU memory"
        host = isinstance(error, MemoryError) or _ALLOCATOR in str(error)
        if host or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
            return _RAM
        return None

    def _may_run_again(self, node: _Node) -> bool:
        # What saves or shows may have done half of it already.
        once = getattr(node.owner, "OUTPUT_NODE", False)
        again = not once or getattr(node.owner, RUNS_AGAIN, False)
        # What is stock stays stock where `transparent` is off; nodes of ours use the cache anyway.
        ours = hasattr(node.owner, WRITES)
        return again and (ours or self._host.settings.transparent)

    def _may_use_cpu(self, error: Exception, node: _Node) -> bool:
        # What the host's own memory did not suffice for would take more of it on the CPU.
        of_device = self._host.adapter.is_device_oom(error)
        wanted = self._host.settings.oom_fallback == "cpu" and of_device
        return wanted and has_models(node.inputs)

    def _make_room(self, kind: str, node: _Node) -> int:
        """Has every model that may go give that memory back: its VRAM, or all of it. Returns how
        many did. Never throws: the error that brought us here is the one to be told."""
        try:
            return self._trim(kind, node)
        except Exception:
            _LOG.exception("no room could be made for %s", node.label)
            return 0

    def _trim(self, kind: str, node: _Node) -> int:
        host, ram = self._host, kind == _RAM
        with host.gate.enter() as is_open:
            if not is_open:
                return 0
            host.models.update_bytes(host.runtime.cache)
            before = _gone_or_demoted(host.runtime.cache)
            need = (_ALL_BYTES, 0) if ram else (0, _ALL_BYTES)
            # What was evicted earlier may be all that there is to give.
            freed = host.runtime.cache.free_lingering() if ram else 0
            host.runtime.cache.trim(*need, f"{kind} did not suffice for {node.label}")
            gave_way = _gone_or_demoted(host.runtime.cache) - before
            if gave_way and ram:
                host.runtime.cache.free_lingering()
            gave_way += freed
        if gave_way:
            self._tell(
                node, f"{kind} did not suffice for {node.label}: {_models(gave_way)} gave way"
            )
            self._give_back()
        return gave_way

    def _give_back(self) -> None:
        self._host.adapter.collect()
        self._host.adapter.empty_device_cache()

    def _given_up(self, kind: str, node: _Node, error: Exception) -> Exception:
        advice = 'Use a smaller size or batch, or set "oom_fallback" to "cpu".'
        if not self._host.adapter.is_device_oom(error):
            advice = "Use a smaller size or batch."
        if node.loads:  # neither would help
            advice = "Use a smaller model, or a smaller type of its weights."
        message = f"{kind} did not suffice for {node.label}, not even after "
        message += f"every model that may go had given way. {advice} ({error})"
        self._tell(node, f"{kind} did not suffice for {node.label} a second time")
        adapter = self._host.adapter
        of_device = adapter.is_device_oom(error)
        return (_device_error(adapter.oom_class()) if of_device else MemoryError)(message)

    def _tell(self, node: _Node, text: str) -> None:
        self._texts.tell("out_of_memory", text, Asker(node.id, node.prompt))


def _node_of(args: tuple[Any, ...]) -> _Node | None:
    if len(args) < len(_PARAMETERS) or not isinstance(args[3], dict):
        return None
    return _Node(str(args[0]), str(args[1]), args[2], args[3])


def _gone_or_demoted(cache: Any) -> int:
    stats = cache.stats()
    return int(stats["evictions"] + stats["demotions"])


def _models(count: int) -> str:
    return "1 model" if count == 1 else f"{count} models"


def _device_error(oom: type[Exception]) -> type[Exception]:
    """The error as both ComfyUI and hearth's users know it."""
    members = {"__module__": DeviceOutOfMemoryError.__module__}
    return type("DeviceOutOfMemoryError", (DeviceOutOfMemoryError, oom), members)
