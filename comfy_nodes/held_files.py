"""The files of one model, mapped and registered in hearth's host tier."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch

from .stock_loaders import FileStamp

_LOG = logging.getLogger("hearth")
_SECONDS_BETWEEN_QUESTIONS = 0.2
_SECONDS_OF_A_DAY = 86400.0


class MappedBytes:
    """One mapped file, as far as it is registered."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._whole = torch.from_dlpack(file.view())

    def pieces(self, offset: int, size: int) -> list[torch.Tensor]:
        """That range (uint8) in as few copies as it takes; empty where it is not registered. A
        driver may refuse one copy over two ranges that were registered apart."""
        end, pieces = offset + size, list[torch.Tensor]()
        while offset < end:
            taken = min(end - offset, self._file.copyable_bytes(offset))
            if taken == 0:
                return []
            pieces.append(self._whole[offset : offset + taken])
            offset += taken
        return pieces


class HeldFiles:
    """Keeps the bytes of a model's files in the page cache and ready for transfers.

    Made on the prompt worker; reading goes on in native threads meanwhile.
    """

    def __init__(self, tier: Any, stamps: Sequence[FileStamp]) -> None:
        self._tier = tier
        self._stamps = tuple(stamps)
        self._files: dict[tuple[int, int], Any] = {}
        self._bytes: dict[tuple[int, int], MappedBytes] = {}
        self._ready = False

    @property
    def mapped_bytes(self) -> int:
        """Bytes of all files held."""
        return sum(int(file.nbytes) for file in self._files.values())

    def open(self) -> None:
        """Maps the files and starts reading and registering them; a file that cannot be held is
        left to ComfyUI, which says itself what is wrong with it."""
        for stamp in self._stamps:
            try:
                file = self._tier.hold(stamp.path)
                file.read_ahead(wait=False)
            except (OSError, RuntimeError, ValueError) as error:
                _LOG.info("a file is not kept mapped: %s", error)
                continue
            self._files[file.identity.device, file.identity.inode] = file
        # While ComfyUI builds the model, which is work for one core, and the device waits.
        files = list(self._files.values())
        threading.Thread(
            target=_begin_registering, args=(files,), name="hearth registering", daemon=True
        ).start()

    def make_ready(self, is_wanted: Callable[[], bool]) -> None:
        """Waits until the files are read and registers them, once. Asks several times a second
        whether that is still wanted; if not, it stops, and the next call begins again."""
        if self._ready:
            return
        for place, file in self._files.items():
            try:
                if not _read(file, is_wanted):
                    return
                file.register()
            except (OSError, RuntimeError, ValueError) as error:
                _LOG.info("a file is not registered for transfers: %s", error)
            if file.registered_bytes > 0:
                self._bytes[place] = MappedBytes(file)
        self._ready = True

    def find(self, device: int, inode: int) -> MappedBytes | None:
        """The registered bytes of that file, if it is one of ours."""
        return self._bytes.get((device, inode))

    def close(self) -> None:
        """Lets the files go. REQUIRES: nobody holds a pin of theirs, no transfer is under way."""
        self._bytes.clear()
        for file in self._files.values():
            file.close()
        self._files.clear()
        self._ready = False


def _begin_registering(files: list[Any]) -> None:
    """What goes wrong here goes wrong again in make_ready(), which says it."""
    for file in files:
        try:
            file.wait_for_read_ahead(_SECONDS_OF_A_DAY)
            if not file.progress["cancelled"]:
                file.register()
        except (OSError, RuntimeError, ValueError):
            return  # closed meanwhile, or unsound


def _read(file: Any, is_wanted: Callable[[], bool]) -> bool:
    file.read_ahead(wait=False)
    while not file.wait_for_read_ahead(_SECONDS_BETWEEN_QUESTIONS):
        if not is_wanted():
            file.cancel_read_ahead()
            return False
    return True
