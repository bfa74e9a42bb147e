"""The stock loaders served from the cache: same workflows, same pixels, fewer reads."""

from __future__ import annotations

import functools
import hashlib
import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hearth.errors import CacheBusyError, CheckpointCorruptError
from hearth.event_text import one_line

from .file_check import refuse_if_corrupt
from .host import Host
from .nodes.stock import call_stock
from .residents import ResidentModel
from .seams import Seams
from .stock_loaders import (
    STOCK_LOADERS,
    FileStamp,
    LoadRequest,
    NotCacheableError,
    StockLoader,
    bind_inputs,
    find_files,
    has_linked_name,
    make_request,
    state_of_lists,
)

_LOG = logging.getLogger("hearth")
_MARK = "hearth_stock"


class _Attempt:
    """One run of a stock loader on the cache's behalf, remembered so that nothing is loaded twice
    and an error of the loader is told from an error of ours."""

    def __init__(self, stock: Callable[[], Any]) -> None:
        self._stock = stock
        self._checked = False
        self.outputs: Any = None
        self.failed = False

    def check(self, request: LoadRequest) -> None:
        """Throws CheckpointCorruptError for a file that must not reach the loader; looks once."""
        if self._checked:
            return
        self._checked = True
        try:
            for file in request.files:
                refuse_if_corrupt(file.path)
        except CheckpointCorruptError:
            self.failed = True  # the file's fault, and to be told; a failing check is only ours
            raise

    def run(self) -> Any:
        """What the loader returns, or throws."""
        try:
            self.outputs = self._stock()
        except BaseException:
            self.failed = True
            raise
        return self.outputs


@dataclass(frozen=True)
class _Wrapped:
    """A loader class whose method was replaced, and the method it had."""

    loader: StockLoader
    owner: Any
    method: str
    stock: Callable[..., Any]
    has_our_check: bool


class TransparentLoaders:
    """Wraps the stock loader classes, and unwraps them again."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._wrapped: list[_Wrapped] = []
        self._reasons_logged: set[str] = set()

    def install(self, classes: Mapping[str, type], seams: Seams) -> None:
        """Wraps what is found; a loader that looks unfamiliar stays as it is."""
        for loader in STOCK_LOADERS:
            owner: Any = classes.get(loader.class_name)
            method = getattr(owner, "FUNCTION", "")
            stock: Any = vars(owner).get(method) if owner is not None else None
            found = inspect.isfunction(stock) and not hasattr(stock, _MARK)
            if seams.record(f"loader:{loader.class_name}", found):
                has_check = hasattr(owner, "IS_CHANGED")
                self._wrap(_Wrapped(loader, owner, method, stock, not has_check))

    def uninstall(self) -> None:
        """Makes the classes what they were."""
        for wrapped in self._wrapped:
            setattr(wrapped.owner, wrapped.method, wrapped.stock)
            if wrapped.has_our_check:
                delattr(wrapped.owner, "IS_CHANGED")
        self._wrapped.clear()

    def load(self, class_name: str, inputs: Mapping[str, Any]) -> tuple[Any, ...]:
        """What that stock loader returns, through the cache whether `transparent` is on or off."""
        wrapped = self._find(class_name)
        if wrapped is None:
            return call_stock(class_name, inputs)
        outputs: tuple[Any, ...] = self._load(wrapped, wrapped.owner(), (), inputs)
        return outputs

    def stamp(self, class_name: str, inputs: Mapping[str, Any]) -> Any:
        """The change check of that stock loader, whether `transparent` is on or off."""
        wrapped = self._find(class_name)
        return False if wrapped is None else self._stamp(wrapped, inputs)

    def _find(self, class_name: str) -> _Wrapped | None:
        return next((each for each in self._wrapped if each.loader.class_name == class_name), None)

    def _wrap(self, wrapped: _Wrapped) -> None:
        hook = self

        @functools.wraps(wrapped.stock)
        def load(node: Any, *args: Any, **kwargs: Any) -> Any:
            if not hook._host.settings.transparent:
                return wrapped.stock(node, *args, **kwargs)
            return hook._load(wrapped, node, args, kwargs)

        def is_changed(cls: type, /, **inputs: Any) -> Any:
            return hook._stamp(wrapped, inputs) if hook._host.settings.transparent else False

        setattr(load, _MARK, wrapped.stock)
        setattr(wrapped.owner, wrapped.method, load)
        if wrapped.has_our_check:
            wrapped.owner.IS_CHANGED = classmethod(is_changed)
        self._wrapped.append(wrapped)

    def _load(self, wrapped: _Wrapped, node: Any, args: Any, kwargs: Any) -> Any:
        def call() -> Any:
            return wrapped.stock(node, *args, **kwargs)

        # Asked before the gate, which a load on the worker may hold for long.
        if not self._host.runtime.executor.is_current():
            self._fell_back(wrapped.loader, "", "asked for outside the prompt worker")
            return call()
        with self._host.gate.enter() as is_open:
            return self._load_through(wrapped, call, (args, kwargs)) if is_open else call()

    def _load_through(
        self, wrapped: _Wrapped, call: Callable[[], Any], inputs: tuple[Any, Any]
    ) -> Any:
        request = self._request(wrapped, *inputs)
        if request is None:
            return call()
        attempt = _Attempt(call)
        try:
            return self._serve(request, attempt)
        except CacheBusyError:
            raise  # only a prewarm asks for it: what would not be kept is not to be read
        except Exception as error:
            if attempt.failed:
                raise
            self._fell_back(wrapped.loader, request.key.name, f"{type(error).__name__}: {error}")
        return call() if attempt.outputs is None else attempt.outputs

    def _request(self, wrapped: _Wrapped, args: Any, kwargs: Any) -> LoadRequest | None:
        """What to ask the cache for; None: this call is ComfyUI's alone."""
        loader = wrapped.loader
        try:
            inputs = bind_inputs(wrapped.stock, args, kwargs)
            files = find_files(loader, inputs, wrapped.owner)
            return make_request(loader, inputs, files, self._host.adapter.devices())
        except (NotCacheableError, FileNotFoundError):
            return None  # nothing to cache, or the loader itself says what is missing
        except Exception as error:
            self._fell_back(loader, "", f"{type(error).__name__}: {error}")
            return None

    def _serve(self, request: LoadRequest, attempt: _Attempt) -> tuple[Any, ...]:
        host = self._host
        self._refuse_before_room_is_made(request, attempt)

        def load() -> tuple[ResidentModel, dict[str, int]]:
            attempt.check(request)  # before it is mapped and read ahead
            feed = host.supply.feed(request.files)
            try:
                outputs = attempt.run()
            except BaseException:
                if feed is not None:
                    feed.close(())
                raise
            resident = ResidentModel(request.key, outputs, request.file_bytes, host.models)
            resident.feed = feed
            resident.paths = tuple(file.path for file in request.files)
            host.models.add(resident)
            return resident, resident.bytes()

        asker = host.asker()
        tier = "mapped" if host.adapter.dynamic_vram() else "anonymous"
        handle = host.runtime.cache.acquire(
            request.key,
            load,
            expected={tier: request.file_bytes},
            node=asker.node,
            prompt=asker.prompt,
            raise_when_busy=host.only_where_room,
        )
        if not handle.cached:
            outputs: tuple[Any, ...] = handle.value.surrender()
            handle.close()
            return outputs
        host.scope.keep(handle)
        clones: tuple[Any, ...] = handle.value.hand_out()
        return clones

    def _refuse_before_room_is_made(self, request: LoadRequest, attempt: _Attempt) -> None:
        # In the load it would be too late: by then others have been evicted for it.
        cache = self._host.runtime.cache
        if cache.record_use(request.key, False):
            return  # resident or lingering: nothing is read, and nobody goes
        try:
            attempt.check(request)
        except CheckpointCorruptError as refusal:
            asker = self._host.asker()
            cache.note(
                "load_failed",
                model=request.key.name,
                loader=request.key.loader,
                reason=str(refusal),
                node=asker.node,
                prompt=asker.prompt,
            )
            raise

    def _stamp(self, wrapped: _Wrapped, inputs: Mapping[str, Any]) -> Any:
        """The change check: the state of the files, and of all that the loader lists where a name
        comes by a link: it runs again for another file's change, and then reads nothing. False,
        which is what ComfyUI takes for a node without a check, when it cannot be told; an exception
        would rerun the node every time."""
        try:
            if has_linked_name(wrapped.loader, inputs):
                return _digest(state_of_lists(wrapped.loader, inputs, wrapped.owner))
            files = find_files(wrapped.loader, inputs, wrapped.owner)
            with self._host.gate.enter() as is_open:
                if is_open:
                    self._note_question(wrapped, inputs, files)
            return _digest([(file.size, file.mtime_ns, file.inode) for file in files])
        except Exception:
            return False

    def _note_question(
        self, wrapped: _Wrapped, inputs: Mapping[str, Any], files: tuple[FileStamp, ...]
    ) -> None:
        # On a hit of ComfyUI's node cache the loader is not called: without this, whoever sends
        # the same prompt again and again would see the model expire.
        bound = bind_inputs(wrapped.stock, (), inputs)
        request = make_request(wrapped.loader, bound, files, self._host.adapter.devices())
        self._host.runtime.cache.record_use(request.key, False)

    def _fell_back(self, loader: StockLoader, name: str, reason: str) -> None:
        if reason not in self._reasons_logged:
            self._reasons_logged.add(reason)
            text = f"{loader.class_name} {name}: ComfyUI loads it itself ({reason})"
            _LOG.warning("%s", one_line(text))
        try:
            asker = self._host.asker()
            self._host.runtime.cache.note(
                "fell_back",
                model=name,
                loader=loader.class_name,
                reason=reason,
                node=asker.node,
                prompt=asker.prompt,
            )
        except Exception:  # the stock path must be reached, whatever the event's text is
            _LOG.exception("an event could not be noted")


def _digest(state: Any) -> str:
    """Short, and says nothing of this machine: ComfyUI puts it into the workflow that it writes
    into images."""
    return hashlib.sha256(repr(state).encode()).hexdigest()[:16]
