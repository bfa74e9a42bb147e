"""Feeds ComfyUI's transfers from hearth's host tier, where this ComfyUI lets it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hearth.device import probe

from .adapter import ComfyAdapter
from .held_files import HeldFiles
from .pin_supply import PinSupply, Supplied
from .stock_loaders import FileStamp

_LOG = logging.getLogger("hearth")


class Feed:
    """What one model's transfers are fed from, as long as the model is kept."""

    def __init__(self, adapter: ComfyAdapter, pins: PinSupply, files: HeldFiles) -> None:
        self._adapter = adapter
        self._pins = pins
        self._files = files

    @property
    def mapped_bytes(self) -> int:
        """Bytes of the files that are held mapped."""
        return self._files.mapped_bytes

    def open(self) -> None:
        """Maps the files and begins to read them."""
        self._files.open()

    def make_ready(self, is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Waits until the files are read and registered, or no longer wanted; does nothing once
        they are."""
        self._files.make_ready(is_wanted)

    def give(self, module: Any) -> Supplied:
        """Gives a model its pins, after ComfyUI has prepared it for work."""
        return self._pins.give(module, self._files.find)

    def close(self, modules: Sequence[Any]) -> None:
        """Takes the pins of these models back and lets the files go."""
        if sum(self._pins.take_back(module) for module in modules) > 0:
            self._adapter.finish_transfers()
        self._files.close()


class HostSupply:
    """Which way weights go in this process, chosen once; runs on the prompt worker."""

    def __init__(self, adapter: ComfyAdapter, tier: Any) -> None:
        self._adapter = adapter
        self._tier = tier
        self._pins: PinSupply | None = None
        self._enabled: bool | None = None
        self.why_stock = "not looked for yet"

    def follow(self, config: Mapping[str, Any]) -> None:
        """Chooses anew when the config says otherwise than before; what is fed stays fed."""
        enabled = bool(config["host_tier"]["enabled"])
        if enabled != self._enabled:
            self._enabled = enabled
            self._choose(enabled)

    def _choose(self, enabled: bool) -> None:
        """Finds out whether pins can be given here: ComfyUI's names and one byte-exact transfer."""
        self._pins = None
        self.why_stock = self._why_stock(enabled)
        if not self.why_stock:
            self._pins = PinSupply(self._adapter.packing_alignment())

    @property
    def uses_pins(self) -> bool:
        """Whether transfers read from the host tier."""
        return self._pins is not None

    @property
    def path(self) -> str:
        """One line for people: how weights reach the device."""
        if self._pins is not None:
            return "pins: ComfyUI's transfers read hearth's registered mapping of the file"
        return f"ComfyUI's own: {self.why_stock}"

    def feed(self, stamps: Sequence[FileStamp]) -> Feed | None:
        """Maps the files of a model that is about to be loaded and begins to read them; None where
        ComfyUI transfers its own way."""
        if self._pins is None:
            return None
        feed = Feed(self._adapter, self._pins, HeldFiles(self._tier, stamps))
        feed.open()
        return feed

    def _why_stock(self, enabled: bool) -> str:
        if not enabled:
            return "host_tier.enabled is false"
        if not self._adapter.dynamic_vram():
            return "ComfyUI runs without dynamic VRAM"
        found = probe()
        if not found.devices:
            return found.reason
        try:
            return self._adapter.why_no_pins()
        except Exception as error:  # names that change monthly fail in ways nobody lists
            what = f"{type(error).__name__}: {error}"
            return f"this ComfyUI transfers weights in another way ({what})"
