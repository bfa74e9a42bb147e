"""Which pages of a file are in RAM, asked of the kernel."""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_LIBC.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_LIBC.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
_CAP_IPC_LOCK = 14
_PR_CAPBSET_DROP = 24


def pages_in_ram(path: Path) -> tuple[int, int]:
    """Pages of the file that are in RAM, and all of them. Touches none."""
    size = path.stat().st_size
    pages = -(-size // mmap.PAGESIZE)
    found = ctypes.create_string_buffer(pages)
    with _mapped(path, size) as address:
        assert _LIBC.mincore(address, size, found) == 0, os.strerror(ctypes.get_errno())
    return sum(byte & 1 for byte in found.raw), pages


def all_in_ram(path: Path) -> bool:
    """Whether every page of the file is in RAM."""
    there, pages = pages_in_ram(path)
    return there == pages


def drop(path: Path) -> None:
    """Has the kernel drop the file's pages, as far as nobody keeps them."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # what is not on the disk yet would stay
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def require_droppable(path: Path) -> None:
    """Skips the test where pages do not go even if nobody keeps them (tmpfs, some containers)."""
    import pytest

    drop(path)
    if pages_in_ram(path)[0] > 0:
        pytest.skip("NOT RUN, needs a file system whose pages can be dropped (not tmpfs)")
    path.read_bytes()


def require_lockable(size: int) -> None:
    """Skips the test where a process may not lock so many bytes, even at its hard limit."""
    import pytest

    _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))
    with mmap.mmap(-1, size) as memory:
        begin = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        failed = _LIBC.mlock(begin, size) != 0
    if failed:
        pytest.skip(f"NOT RUN, needs {size >> 20} MiB of lockable memory (ulimit -l)")


def without_ipc_lock() -> None:
    """For a child before its exec: root, too, then has the limit of locked memory."""
    _LIBC.prctl(_PR_CAPBSET_DROP, _CAP_IPC_LOCK, 0, 0, 0)


@contextmanager
def _mapped(path: Path, size: int) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    address = _LIBC.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
    os.close(descriptor)
    try:
        yield address
    finally:
        _LIBC.munmap(address, size)
