"""Feeds ComfyUI's transfers from hearth's host tier, where this ComfyUI lets it."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hearth.device import probe
from hearth.errors import CheckpointCorruptError

from .adapter import ComfyAdapter
from .file_work import FileWork
from .held_files import HeldFiles, Json
from .patch_files import PatchFiles
from .patch_pins import PatchPins
from .pin_supply import PinSupply, Supplied
from .stock_loaders import FileStamp

_LOG = logging.getLogger("hearth")
_GIB = 1 << 30


class Feed:
    """What one model's transfers are fed from, as long as the model is kept."""

    def __init__(self, adapter: ComfyAdapter, pins: PinSupply, name: str, files: HeldFiles) -> None:
        self._adapter = adapter
        self._pins = pins
        self._name = name
        self._files = files
        self._lost: CheckpointCorruptError | None = None
        self._supplied: dict[str, Supplied] = {}  # by the class of the module

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

    def check(self, modules: Sequence[Any]) -> None:
        """To be called before a model works. Where a file is not what was mapped any more the pins
        are taken back, and ComfyUI reads by itself; throws CheckpointCorruptError where bytes are
        gone, which would be zeros."""
        fault = self._files.fault()
        if fault is not None:
            _LOG.warning("%s ComfyUI reads it by itself from now on.", fault)
            self._lost = fault if self._files.lost_bytes() else None
            self.close(modules)
        if self._lost is not None:
            raise self._lost

    def give(self, module: Any) -> Supplied:
        """Gives a model its pins, after ComfyUI has prepared it for work."""
        found = self._pins.give(module, self._files.find)
        part = type(module).__name__
        if self._supplied.get(part) != found:
            self._supplied[part] = found
            _LOG.info("weights of %s (%s): %s", self._name, part, _in_words(found))
        return found

    def report(self) -> Json:
        """Which of the model's weights come from pins, and how far its files are registered; for
        any thread."""
        parts = {part: asdict(found) for part, found in self._supplied.copy().items()}
        return {"model": self._name, "parts": parts, "files": self._files.report()}

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
        self.work = FileWork()
        self._patch_files = PatchFiles(adapter, tier, self.work)
        self._patches: PatchPins | None = None
        self._gives_patches = True
        self._feeds: weakref.WeakSet[Feed] = weakref.WeakSet()
        self._feeds_lock = threading.Lock()
        self.why_stock = "not looked for yet"

    def follow(self, config: Mapping[str, Any]) -> None:
        """Chooses anew when the config says otherwise than before; what is fed stays fed."""
        enabled = bool(config["host_tier"]["enabled"])
        if enabled != self._enabled:
            self._enabled = enabled
            self._choose(enabled)

    def _choose(self, enabled: bool) -> None:
        """Finds out whether pins can be given here: ComfyUI's names and one byte-exact transfer."""
        if self._patches is not None:
            self._patches.take_back()
        self._pins = self._patches = None
        self._gives_patches = True
        self.why_stock = self._why_stock(enabled)
        if not self.why_stock:
            alignment = self._adapter.packing_alignment()
            self._pins = PinSupply(alignment)
            self._patches = PatchPins(alignment, self._patch_files.find)

    @property
    def uses_pins(self) -> bool:
        """Whether transfers read from the host tier."""
        return self._pins is not None

    @property
    def path(self) -> str:
        """One line for people: how weights reach the device."""
        if self._pins is not None:
            return "pins: ComfyUI's transfers read hearth's registered mapping of the file"
        return f"ComfyUI's own transfers: {self.why_stock}"

    def feed(self, stamps: Sequence[FileStamp]) -> Feed | None:
        """Maps the files of a model that is about to be loaded and begins to read them; None where
        ComfyUI transfers its own way."""
        if self._pins is None:
            return None
        name = " + ".join(os.path.basename(stamp.path) for stamp in stamps)
        files = HeldFiles(self._tier, stamps, self.work)
        feed = Feed(self._adapter, self._pins, name, files)
        feed.open()
        with self._feeds_lock:
            self._feeds.add(feed)
        return feed

    def give_patches(self, module: Any) -> None:
        """Gives the LoRAs and other patches of a model that ComfyUI has prepared for work their
        pins, where its weights are to be patched now."""
        if self._patches is None or not self._gives_patches:
            return
        try:
            found = self._patches.give(module)
        except Exception:  # private names again; a model's own pins must not depend on them
            self._gives_patches = False  # those of this prompt are still to be taken back
            text = "LoRAs are read by ComfyUI itself from now on: it keeps them in another way"
            _LOG.warning(text, exc_info=True)
            return
        if found.patches > 0 or found.left_to_comfyui > 0:
            words = (found.patches, found.bytes / _GIB, found.left_to_comfyui)
            text = "patches of %s: %d, %.2f GiB, by hearth's pins; left to ComfyUI: %d"
            _LOG.info(text, type(module).__name__, *words)

    def check_patches(self) -> None:
        """To be called before a model works: throws CheckpointCorruptError where a LoRA's bytes
        are gone that this prompt has used."""
        try:
            self._patch_files.check()
        except CheckpointCorruptError:
            if self._patches is not None:
                self._patches.move_again()
            raise

    def end_prompt(self) -> None:
        """To be called after each prompt that has used a model."""
        if self._patches is not None:
            self._patches.take_back()
        self._patch_files.end_prompt()

    def report(self) -> Json:
        """How weights reach the device, in all and of each model; for any thread."""
        with self._feeds_lock:
            feeds = list(self._feeds)
        models = [report for report in (feed.report() for feed in feeds) if report["files"]]
        parts = [part for model in models for part in model["parts"].values()]
        names = asdict(Supplied())
        total = {name: sum(part[name] for part in parts) for name in names}
        return {"path": self.path, **total, "models": models}

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


def _in_words(found: Supplied) -> str:
    ours = f"{found.modules} modules, {found.bytes / _GIB:.2f} GiB, by hearth's pins"
    if found.left_to_comfyui == 0:
        return ours
    left = f"{found.left_to_comfyui} modules, {found.left_bytes / _GIB:.2f} GiB"
    return f"{ours}; left to ComfyUI: {left}"
