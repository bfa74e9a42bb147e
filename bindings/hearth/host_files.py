"""The bytes of model files in host memory, each file once in a process.

    tier = host_files.tier()
    with tier.hold(path) as file:
        file.read_ahead(wait=True)       # from the disk into RAM, with several threads
        file.register(max_bytes=1 << 28) # known to the GPU; again and again, between prompts
        view = file.view(offset, nbytes) # torch.from_dlpack(view), memoryview(view)

A view keeps its bytes mapped, also after close(). They are the file's own and read-only: writing
through a view ends the process. Before `unregister()` nobody may copy from them any more.
"""

from __future__ import annotations

import os

from hearth._native import _core

ByteView = _core.ByteView
HostFile = _core.HostFile
HostFileIdentity = _core.HostFileIdentity
HostTier = _core.HostTier


def tier() -> HostTier:
    """The host tier of this process."""
    return _core.runtime().host_tier


def find_open_file(descriptor: int) -> HostFile | None:
    """The held file that stands behind an open file descriptor; None when it is not held.

    Raises:
        OSError: it is no open descriptor.
    """
    status = os.fstat(descriptor)
    return tier().find(status.st_dev, status.st_ino)


__all__ = ["ByteView", "HostFile", "HostFileIdentity", "HostTier", "find_open_file", "tier"]
