"""hearth as its nodes see it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hearth.errors import CacheBusyError, CheckpointNotFoundError
from hearth.status_text import status_text

from .engine_service import Engine
from .host import Host
from .image_files import ImageFiles, ImageRequest, texts_of
from .node_text import NodeTexts
from .prewarm_names import NODE, model_graph
from .residents import ResidentModel
from .samplers import native_names, sampler_function
from .stock_loaders import names_model
from .transparent import TransparentLoaders

_ALL_BYTES = (1 << 64) - 1
_REASON = "asked for by a node"
_NOT_KEPT = "keep_model_in_memory is false"
_ALL_EVENTS = 1 << 20
_ENDING = "hearth is shutting down"


class LiveService:
    """The nodes' requests, answered by the cache. Called on the prompt worker."""

    not_found: type[Exception] = CheckpointNotFoundError

    def __init__(
        self,
        host: Host,
        loaders: TransparentLoaders,
        classes: Mapping[str, Any],
        engine: Engine,
        texts: NodeTexts,
    ) -> None:
        self._host = host
        self._engine = engine
        self._texts = texts
        self._files = ImageFiles()
        self._loaders = loaders
        self._classes = classes

    def load(self, class_name: str, inputs: Mapping[str, Any]) -> tuple[Any, ...]:
        """What that stock loader returns, through the cache, whether `transparent` is on or off."""
        return self._loaders.load(class_name, inputs)

    def stamp(self, class_name: str, inputs: Mapping[str, Any]) -> Any:
        """The state of the files; False when it cannot be told."""
        return self._loaders.stamp(class_name, inputs)

    def retain(self, name: str, outputs: tuple[Any, ...], pin: bool, keep_alive_s: float) -> None:
        """Applies both to the cached model behind the outputs; says so where there is none."""

        def apply() -> str:
            resident = self._behind(outputs)
            if resident is None and pin:
                text = f"{name} is not pinned, because it is not kept: {self._why_not_kept(name)}"
                self._texts.tell("noted", text, self._host.asker(), name)
            elif resident is not None:
                self._host.pins.put_by_loader(resident.key, pin)
                self._host.runtime.cache.keep_alive(resident.key, keep_alive_s or None)
            return ""

        self._while_open(apply)

    def pin(self, model: Any, pinned: bool) -> str:
        """Pins or unpins the cached model behind a MODEL, CLIP or VAE."""

        def apply() -> str:
            resident = self._find(model)
            if resident is None:
                return "not pinned: this model did not come through hearth's cache"
            self._host.pins.put(resident.key, pinned)
            return f"{resident.key.name} is {'pinned' if pinned else 'not pinned any more'}"

        return self._while_open(apply)

    def prewarm(self, name: str, options: str) -> str:
        """Loads a model by its name if it would be kept; throws PrewarmError for a name or options
        that are wrong."""
        node = model_graph(f"{name}?{options}" if options else name, self._classes)[NODE]
        if not self._host.settings.keep_model_in_memory:
            return f"{name} is not loaded: {_NOT_KEPT}"
        try:
            with self._host.loading_only_where_there_is_room():
                outputs = self._loaders.load(node["class_type"], node["inputs"])
        except CacheBusyError as error:
            return f"{name} is not loaded: {error}"
        if self._behind(outputs) is None:
            return f"{name} was read, but is not kept: {self._why_not_kept(name)}"
        return f"{name} is loaded"

    def evict(self, name: str | None, free: bool) -> str:
        """Drops what is asked for, also when the running prompt has used it."""

        def apply() -> str:
            cache = self._host.runtime.cache
            before = cache.stats()["resident"]
            if name is None:
                cache.trim(_ALL_BYTES, _ALL_BYTES, _REASON)
            else:
                self._erase(name)
            said = f"evicted: {before - cache.stats()['resident']}"
            return f"{said}, freed of what lingered: {cache.free_lingering()}" if free else said

        return self._while_open(apply)

    def status(self) -> str:
        """What is in the cache, and who computed what."""
        cache = self._host.runtime.cache
        passes = self._engine.paths.lines()
        return self._while_open(lambda: "\n".join([status_text(cache.residents()), *passes]))

    @contextmanager
    def holding(self, model: Any) -> Iterator[None]:
        """A handle on the model until the end of the block, if it is cached."""
        handle = self._handle(model)
        try:
            yield
        finally:
            if handle is not None:
                with self._host.gate.enter() as is_open:
                    if is_open:
                        handle.close()

    def with_own_steps(self, model: Any, sampler_name: str) -> Any:
        """A clone whose sampler takes hearth's steps; the model itself for any other sampler."""
        if sampler_name not in native_names():
            return model
        return self._host.adapter.with_sampler_function(model, sampler_function(sampler_name))

    def sampler(self, sampler_name: str) -> Any:
        """ComfyUI's sampler object, with hearth's steps where hearth has them."""
        sampler = self._host.adapter.sampler_object(sampler_name)
        if sampler_name in native_names():
            sampler.sampler_function = sampler_function(sampler_name)
        sampler.sample = self._while_held(sampler.sample)
        return sampler

    def _while_held(self, sample: Callable[..., Any]) -> Callable[..., Any]:
        """A sampler object's `sample`, which is given the model that it samples with first."""

        @functools.wraps(sample)
        def held(model_wrap: Any, *args: Any, **kwargs: Any) -> Any:
            with self.holding(_sampled(model_wrap)):
                return sample(model_wrap, *args, **kwargs)

        return held

    def with_engine(self, model: Any, name: str) -> Any:
        """A clone that the engine computes; throws CheckpointMismatchError for other models."""
        return self._engine.with_engine(model, name)

    def decode(self, vae: Any, latent: Any) -> tuple[Any, ...]:
        """What VAEDecode returns, by the engine where it can; nothing evicts the VAE meanwhile."""
        with self.holding(vae):
            return self._engine.decode(vae, latent)

    async def save(
        self, images: Any, prefix: str, prompt: Any, extra: Mapping[str, Any] | None
    ) -> Sequence[Mapping[str, str]]:
        """Writes what SaveImage would, by threads; returns when the files are there."""
        texts = texts_of(prompt, extra) if self._host.adapter.wants_metadata() else {}
        return await self._files.save(ImageRequest(images, prefix, texts))

    def _behind(self, outputs: tuple[Any, ...]) -> ResidentModel | None:
        return next(filter(None, map(self._find, outputs)), None)

    def _why_not_kept(self, name: str) -> str:
        if not self._host.settings.keep_model_in_memory:
            return _NOT_KEPT
        for event in reversed(self._host.runtime.cache.events(0, _ALL_EVENTS)):
            ours = event["model"] and f"/{name}".endswith(f"/{event['model']}")
            if ours and event["kind"] in ("served_uncached", "fell_back"):
                return str(event["reason"])
        return "ComfyUI loaded it past hearth's cache"

    def _handle(self, model: Any) -> Any:
        resident = self._find(model)
        if resident is None:
            return None
        with self._host.gate.enter() as is_open:
            return self._host.runtime.cache.lookup(resident.key) if is_open else None

    def _find(self, model: Any) -> ResidentModel | None:
        patcher = getattr(model, "patcher", model)
        return self._host.models.find(getattr(patcher, "model", None))

    def _erase(self, name: str) -> None:
        cache = self._host.runtime.cache
        for view in cache.residents():
            if names_model(name, view["name"]) and not view["lingering"]:
                # The prompt's own handle would keep the bytes until its end.
                self._host.scope.let_go(view["key"])
                cache.erase(view["key"], _REASON)

    def _while_open(self, action: Callable[[], str]) -> str:
        with self._host.gate.enter() as is_open:
            return action() if is_open else _ENDING


def _sampled(guider: Any) -> Any:
    """The patcher of what ComfyUI gives a sampler object, a guider; None where it has none."""
    return getattr(guider, "model_patcher", None)
