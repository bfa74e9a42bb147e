"""The state of the page cache that a measurement begins in: made, not hoped for."""

from __future__ import annotations

import os
from pathlib import Path

_CHUNK = 16 << 20


def drop(folder: Path) -> None:
    """Takes all files below the folder out of the page cache; those being mapped stay."""
    os.sync()
    for file in _files(folder):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def fill(folder: Path) -> None:
    """Reads all files below the folder once."""
    buffer = bytearray(_CHUNK)
    for file in _files(folder):
        with file.open("rb", buffering=0) as source:
            while source.readinto(buffer):
                pass


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]
