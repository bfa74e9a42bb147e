"""Counts how often files are opened by anybody, as the kernel (inotify) tells it."""

from __future__ import annotations

import ctypes
import os
import struct
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

_IN_OPEN = 0x20
_HEAD = struct.Struct("iIII")  # watch, mask, cookie, length of the name behind it


class OpenSpy:
    """Watches files from its making on."""

    def __init__(self, files: Iterable[Path]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK)
        self._names = {
            libc.inotify_add_watch(self._descriptor, os.fsencode(file), _IN_OPEN): file.name
            for file in files
        }
        assert self._descriptor >= 0 and min(self._names) >= 0

    def opened(self) -> Counter[str]:
        """Names of the files that were opened since the last call, and how often."""
        found: Counter[str] = Counter()
        try:
            data = os.read(self._descriptor, 1 << 16)
        except BlockingIOError:
            return found
        while data:
            watch, _, _, length = _HEAD.unpack_from(data)
            found[self._names[watch]] += 1
            data = data[_HEAD.size + length :]
        return found

    def close(self) -> None:
        """Watches no longer."""
        os.close(self._descriptor)
