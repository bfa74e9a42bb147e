"""How fast a file comes from its disk, or from the page cache, into this process."""

from __future__ import annotations

import mmap
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_PIECE_BYTES = 4 << 20


def read_seconds(path: Path, nbytes: int, threads: int, *, direct: bool) -> float:
    """Seconds to read a file's first bytes; `direct`: from the disk, past the page cache.

    Raises:
        OSError: the file system refuses it, or a read fails.
    """
    past_the_cache = getattr(os, "O_DIRECT", 0) if direct else 0
    descriptor = os.open(path, os.O_RDONLY | past_the_cache)
    local = threading.local()

    def read(offset: int) -> None:
        if not hasattr(local, "buffer"):
            local.buffer = mmap.mmap(-1, _PIECE_BYTES)  # O_DIRECT wants whole pages
        os.preadv(descriptor, [local.buffer], offset)

    try:
        start = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(read, range(0, nbytes, _PIECE_BYTES)))
        return time.perf_counter() - start
    finally:
        os.close(descriptor)
