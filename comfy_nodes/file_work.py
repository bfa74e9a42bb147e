"""When held files are read and registered: once for a prompt, and never while a model samples."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any


def samples(patcher: Any) -> bool:
    """Whether a model that is loaded for work will sample with it."""
    return hasattr(getattr(patcher, "model", None), "diffusion_model")


class FileWork:
    """Shared by all who hold files. Registering stalls the devices, slice by slice: threads of
    hearth's own wait with the next slice as long as a diffusion model is at work."""

    def __init__(self) -> None:
        self._may_register = threading.Event()
        self._may_register.set()
        self._slice = threading.Lock()
        self._reading: set[tuple[int, int]] = set()

    def begin_reading(self, file: Any) -> None:
        """Begins to read a file ahead, before those that nobody waits for, unless that was done for
        this prompt: several loaders may name one file, and its first use asks again. On the prompt
        worker."""
        key = (file.identity.device, file.identity.inode)
        is_read = file.state == "read" and not file.progress["cancelled"]
        if is_read and key in self._reading:
            return
        self._reading.add(key)
        file.read_ahead(urgent=True)

    def register(self, file: Any) -> None:
        """Registers a file for a thread that is not the prompt worker, and blocks until that is
        done or refused."""
        while True:
            self._may_register.wait()
            with self._slice:
                if not self._may_register.is_set():
                    continue
                if file.register(max_seconds=0.0) == 0:  # one slice
                    return

    def follow(self, patchers: Iterable[Any]) -> None:
        """Called when ComfyUI has loaded models for work: whether they sample from now on."""
        if not any(samples(patcher) for patcher in patchers):
            self._may_register.set()
            return
        self._may_register.clear()
        with self._slice:
            pass  # one that was under way has ended

    def end_prompt(self) -> None:
        """Called between prompts."""
        self._may_register.set()
        self._reading.clear()
