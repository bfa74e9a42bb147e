"""The files of one model, mapped and registered in hearth's host tier."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from hearth.errors import CheckpointCorruptError

from .file_work import FileWork
from .stock_loaders import FileStamp

_LOG = logging.getLogger("hearth")
_SECONDS_BETWEEN_QUESTIONS = 0.2
_SECONDS_OF_A_DAY = 86400.0
# A slice of registering: with less room than that more, nothing more would be registered.
_WORTH_A_TRY_BYTES = 256 << 20

Json = dict[str, Any]


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

    def __init__(
        self, tier: Any, stamps: Sequence[FileStamp], work: FileWork | None = None
    ) -> None:
        self._tier = tier
        self._work = work or FileWork()
        self._stamps = tuple(stamps)
        self._paths: dict[tuple[int, int], str] = {}
        self._files: dict[tuple[int, int], Any] = {}
        self._bytes: dict[tuple[int, int], MappedBytes] = {}
        self._ready = False
        self._room_when_refused: _Room | None = None

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
                self._work.begin_reading(file)
            except (OSError, RuntimeError, ValueError) as error:
                _LOG.info("a file is not kept mapped: %s", error)
                continue
            place = (file.identity.device, file.identity.inode)
            self._files[place], self._paths[place] = file, stamp.path
        # While ComfyUI builds the model, which is work for one core, and the device waits.
        work = (list(self._files.values()), self._work)
        threading.Thread(
            target=_begin_registering, args=work, name="hearth registering", daemon=True
        ).start()

    def make_ready(self, is_wanted: Callable[[], bool]) -> None:
        """Waits until the files are read and registers them, once. Asks several times a second
        whether that is still wanted; if not, it stops, and the next call begins again. What could
        not be registered in full is tried again when there is more room than there was then."""
        if self._ready and not self._is_worth_a_try():
            return
        for place, file in self._files.items():
            if self._ready and _is_whole(file):
                continue
            try:
                if not self._read(file, is_wanted):
                    return
                file.register()
            except (OSError, RuntimeError, ValueError) as error:
                _LOG.info("a file is not registered for transfers: %s", error)
            if file.registered_bytes > 0 and place not in self._bytes:
                self._bytes[place] = MappedBytes(file)
        self._ready = True
        is_complete = all(_is_whole(file) for file in self._files.values())
        self._room_when_refused = None if is_complete else _Room(self._tier)

    def find(self, device: int, inode: int) -> MappedBytes | None:
        """The registered bytes of that file, if it is one of ours."""
        return self._bytes.get((device, inode))

    def fault(self) -> CheckpointCorruptError | None:
        """What has become of a file that is no longer what was mapped. Asks the file system."""
        for file in self._files.values():
            try:
                file.require_sound()
            except CheckpointCorruptError as error:
                return error
        return None

    def lost_bytes(self) -> bool:
        """Whether a file is shorter than it was: what is gone reads as zeros here, and cannot be
        read by ComfyUI either. One that was written to in place may still be good for it."""
        for place, file in self._files.items():
            with contextlib.suppress(OSError):  # gone from its folder: its bytes are still there
                state = os.stat(self._paths[place])
                if (state.st_dev, state.st_ino) == place and state.st_size < file.nbytes:
                    return True
        return False

    def report(self) -> list[Json]:
        """How far each file is registered, and why no further; for any thread."""
        found = []
        for file in list(self._files.values()):
            with contextlib.suppress(RuntimeError, ValueError):  # closed meanwhile
                state = {"file": file.name, "bytes": file.nbytes, "refusal": file.refusal}
                found.append(state | {"registered_bytes": file.registered_bytes})
        return found

    def close(self) -> None:
        """Lets the files go. REQUIRES: nobody holds a pin of theirs, no transfer is under way."""
        self._bytes.clear()
        for file in self._files.values():
            file.close()
        self._files.clear()
        self._ready = False
        self._room_when_refused = None

    def _is_worth_a_try(self) -> bool:
        before = self._room_when_refused
        return before is not None and _Room(self._tier).is_more_than(before)

    def _read(self, file: Any, is_wanted: Callable[[], bool]) -> bool:
        self._work.begin_reading(file)
        while not file.wait_for_read_ahead(_SECONDS_BETWEEN_QUESTIONS):
            if not is_wanted():
                file.cancel_read_ahead()
                return False
        return True


class _Room:
    """What the host tier may still register, at one moment."""

    def __init__(self, tier: Any) -> None:
        stats = tier.stats()
        self._limits = (stats["max_bytes"], stats["keep_free_bytes"])
        self._registered: int = stats["registered_bytes"]
        self._free: int | None = stats["room_bytes"]

    def is_more_than(self, before: _Room) -> bool:
        """Whether something was released since, or a limit changed."""
        if self._limits != before._limits or self._registered < before._registered:
            return True
        if self._free is None or before._free is None:
            return self._free != before._free
        return self._free >= before._free + _WORTH_A_TRY_BYTES


def _is_whole(file: Any) -> bool:
    return bool(file.registered_bytes >= file.nbytes)


def _begin_registering(files: list[Any], work: FileWork) -> None:
    """What goes wrong here goes wrong again in make_ready(), which says it."""
    for file in files:
        try:
            file.wait_for_read_ahead(_SECONDS_OF_A_DAY)
            if not file.progress["cancelled"]:
                work.register(file)
        except (OSError, RuntimeError, ValueError):
            return  # closed meanwhile, or unsound
