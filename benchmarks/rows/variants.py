"""The ways of running ComfyUI that are measured beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Variant:
    """One way to start ComfyUI; `config` is hearth's, None where hearth is not installed."""

    name: str
    flags: tuple[str, ...] = ()
    config: Mapping[str, Any] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    prewarm: bool = False  # workflow A with a dummy inference, the transformer of B as a model

    @property
    def has_hearth(self) -> bool:
        """Whether hearth runs in it."""
        return self.config is not None


_KEEP_ALL = {"max_cached_models": 8}

VARIANTS = {
    each.name: each
    for each in (
        Variant("stock"),
        Variant("cache_lru", ("--cache-lru", "100")),
        Variant("cache_ram", ("--cache-ram", "4", "8")),
        Variant("hearth", config=_KEEP_ALL),
        Variant("hearth_prewarmed", config=_KEEP_ALL, prewarm=True),
        Variant("hearth_hold_only", config=_KEEP_ALL | {"host_tier": {"enabled": False}}),
    )
}
