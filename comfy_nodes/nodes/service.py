"""What nodes ask of hearth, and the answers where hearth is off: then every node does as stock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from .stock import call_stock, stock_class


class NodeService(Protocol):
    """hearth as the nodes see it. Everything but `stamp` is called on the prompt worker."""

    not_found: type[Exception]
    """Raised for a model that no list has."""

    def load(self, class_name: str, inputs: Mapping[str, Any]) -> tuple[Any, ...]:
        """What that stock loader returns for these inputs."""

    def stamp(self, class_name: str, inputs: Mapping[str, Any]) -> Any:
        """The state of the files that load() would read; False when it cannot be told."""

    def retain(self, name: str, outputs: tuple[Any, ...], pin: bool, keep_alive_s: float) -> None:
        """Pins what load() returned, and says how long it may be idle; 0 is as configured. Where
        the model of that name is not kept, a pin is told to do nothing."""

    def pin(self, model: Any, pinned: bool) -> str:
        """Pins or unpins the cached model behind a MODEL, CLIP or VAE; says what was done."""

    def prewarm(self, name: str, options: str) -> str:
        """Loads a model by its name in ComfyUI's lists; says what was done."""

    def evict(self, name: str | None, free: bool) -> str:
        """Drops a model, or with None all that are idle and not pinned; says what was done.
        `free` also takes what lingers out of ComfyUI's node cache."""

    def status(self) -> str:
        """What is in the cache, in lines for people."""

    def holding(self, model: Any) -> AbstractContextManager[None]:
        """Nothing evicts the MODEL until the end of the block."""

    def with_own_steps(self, model: Any, sampler_name: str) -> Any:
        """The MODEL, so patched that a sampler of that name takes hearth's steps where it has
        them."""

    def sampler(self, sampler_name: str) -> Any:
        """A SAMPLER."""

    def with_engine(self, model: Any, name: str) -> Any:
        """The MODEL of the file `name`, computed by hearth's engine wherever that gives what the
        model gives. Raises ValueError for a model that is not Z-Image."""

    def decode(self, vae: Any, latent: Any) -> tuple[Any, ...]:
        """The IMAGE that ComfyUI's VAEDecode gives."""

    async def save(
        self, images: Any, prefix: str, prompt: Any, extra: Mapping[str, Any] | None
    ) -> Sequence[Mapping[str, str]]:
        """Writes the files that SaveImage would; returns their places when they are there."""
        ...


class StockService:
    """hearth is off: loaders and samplers are ComfyUI's own, the rest says why nothing happens."""

    not_found: type[Exception] = FileNotFoundError

    def __init__(self, reason: str) -> None:
        self._off = f"hearth is off: {reason}"

    def load(self, class_name: str, inputs: Mapping[str, Any]) -> tuple[Any, ...]:
        """As the stock loader."""
        return call_stock(class_name, inputs)

    def stamp(self, class_name: str, inputs: Mapping[str, Any]) -> Any:
        """As a node without a change check."""
        return False

    def retain(self, name: str, outputs: tuple[Any, ...], pin: bool, keep_alive_s: float) -> None:
        """Nothing."""

    def pin(self, model: Any, pinned: bool) -> str:
        """Why nothing was pinned."""
        return self._off

    def prewarm(self, name: str, options: str) -> str:
        """Why nothing was loaded."""
        return self._off

    def evict(self, name: str | None, free: bool) -> str:
        """Why nothing was dropped."""
        return self._off

    def status(self) -> str:
        """Why there is no cache."""
        return self._off

    def holding(self, model: Any) -> AbstractContextManager[None]:
        """Nothing."""
        return nullcontext()

    def with_own_steps(self, model: Any, sampler_name: str) -> Any:
        """The model itself."""
        return model

    def sampler(self, sampler_name: str) -> Any:
        """ComfyUI's own."""
        (sampler,) = call_stock("KSamplerSelect", {"sampler_name": sampler_name})
        return sampler

    def with_engine(self, model: Any, name: str) -> Any:
        """The model itself."""
        return model

    def decode(self, vae: Any, latent: Any) -> tuple[Any, ...]:
        """By ComfyUI's own node."""
        return call_stock("VAEDecode", {"vae": vae, "samples": latent})

    async def save(
        self, images: Any, prefix: str, prompt: Any, extra: Mapping[str, Any] | None
    ) -> Sequence[Mapping[str, str]]:
        """By ComfyUI's own node."""
        found: Sequence[Mapping[str, str]]
        found = stock_class("SaveImage")().save_images(images, prefix, prompt, extra)["ui"][
            "images"
        ]
        return found
