"""The state of the page cache that a measurement begins in: made, not hoped for."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_CHUNK = 16 << 20
_THREADS = 16


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
    pieces = [
        (file, offset)
        for file in _files(folder)
        for offset in range(0, file.stat().st_size, _CHUNK)
    ]
    with ThreadPoolExecutor(_THREADS) as threads:
        for _ in threads.map(_read, pieces):
            pass


def _read(piece: tuple[Path, int]) -> None:
    file, offset = piece
    with file.open("rb", buffering=0) as source:
        os.pread(source.fileno(), _CHUNK, offset)


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]
