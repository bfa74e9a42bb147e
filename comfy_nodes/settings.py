"""The few values that are asked for at every loader call, as plain attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Settings:
    """A copy of what the runtime has in force; refreshed after each change of the config."""

    keep_model_in_memory: bool = True
    transparent: bool = True
    prefetch_depth: int = 2
    trace_loads: bool = True
    unload_on_exit: bool = False
    gc_freeze: bool = True
    engine_numbers: str = "fast"
    oom_fallback: str = "off"
    token_env: str | None = None
    allowed_origins: list[str] = field(default_factory=list)

    def refresh(self, config: Mapping[str, Any]) -> None:
        """Takes over the values of a valid config."""
        self.keep_model_in_memory = bool(config["keep_model_in_memory"])
        self.transparent = bool(config["transparent"])
        self.prefetch_depth = int(config["prefetch"]["queue_depth"])
        self.trace_loads = bool(config["log"]["trace_loads"])
        self.unload_on_exit = bool(config["unload_on_exit"])
        self.gc_freeze = bool(config["gc_freeze"])
        self.engine_numbers = str(config["engine"]["numbers"])
        self.oom_fallback = str(config["oom_fallback"])
        self.token_env = config["api"]["token_env"]
        self.allowed_origins = list(config["api"]["allowed_origins"])
