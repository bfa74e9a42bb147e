"""What the parts of hearth share inside one ComfyUI process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .adapter import ComfyAdapter
from .gate import Gate
from .host_supply import HostSupply
from .pins import Pins
from .prompt_scope import Asker, PromptScope
from .residents import ResidentModels
from .settings import Settings


@dataclass
class Host:
    """The runtime (hearth.Runtime) and ComfyUI's side of it; made once by `startup`."""

    runtime: Any
    adapter: ComfyAdapter
    settings: Settings
    models: ResidentModels
    scope: PromptScope
    asker: Callable[[], Asker]
    supply: HostSupply
    gate: Gate = field(default_factory=Gate)
    # A prewarm would rather have no model than one that is not kept.
    only_where_room: bool = False
    pins: Pins = field(init=False)

    def __post_init__(self) -> None:
        self.pins = Pins(self.runtime.cache)

    @contextmanager
    def loading_only_where_there_is_room(self) -> Iterator[None]:
        """Loaders raise CacheBusyError in it, and read nothing, where a model would not be kept."""
        before, self.only_where_room = self.only_where_room, True
        try:
            yield
        finally:
            self.only_where_room = (
                before  # a Prewarm node may stand in a workflow that is prewarmed
            )
