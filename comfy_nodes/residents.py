"""What the cache holds for ComfyUI: all that one loader call returned."""

from __future__ import annotations

import os
import weakref
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Protocol

import hearth

from .adapter import ComfyAdapter
from .host_supply import Feed
from .measure import Bytes, bytes_of
from .parts import Part, make_part


class NodeCache(Protocol):
    """Whoever can make ComfyUI's node cache let go of a model."""

    def remove(self, modules: Sequence[Any]) -> int:
        """Removes the entries that carry one of the modules; returns how many."""


class ResidentModels:
    """Finds the resident that a module belongs to, and remembers which lost a module.

    Holds neither modules nor residents alive.
    """

    def __init__(self, adapter: ComfyAdapter, node_cache: NodeCache) -> None:
        self.adapter = adapter
        self.node_cache = node_cache
        self._by_module: weakref.WeakKeyDictionary[Any, weakref.ref[ResidentModel]] = (
            weakref.WeakKeyDictionary()
        )
        # Filled by weak-reference callbacks, which may run at any allocation of any thread: they
        # may take no lock, and a deque's append takes none.
        self._changed: deque[weakref.ref[ResidentModel]] = deque()

    def add(self, resident: ResidentModel) -> None:
        """Makes the modules of a new resident known."""
        for module in resident.modules():
            self._by_module[module] = weakref.ref(resident)

    def find(self, module: Any) -> ResidentModel | None:
        """The resident with that module, lingering ones included."""
        try:
            found = self._by_module.get(module)
        except TypeError:  # not weakly referenceable: not one of ours
            return None
        return None if found is None else found()

    def adopt_loaded(self) -> None:
        """Gives loaded models whose clones have died back to the base that is kept."""
        for entry, module in self.adapter.loaded_without_patcher():
            resident = self.find(module)
            patcher = None if resident is None else resident.patcher_of(module)
            if patcher is not None:
                entry._set_model(patcher)

    def update_bytes(self, cache: Any) -> None:
        """Tells the cache where the bytes of all residents are now."""
        for resident in self._kept():
            cache.update_bytes(resident.key, resident.bytes())

    def paths(self) -> list[str]:
        """Paths of the files of all residents, each once, in no order; never shown."""
        found: dict[str, None] = {}
        for resident in self._kept():
            found.update(dict.fromkeys(resident.paths))
        return list(found)

    def without_file(self) -> list[ResidentModel]:
        """Residents of which a file is gone: nobody can ask for them any more."""
        return [each for each in self._kept() if each.lost_a_file()]

    def with_copies(self) -> list[ResidentModel]:
        """Residents of which the engine has weights of its own."""
        return [each for each in self._kept() if each.copies]

    def kept_but(self, keys: Collection[hearth.ModelKey]) -> list[ResidentModel]:
        """Residents that are none of these."""
        return [each for each in self._kept() if each.key not in keys]

    def kept_of(self, keys: Collection[hearth.ModelKey]) -> list[ResidentModel]:
        """Residents that are among these."""
        return [each for each in self._kept() if each.key in keys]

    def drop_copies(self) -> None:
        """Has the engine let go of its own weights, as ComfyUI lets go of its at `/free`."""
        for resident in self.with_copies():
            resident.copies.clear()

    def _kept(self) -> list[ResidentModel]:
        found = (reference() for reference in list(self._by_module.values()))
        return list({id(each): each for each in found if each and not each.released}.values())

    def note_change(self, resident: weakref.ref[ResidentModel]) -> None:
        """Called when a module of a lingering resident dies."""
        self._changed.append(resident)

    @property
    def has_changes(self) -> bool:
        """Whether report_changes() would have something to say."""
        return bool(self._changed)

    def report_changes(self, cache: Any) -> None:
        """Tells the cache what became of lingering models. Runs on the executor."""
        changed: dict[int, ResidentModel] = {}
        while self._changed:
            resident = self._changed.popleft()()
            if resident is not None and resident.released:
                changed[id(resident)] = resident
        for resident in changed.values():
            left = resident.lingering_bytes()
            if left is None:
                cache.lingering_gone(resident.key)
            else:
                cache.update_bytes(resident.key, left)


class ResidentModel:
    """The base objects of one loader call, as the native cache's resident.

    release(), demote(), reclaim() and free_lingering() are called by the cache on the executor's
    thread.
    """

    def __init__(
        self, key: hearth.ModelKey, outputs: Sequence[Any], file_bytes: int, models: ResidentModels
    ) -> None:
        self.key = key
        self.released = False
        self.feed: Feed | None = None
        self.paths: tuple[str, ...] = ()  # of its files; never shown
        # By part: the engine's own placement of the weights (engine_copy.py); it is of the device,
        # and goes whenever the model leaves it.
        self.copies: dict[str, Any] = {}
        self._parts: list[Part | None] = [make_part(output) for output in outputs]
        self.file_bytes = file_bytes
        self._models = models
        self._surrendered = False

    def hand_out(self) -> tuple[Any, ...]:
        """Clones, in the order of the loader's outputs."""
        return tuple(None if part is None else part.hand_out() for part in self._parts)

    def surrender(self) -> tuple[Any, ...]:
        """The base objects themselves, for a model that is not cached: from now on they are
        ComfyUI's alone, and release() leaves them where they are."""
        self._surrendered = True
        self.copies.clear()
        if self.feed is not None:
            self.feed.close(self.modules())
            self.feed = None
        return tuple(None if part is None else part.base for part in self._parts)

    def lost_a_file(self) -> bool:
        """Whether one of its files was deleted. Asks the file system."""
        # A share that is away for a moment takes the folder along; then nothing was deleted.
        return any(
            not os.path.exists(path) and os.path.isdir(os.path.dirname(path)) for path in self.paths
        )

    def modules(self) -> list[Any]:
        """The modules that are alive."""
        return [part.module for part in self._present() if part.module is not None]

    def patcher_of(self, module: Any) -> Any:
        """The base patcher of one of the modules; None when it is gone."""
        patchers = (part.patcher for part in self._present() if part.module is module)
        return next(patchers, None)

    def bytes(self) -> Bytes:
        """Where the bytes are now, of a lingering one those that are left."""
        patchers = [part.patcher for part in self._present()]
        found = bytes_of([each for each in patchers if each is not None], self.file_bytes)
        found["device"] += sum(copy.device_bytes for copy in self.copies.values())
        return found

    def release(self) -> Bytes | None:
        """Takes the model off its device and lets go of it; returns what still lingers."""
        if self._surrendered:
            return None
        self.copies.clear()
        adapter = self._models.adapter
        with adapter.inference_mode():
            self._models.adopt_loaded()  # what has no patcher cannot be unloaded
            for part in self._present():
                adapter.unload(part.patcher)
            if self.feed is not None:
                self.feed.close(self.modules())
            self._let_go()
            if self.modules():
                adapter.collect()
            adapter.empty_device_cache()
        return self.lingering_bytes()

    def demote(self) -> Bytes | None:
        """Takes the model off its device and keeps it; returns where its bytes are then."""
        self.copies.clear()
        adapter = self._models.adapter
        with adapter.inference_mode():
            self._models.adopt_loaded()
            for part in self._present():
                adapter.unload(part.patcher)
            adapter.empty_device_cache()
        return self.bytes()

    def reclaim(self) -> bool:
        """Takes every part back, or none."""
        parts = list(self._present())
        if not all(part.module is not None for part in parts):
            return False
        taken = [part for part in parts if part.take_back()]
        if len(taken) < len(parts):
            for part in taken:
                part.let_go(self._on_gone())
            return False
        self.released = False
        if self.feed is not None:
            self.feed.open()
        return True

    def free_lingering(self) -> Bytes | None:
        """Has ComfyUI's node cache drop what carries this model; returns what still lingers."""
        adapter = self._models.adapter
        with adapter.inference_mode():
            if self._models.node_cache.remove(self.modules()):
                adapter.collect()
                adapter.empty_device_cache()
        return self.lingering_bytes()

    def lingering_bytes(self) -> Bytes | None:
        """Bytes of a released model that somebody outside still holds; None when it is gone."""
        return self.bytes() if self.modules() else None

    def _let_go(self) -> None:
        self.released = True
        for part in self._present():
            part.let_go(self._on_gone())

    def _on_gone(self) -> Any:
        # Both weakly: the callback lives as long as the module, which may be longer than we do.
        me, models = weakref.ref(self), self._models
        return lambda: models.note_change(me)

    def _present(self) -> Iterator[Part]:
        return (part for part in self._parts if part is not None)
