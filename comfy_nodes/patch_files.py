"""The files of LoRAs and other patches, mapped and registered while prompts use them."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from hearth.errors import CheckpointCorruptError

from .adapter import ComfyAdapter
from .file_pins import FileBytes
from .file_work import FileWork
from .held_files import HeldFiles
from .stock_loaders import FileStamp

# The whole file is read and registered; of larger ones, checkpoints in a merge, ComfyUI may want a
# part only.
_LARGEST_BYTES = 4 << 30

_Place = tuple[int, int]


class PatchFiles:
    """Nobody names these files to hearth: they are found by the descriptors that ComfyUI reads them
    through. What a prompt has not used is let go; the host tier keeps it mapped while it has room.
    Runs on the prompt worker only."""

    def __init__(self, adapter: ComfyAdapter, tier: Any, work: FileWork) -> None:
        self._adapter = adapter
        self._tier = tier
        self._work = work
        self._held: dict[_Place, HeldFiles] = {}
        self._used: set[_Place] = set()

    def find(self, descriptor: int) -> FileBytes | None:
        """The registered bytes of that file; None where it cannot be held or registered. Reads it
        if need be, until the user interrupts."""
        state = os.fstat(descriptor)
        place = (state.st_dev, state.st_ino)
        files = self._held.get(place) or self._hold(descriptor, place)
        if files is None:
            return None
        if files.fault() is not None:
            if place not in self._used:  # what this prompt has used is check()'s
                self._let_go(place)
            return None
        with contextlib.suppress(CheckpointCorruptError):  # cut meanwhile
            files.make_ready(lambda: not self._adapter.is_interrupted())
            self._used.add(place)
            return files.find(*place)
        return None

    def check(self) -> None:
        """To be called before a model works: throws CheckpointCorruptError where bytes are gone
        that this prompt has used, which would be zeros."""
        for place in list(self._used):
            files = self._held[place]
            fault = files.fault()
            if fault is None:
                continue
            is_lost = files.lost_bytes()
            self._let_go(place)
            if is_lost:
                raise fault

    def end_prompt(self) -> None:
        """To be called after each prompt that has used a model. REQUIRES: its pins are taken
        back."""
        used, self._used = self._used, set()
        unused = [place for place in self._held if place not in used]
        if unused:
            self._adapter.finish_transfers()
        for place in unused:
            self._let_go(place)

    def _hold(self, descriptor: int, place: _Place) -> HeldFiles | None:
        stamp = _stamp_of(descriptor, place)
        if stamp is None or stamp.size > _LARGEST_BYTES:
            return None
        files = HeldFiles(self._tier, [stamp], self._work)
        files.open()
        if files.mapped_bytes == 0:  # refused, which was said
            return None
        self._held[place] = files
        return files

    def _let_go(self, place: _Place) -> None:
        # A pin that is still about keeps the mapping by itself.
        self._used.discard(place)
        self._held.pop(place).close()


def _stamp_of(descriptor: int, place: _Place) -> FileStamp | None:
    """None: no name leads to the open file any more, or the system does not tell."""
    try:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        state = os.stat(path)
    except OSError:
        return None
    if (state.st_dev, state.st_ino) != place:
        return None
    return FileStamp(path, state.st_size, state.st_mtime_ns, state.st_ino)
