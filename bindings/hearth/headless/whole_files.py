"""Files that are there as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Has `write` fill a file of another name beside it, and renames that when it is done.

    What is interrupted or fails leaves nothing, and what lay there before stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not with the file's name in it, which may be as long as a name can be.
    descriptor, partial = tempfile.mkstemp(prefix=".hearth.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
        os.chmod(partial, 0o666 & ~_UMASK)
        os.replace(partial, path)
    except BaseException:  # Ctrl-C, too
        Path(partial).unlink(missing_ok=True)
        raise


def _umask() -> int:
    """What the process leaves out of a new file's permissions.

    Asking by os.umask() sets it for a moment, and what another thread makes in that moment is
    open to everyone. So the kernel is asked, and os.umask() only where it does not say.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(errors="replace").splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


_UMASK = _umask()
"""Read once, before threads write."""
