"""Encodes and writes images in a thread of its own, while the next run computes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from hearth import png
from hearth.headless.whole_files import write_new

_UNDER_WAY = 2


@dataclass(frozen=True)
class ImageFile:
    """One image on its way to a file."""

    paths: Callable[[], Iterable[Path]]
    """Its name, and those to try in turn where that is taken by then; all of one folder."""
    pixels: Any
    """height x width x 3 of uint8, a numpy array."""
    texts: Mapping[str, str]
    """The metadata."""

    @property
    def planned(self) -> Path:
        """The first of its names."""
        return next(iter(self.paths()))


@dataclass(frozen=True)
class WrittenFile:
    """One image that is on disk."""

    path: Path
    at: float
    """When it was there (perf_counter)."""


class ImageWriter:
    """Writes images in the order in which they come, two at most under way. Its end waits for
    these: what was begun becomes a whole file, after Ctrl-C too."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="hearth images")
        self._free = threading.Semaphore(_UNDER_WAY)
        self._paths: set[Path] = set()

    def __enter__(self) -> ImageWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown()

    def begin(self, image: ImageFile) -> Future[WrittenFile]:
        """Returns once fewer than two are under way. The future has the file, or OSError, or
        ValueError for what is no image."""
        self._free.acquire()
        self._paths.add(image.planned)
        try:
            return self._pool.submit(self._write, image)
        except BaseException:
            self._done(image)
            raise

    def names_in(self, folder: Path) -> list[str]:
        """Of the files that are not there yet: nobody else may take them."""
        return [path.name for path in self._paths.copy() if path.parent == folder]

    def _write(self, image: ImageFile) -> WrittenFile:
        try:
            data = png.encode(image.pixels, image.texts)
            path = write_new(image.paths(), lambda file: file.write(data))
            return WrittenFile(path, time.perf_counter())
        finally:
            self._done(image)

    def _done(self, image: ImageFile) -> None:
        self._paths.discard(image.planned)
        self._free.release()
